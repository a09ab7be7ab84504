"""A stand-in for systemd's socket unit: it holds the listening socket while daemons come and go."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import Daemon

BACKLOG = 4096
"""As in systemd/evorelay.socket."""
_PASS_AS_FD_3 = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""What systemd does between fork and exec: LISTEN_PID is only known there."""


class ActivatedDaemon(Daemon):
    """Starts with the socket that its unit holds."""

    def __init__(self, state_dir: Path, listener: socket.socket) -> None:
        super().__init__(state_dir)
        self.host, self.port = listener.getsockname()
        self.settings["SERVER__BIND"] = f"{self.host}:{self.port}"
        self._fd = listener.fileno()

    def activate(self) -> None:
        """Start it and wait until it is ready."""
        wrapper = (sys.executable, "-c", _PASS_AS_FD_3, str(self._fd))
        self.start(wrapper=wrapper, pass_fds=(self._fd,))

    def restart(self) -> int:
        """What ``systemctl restart`` does; the exit status of the one that stopped."""
        status = self.terminate(40.0)
        self.activate()
        return status


@contextmanager
def socket_unit(state_dir: Path) -> Iterator[ActivatedDaemon]:
    """The socket is open, and no daemon runs; afterwards none does."""
    address = ("127.0.0.1", 0)
    with socket.create_server(address, backlog=BACKLOG) as listener:
        daemon = ActivatedDaemon(state_dir, listener)
        try:
            yield daemon
        finally:
            daemon.kill()
