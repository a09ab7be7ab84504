"""How soon a daemon is ready: with nothing, and with a million messages and their webhooks.

A restart must not take longer as the databases grow, so nothing at the start may read all of them:
what the process reads from the disk, with nothing in the page cache, is bounded.
"""

import os
from contextlib import closing
from pathlib import Path

import apsw

from bench.catchup import AUDIENCE, fill_journal
from bench.daemon import Daemon
from bench.flow import warm_up
from bench.harness import Run, main
from bench.load.stores import fill
from evorelay.storage.sqlite.store import SqliteStore

ROUNDS = 5
READ_MIB_MAX = 64
"""The program itself is 40 MiB; of the store a start needs some pages."""


def bench(run: Run) -> None:
    count = 20_000 if run.quick else 1_000_000
    with Daemon() as empty:
        empty.stop()
        _measure(run, empty, "nothing")
    daemon = Daemon()
    daemon.state_dir.mkdir()
    with (
        closing(SqliteStore(daemon.state_dir / "store.db", durable=False)) as store,
        run.step("fill", count / 20_000),
    ):
        fill(store, count)
    with daemon, run.step("fill the journal", count / 50_000):
        first = warm_up(daemon, AUDIENCE)
        daemon.stop()
        fill_journal(daemon, first, count)
        with closing(apsw.Connection(str(daemon.state_dir / "store.db"))) as db:
            db.execute("UPDATE cursors SET seq = seq + ?", (count,))  # all of it was handled
        _measure(run, daemon, f"{count:,} messages")


def _measure(run: Run, daemon: Daemon, case: str) -> None:
    """The fastest of some rounds: what the machine does besides only ever adds. It is stopped."""
    warm_s, cold_s, read_mib = [], [], []
    for _ in range(2 if run.quick else ROUNDS):
        warm_s.append(daemon.start())
        daemon.stop()
        _forget(daemon.state_dir)
        cold_s.append(daemon.start())
        read_mib.append(_read_bytes(daemon.pid) / 2**20)
        run.check(daemon.lag() == 0, f"{case}: webhooks were read again")
        daemon.stop()
    size = sum(path.stat().st_size for path in daemon.state_dir.glob("*.db*"))
    run.check(
        max(read_mib) < READ_MIB_MAX, f"{case}: {max(read_mib):.0f} MiB were read for a start"
    )
    run.row(
        case,
        databases_mib=round(size / 2**20),
        ready_s=round(min(warm_s), 2),
        ready_cold_s=round(min(cold_s), 2),
        read_mib=round(max(read_mib), 1),
    )


def _forget(directory: Path) -> None:
    """Have the kernel drop what it holds of the databases."""
    for path in directory.glob("*.db*"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)  # only clean pages can be dropped
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _read_bytes(pid: int) -> int:
    """What a process has had read from disks."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel does not tell what a process reads")


if __name__ == "__main__":
    main("start", __doc__, bench)
