"""How long a million messages take to be backed up, proved and restored, and how much memory.

The commands an operator types are run, each in a process of its own, on a store that was filled
through the daemon's own driver. What came out is compared with what went in, row for row.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.harness import Run, main
from bench.load.stores import fill
from evorelay.model.backup import Total
from evorelay.relay.backup.pace import Pace
from evorelay.storage.open import backup_store
from evorelay.storage.sqlite.store import SqliteStore

Totals = dict[str, Total]


def bench(run: Run) -> None:
    count = 20_000 if run.quick else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        source, backups = place / "source", place / "backups"
        source.mkdir(mode=0o700)
        with (
            closing(SqliteStore(source / "store.db", durable=False)) as store,
            run.step("fill", count / 25_000),
        ):
            fill(store, count)
        size = (source / "store.db").stat().st_size
        wanted = _totals(source)

        made = _timed(run, "backup now", source, backups, "now", count=count)
        run.check(made["messages"] == count, f"{made['messages']:,} of {count:,} backed up")
        run.check(made["state"] == "verified", f"the backup is {made['state']}: {made['problem']}")
        packed = sum(path.stat().st_size for path in Path(made["path"]).iterdir())
        run.row("sizes", store_mib=round(size / 2**20), backup_mib=round(packed / 2**20))

        into_empty = _restore(run, "restore into an empty store", place / "empty", backups, count)
        run.check(into_empty["messages"] == count, f"{into_empty['messages']:,} restored")
        run.check(_totals(place / "empty") == wanted, "restored, the store is another one")

        merged = place / "merged"
        merged.mkdir(mode=0o700)
        with closing(SqliteStore(merged / "store.db", durable=False)) as store:
            fill(store, count // 10)
        # Theirs are the same ids: what both have is compared, the other nine tenths are inserted.
        restored = _restore(run, "restore into a store with a tenth", merged, backups, count)
        expected = count - count // 10
        run.check(restored["messages"] == expected, f"{restored['messages']:,} of {expected:,}")
        run.check(_rows(merged) == _counts(wanted), "merged, rows lack or are double")
        again = _restore(run, "the same again", merged, backups, count)
        run.check(again["rows"] == 0, f"{again['rows']:,} rows changed the second time")

        lines = place / "from-conversations"
        chained = _restore(
            run, "restore from conversations", lines, backups, count, "--from-conversations"
        )
        run.check(chained["messages"] == count, f"{chained['messages']:,} from conversations")
        run.check(_totals(lines) == wanted, "from conversations, the store is another one")


def _restore(
    run: Run, case: str, state_dir: Path, backups: Path, count: int, *options: str
) -> dict[str, Any]:
    return _timed(run, case, state_dir, backups, "restore", *options, count=count)


def _timed(
    run: Run, case: str, state_dir: Path, backups: Path, *command: str, count: int
) -> dict[str, Any]:
    """Run ``evorelay backup <command>``; adds a row with its time and the most memory it had."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("EVORELAY_")}
    environ = ours | {
        "EVORELAY_STATE_DIR": str(state_dir),
        "EVORELAY_BACKUP__DIR": str(backups),
        "EVORELAY_WEBHOOK__MIN_FREE_BYTES": "0",
    }
    began = time.perf_counter()
    with run.step(case, count / 20_000) as show:
        process = subprocess.Popen(
            [sys.executable, "-m", "evorelay", "backup", *command, "--json"],
            env=environ,
            stdout=subprocess.PIPE,
        )
        peak_kib = 0
        while process.poll() is None:
            # Not from wait4: that counts what the bench itself held when it forked.
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            show()
            time.sleep(0.05)
        assert process.stdout is not None
        out = process.stdout.read()
    taken = time.perf_counter() - began
    run.check(process.returncode == 0, f"{case}: exit status {process.returncode}")
    run.row(
        case,
        seconds=round(taken, 1),
        messages_per_second=round(count / taken),
        peak_memory_mib=round(peak_kib / 1024),
    )
    answer: dict[str, Any] = json.loads(out)
    return answer


def _peak_kib(pid: int) -> int:
    """The most resident memory a process has had; 0 for one that is just ending."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) if found else 0


def _totals(state_dir: Path) -> Totals:
    """All rows of a store: how many, and a hash over them."""
    with tempfile.TemporaryDirectory(dir=state_dir) as directory:
        path = Path(directory) / "copy.db"
        store = backup_store(state_dir, None)
        store.copy_to(path, Pace())
        with store.open_copy(path, Pace()) as copy:
            return copy.totals()


def _counts(totals: Totals) -> dict[str, int]:
    return {name: total.rows for name, total in totals.items()}


def _rows(state_dir: Path) -> dict[str, int]:
    return _counts(_totals(state_dir))


if __name__ == "__main__":
    main("restore", __doc__, bench)
