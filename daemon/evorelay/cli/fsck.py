"""``evorelay fsck``: is everything that is kept whole, and does it fit together."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from evorelay.cli.common import check_owner, config_option, json_option, read_config
from evorelay.cli.fsck_files import Files, close_modes, mode_faults
from evorelay.cli.printable import printable
from evorelay.config import Config
from evorelay.model.envelope import Envelope
from evorelay.model.errors import ConfigError, RelayError, StoreInUse
from evorelay.model.fsck import Fault, UnreadableStore
from evorelay.storage.open import is_in_use, open_checks, open_names, open_repair
from evorelay.storage.ports.checking import JournalCheck

_EXAMPLES_MAX = 10
"""Of one kind of fault; all are counted."""

_LOST_FILES = {"damaged_file", "missing_file", "unreadable_file"}

Told = Callable[[str], None]


class Report:
    """Faults by kind, with the first places of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: dict[str, list[Fault]] = {}
        self.checked: dict[str, int] = {}
        self.notes: list[str] = []
        self.repaired: list[str] = []

    def add(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.counts[fault.code] += 1
            first = self._first.setdefault(fault.code, [])
            if len(first) < _EXAMPLES_MAX:
                first.append(fault)

    @property
    def is_sound(self) -> bool:
        return not self.counts

    @property
    def repairs(self) -> set[str]:
        return {first[0].repair for first in self._first.values() if first[0].repair}

    def as_json(self) -> dict[str, Any]:
        faults = [
            {
                "code": code,
                "what": first[0].what,
                "count": self.counts[code],
                "where": [fault.where for fault in first],
                "repairable": bool(first[0].repair),
            }
            for code, first in self._first.items()
        ]
        return {
            "sound": self.is_sound,
            "checked": self.checked,
            "faults": faults,
            "notes": self.notes,
            "repaired": self.repaired,
        }

    def show(self) -> None:
        looked = (f"{count:,} {what.replace('_', ' ')}" for what, count in self.checked.items())
        click.echo("looked at: " + ", ".join(looked))
        for line in self.repaired:
            click.echo(f"repaired: {line}")
        for code, first in self._first.items():
            click.echo(f"{click.style('fault', fg='red')} {code}: {first[0].what}")
            for fault in first:
                click.echo(f"    {printable(fault.where)}")
            more = self.counts[code] - len(first)
            if more:
                click.echo(f"    … and {more:,} more")
        for note in self.notes:
            click.echo(f"note: {note}")
        if self.is_sound:
            click.echo("Everything is whole.")
        elif self.repairs:
            click.echo("Stop the daemon and run `evorelay fsck --repair` for what can be repaired.")
        for line in self._advice():
            click.echo(line)

    def _advice(self) -> Iterator[str]:
        """What is left to a person. A backup holds rows, and no file."""
        left = {code for code, first in self._first.items() if not first[0].repair}
        if left & _LOST_FILES:
            yield (
                "Files are in no backup: from your copy of blobs/ put back those named above, with"
                " the daemon's user as owner (a name is the SHA-256 of the bytes). Without a copy"
                " only WhatsApp, or who sent it, may still have the file."
            )
        if "strange_file" in left:
            yield "Move a file that does not belong there out of blobs/; nobody reads it."
        if left - _LOST_FILES - {"strange_file", "open_file"}:
            yield "The rest needs a person: stop the daemon, and put a backup back."


@click.command("fsck")
@click.option(
    "--repair",
    is_flag=True,
    help="Mend what can be worked out again: counts, search, file modes, files nobody needs. The"
    " daemon must be stopped.",
)
@config_option
@json_option
def command(repair: bool, config_file: Path | None, as_json: bool) -> None:
    """Look through store, journal and files for what must not be. Changes nothing by itself.

    Works beside the running daemon, and without one. Exit status 0 sound, 1 there are faults, 2
    it could not look.
    """
    config = read_config(config_file)
    try:
        with _progress(is_shown=not as_json) as told:
            report = _mended(config, told) if repair else _look(config, told)
    except StoreInUse:
        raise ConfigError("the daemon is running: stop it before --repair") from None
    except UnreadableStore as error:
        report = Report()
        report.add([Fault("damaged", "SQLite finds the file damaged", str(error))])
    except RelayError as error:
        raise ConfigError(str(error)) from None
    if as_json:
        click.echo(json.dumps(report.as_json()))
    else:
        report.show()
    sys.exit(0 if report.is_sound else 1)


def _look(config: Config, told: Told) -> Report:
    report = Report()
    state_dir = Path(config.state_dir)
    is_served = is_in_use(state_dir)
    report.add(mode_faults(state_dir))
    with (
        open_checks(state_dir, config.storage.url) as (store, journal),
        open_names() as named,
        open_names() as needed,
    ):
        files = Files(state_dir / "blobs", store, named, is_served=is_served)
        cursor = store.cursor(journal.identity)

        def seen(seq: int, envelope: Envelope) -> None:
            named.add_in(envelope.body)
            if envelope.body_blob is not None:
                named.add({envelope.body_blob})
                files.name_within(envelope.body_blob)
            if seq > cursor:
                needed.add_in(envelope.body)
                needed.add({envelope.body_blob} if envelope.body_blob else set())

        told("journal")
        report.add(journal.faults(seen))
        # In this order, so that nothing a daemon does meanwhile looks like a fault.
        handled = store.cursor(journal.identity)
        if journal.is_there:
            report.add(_cursor_faults(journal, handled))
        else:
            report.notes.append(
                "there is no journal.db, so only store and files were looked at; the daemon begins"
                " one when it starts"
            )
        report.add(store.faults(told))
        told("files")
        total = 0

        def passed(size: int) -> None:
            nonlocal total
            total += size
            told(f"files: {total >> 20:,} MiB")

        report.add(files.faults(passed))
        report.add(files.missing(needed))
        report.checked = {
            **store.counts(),
            "journal_entries": journal.entries,
            "files": files.count,
            "file_bytes": files.bytes,
        }
        if files.young_count:
            report.notes.append(
                f"{files.young_count:,} files that nobody refers to, young or about to be removed"
            )
    return report


def _cursor_faults(journal: JournalCheck, cursor: int) -> Iterator[Fault]:
    """``cursor``: of the store, read after the journal's beginning."""
    last = max(journal.last, journal.newest())
    if cursor > last:
        yield Fault(
            "cursor_ahead",
            "the store has handled webhooks that the journal does not have: it is an older copy",
            f"{cursor} of {last}",
        )
    if journal.first and cursor < journal.first - 1:
        yield Fault(
            "lost_entries",
            "webhooks left the journal before the store had handled them",
            f"{cursor + 1} to {journal.first - 1}",
        )


def _mended(config: Config, told: Told) -> Report:
    """Look, mend, and look again."""
    state_dir = Path(config.state_dir)
    if is_in_use(state_dir):
        raise StoreInUse(str(state_dir))
    check_owner(config)
    before = _look(config, told)
    kinds = before.repairs
    done = []
    told("repairing")
    with open_repair(state_dir, config.storage.url) as repair:
        if "files" in kinds:
            done.append(_remove_files(config))
        done += repair(kinds)
    if "modes" in kinds:
        close_modes(state_dir)
        done.append("closed files to others")
    report = _look(config, told) if done else before
    report.repaired = done
    return report


def _remove_files(config: Config) -> str:
    state_dir = Path(config.state_dir)
    count = 0
    with (
        open_checks(state_dir, config.storage.url) as (store, journal),
        open_names() as named,
    ):
        if not journal.is_there:
            raise RelayError("there is no journal.db to say which files it needs: start the daemon")
        files = Files(state_dir / "blobs", store, named, is_served=False)

        def seen(seq: int, envelope: Envelope) -> None:
            named.add_in(envelope.body)
            if envelope.body_blob is not None:
                named.add({envelope.body_blob})
                files.name_within(envelope.body_blob)

        for fault in journal.faults(seen):
            raise RelayError(f"the journal is damaged, so no file is removed: {fault.where}")
        files.name_quarantined()
        for path in files.unneeded():
            path.unlink(missing_ok=True)
            count += 1
    return f"removed {count:,} files that nobody refers to"


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Told]:
    """What is being looked at, on standard error if somebody watches."""
    if not (is_shown and sys.stderr.isatty()):
        yield lambda what: None
        return
    from rich.console import Console  # late: most commands and every script do without

    with Console(stderr=True).status("") as status:
        yield lambda what: status.update(f"looking at {what}")
