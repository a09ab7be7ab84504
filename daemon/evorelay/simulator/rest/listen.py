"""The port of the simulated REST API."""

import socket

from evorelay.model.errors import ConfigError
from evorelay.simulator.options import split_bind


def open_listener(bind: str) -> socket.socket:
    """Listen on ``host:port``. Raises ``ConfigError`` when that cannot be had."""
    address = split_bind(bind)
    assert address is not None  # SimulatorOptions has seen to it
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"listen: cannot listen on {bind} ({reason}); give another") from None
