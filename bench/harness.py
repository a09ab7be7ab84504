"""What every bench shares: options, a progress bar, a table, JSON with the facts of the machine."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.load.worker import allow_many_sockets

Row = dict[str, Any]


class Run:
    """One run of a bench: it adds rows and checks, the harness shows them."""

    def __init__(self, *, quick: bool, seconds: float | None, progress: Progress) -> None:
        self.quick = quick
        self._seconds = seconds
        self._progress = progress
        self.rows: list[Row] = []
        self.failures: list[str] = []
        self.checks = 0

    def seconds(self, usual: float, *, quick: float = 1.0) -> float:
        """How long one measurement lasts."""
        if self._seconds is not None:
            return self._seconds
        return quick if self.quick else usual

    def row(self, case: str, **figures: Any) -> None:
        """A line of the table. Names of figures end in their unit."""
        self.rows.append({"case": case, **figures})

    def check(self, holds: bool, otherwise: str) -> None:
        """Something that must hold whatever the speed; a failed one fails the command."""
        self.checks += 1
        if not holds:
            self.failures.append(otherwise)

    def check_same(self, found: Sequence[int], wanted: Sequence[int], what: str) -> None:
        """Check that the same numbers were found, each as often and in the same order."""
        self.check(found == wanted, f"{what}: {difference(found, wanted)}")

    @contextmanager
    def step(self, title: str, seconds: float) -> Iterator[Callable[[], None]]:
        """A bar that fills in about this time; call what it gives now and then."""
        task = self._progress.add_task(title, total=seconds)
        began = time.monotonic()
        yield lambda: self._progress.update(
            task, completed=min(time.monotonic() - began, seconds * 0.99)
        )
        self._progress.update(task, completed=seconds)


def difference(found: Sequence[int], wanted: Sequence[int]) -> str:
    """How two lists of numbers differ, in counts."""
    missing, extra = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    if not missing and not extra:
        return f"{len(wanted):,} wanted, all there but out of order"
    return (
        f"{len(wanted):,} wanted, {missing.total():,} missing,"
        f" {extra.total():,} repeated or not wanted"
    )


def percentile(values: Sequence[int], share: float) -> int:
    """The value below which ``share`` of the (sorted) values lie; 0 when there are none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0


def latency_figures(latencies_ns: Sequence[int]) -> Row:
    """p50, p99 and the longest, in milliseconds."""
    ordered = sorted(latencies_ns)
    return {
        "p50_ms": round(percentile(ordered, 0.50) / 1e6, 2),
        "p99_ms": round(percentile(ordered, 0.99) / 1e6, 2),
        "max_ms": round((ordered[-1] if ordered else 0) / 1e6, 2),
    }


def machine() -> Row:
    """What the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "fsync_us": _fsync_us(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _fsync_us() -> int:
    """Median time to make 4 KiB durable where the benches keep their state."""
    taken = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter_ns()
            os.fsync(file.fileno())
            taken.append((time.perf_counter_ns() - began) // 1000)
    return sorted(taken)[len(taken) // 2]


def main(name: str, about: str, bench: Callable[[Run], None]) -> None:
    """Run a bench as a command; exits 1 when a message was lost, repeated or out of order."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help="some seconds: does it hold?")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options = parser.parse_args()
    allow_many_sockets()
    command = " ".join(["python", "-m", f"bench.{name}", *sys.argv[1:]])
    console = Console(stderr=True)
    facts = machine()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        run = Run(quick=options.quick, seconds=options.seconds, progress=progress)
        bench(run)
    _show(name, run, Console(width=None if sys.stdout.isatty() else 160))
    if options.json is not None:
        result = {
            "bench": name,
            "command": command,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": facts,
            "rows": run.rows,
            "checks": run.checks,
            "failures": run.failures,
        }
        options.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    sys.exit(1 if run.failures else 0)


def _show(name: str, run: Run, console: Console) -> None:
    table = Table(title=name)
    columns = list(dict.fromkeys(column for row in run.rows for column in row))
    for column in columns:
        table.add_column(column.replace("_", " "), justify="left" if column == "case" else "right")
    for row in run.rows:
        table.add_row(*[_text(row.get(column, "")) for column in columns])
    console.print(table)
    if run.failures:
        for failure in run.failures:
            console.print(f"[red]FAILED[/red] {escape(failure)}", soft_wrap=True)
    else:
        console.print(f"{run.checks} checks held: nothing lost, repeated or out of order.")


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
