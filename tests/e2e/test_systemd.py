"""What systemd is told by the real process (sd_notify): READY, WATCHDOG, STOPPING."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.daemon import Daemon, running


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """The socket systemd listens on."""
    with (
        tempfile.TemporaryDirectory(prefix="evorelay-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.bind(str(Path(directory) / "notify"))
        sock.settimeout(10)
        yield sock


async def test_systemd_is_told_of_readiness_life_and_stopping(
    tmp_path: Path, manager: socket.socket
) -> None:
    """P8: the watchdog is fed at least twice per period, until the end of the drain."""

    async def told(assignment: str) -> None:
        while await trio.to_thread.run_sync(manager.recv, 4096) != assignment.encode():
            pass

    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "400000"}
    with running(tmp_path / "state", environ) as daemon:
        await told("READY=1")
        with trio.fail_after(5):
            for _ in range(4):
                await told("WATCHDOG=1")
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        await told("STOPPING=1")


async def test_a_daemon_that_cannot_start_is_never_ready(
    daemon: Daemon, manager: socket.socket
) -> None:
    second = Daemon(daemon.state_dir)
    process = second.spawn({"NOTIFY_SOCKET": manager.getsockname()})
    assert await trio.to_thread.run_sync(process.wait, 10) == 2
    second.kill()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
