"""Serving the simulated REST API on a port of its own."""

import socket
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

from evorelay.model.errors import ConfigError
from evorelay.simulator.options import split_bind


async def serve_rest(
    app: QuartTrio,
    listener: socket.socket,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; takes the listener over. Starts with the URL."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(partial(serve, app, config, mode="asgi"))
        task_status.started(url)


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
