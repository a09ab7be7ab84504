"""How far a backup is, for whoever looks: bars on a terminal, a line for each step elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from evorelay.relay.backup.restoring import Told


@contextmanager
def working(what: str, *, is_shown: bool) -> Iterator[None]:
    if not (is_shown and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console  # late: most commands and every script do without

    with Console(stderr=True).status(what):
        yield


@contextmanager
def progress(*, is_shown: bool) -> Iterator[Told]:
    """Bars on a terminal; elsewhere a line for each step."""
    if not is_shown:
        yield lambda what, done, total: None
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console  # late: most commands and every script do without
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, total: int) -> None:
            for other, task in tasks.items():
                if other != what:
                    bars.update(task, completed=bars.tasks[task].total)
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield told


def _lines() -> Callable[[str, int, int], None]:
    last = ""

    def told(what: str, done: int, total: int) -> None:
        nonlocal last
        if what != last:
            click.echo(f"{what} …", err=True)
            last = what

    return told
