"""A daemon whose state directory is a small file system of its own, which can really be full."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import Daemon

_MOUNT = 'mount -t tmpfs -o size="$1",mode=0700 tmpfs "$0" && shift && exec "$@" 2>>"$0/log"'
"""Seen by this process alone, and gone with it. What it logs is on that disk, too."""


class SmallDisk:
    def __init__(self, daemon: Daemon) -> None:
        self._root = Path(f"/proc/{daemon.pid}/root{daemon.state_dir}")
        self._ballast = self._root / "ballast"

    def free_bytes(self) -> int:
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Until no more than that is free."""
        with self._ballast.open("ab", buffering=0) as file:
            while (room := self.free_bytes() - leave_bytes) > 0:
                try:
                    file.write(b"\0" * min(room, 1 << 20))
                except OSError:
                    return  # full

    def make_room(self) -> None:
        self._ballast.unlink()

    def log(self) -> str:
        return (self._root / "log").read_text(errors="replace")


@contextmanager
def on_a_small_disk(
    tmp_path: Path, size_bytes: int, **settings: str
) -> Iterator[tuple[Daemon, SmallDisk]]:
    """Root mounts it in a namespace of the daemon's; anybody else in a user namespace."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    daemon = Daemon(state, settings)
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    try:
        daemon.start(wrapper=[*unshare, "sh", "-c", _MOUNT, str(state), str(size_bytes)])
        yield daemon, SmallDisk(daemon)
    finally:
        daemon.kill()
        print(daemon.log()[-4000:])
