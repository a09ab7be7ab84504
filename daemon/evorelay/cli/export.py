"""``evorelay export``: everything that is kept of one person, to be handed to them (LGPD)."""

import json
import mimetypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from evorelay.cli.common import config_option, json_option, read_config
from evorelay.cli.export_page import Page
from evorelay.cli.export_target import Target, open_target
from evorelay.config import Config
from evorelay.model.clock import now_ms, utc
from evorelay.model.erasing import Person, Traces
from evorelay.model.errors import RelayError
from evorelay.model.records import MessageRecord
from evorelay.protocol.phones import read_phone
from evorelay.protocol.schedule import zone_of
from evorelay.relay.lookup import look_up
from evorelay.relay.taking_out import ALWAYS
from evorelay.storage.open import open_for_reading
from evorelay.storage.ports import StoreReader

README = """\
What is kept of one person, as of {at}.

conversation.html   to be read in a browser: every message, with links to the files
messages.jsonl      the same with all that is known of each message, one JSON object a line
tickets.jsonl       the conversations they are in
people.json         names, numbers and other ids under which the person is known
quarantine.jsonl    webhooks that name the person and were not understood, if there are any. Look
                    through it before you hand it over: such a webhook may name others, too
media/              files, named by the SHA-256 of their bytes

Times are RFC 3339, in UTC. Not in here: messages of others that only mention the person, and
webhooks as received, which say the same and are kept for some days.
"""


@click.command("export")
@click.option("--phone", metavar="NUMBER", help="Whose: digits with country code.")
@click.option("--contact", "contact_id", metavar="ID", help="Whose: a contact's id.")
@click.option("--instance", metavar="NAME", help="Only from this WhatsApp instance.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR|FILE.zip",
    help="Where to: a new or empty directory, or a new zip file.",
)
@config_option
@json_option
def command(
    phone: str | None,
    contact_id: str | None,
    instance: str | None,
    out: Path,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Write down everything that is kept of one person: conversations, groups, files.

    Works beside the running daemon, and without one. Nobody else may read what is written.
    """
    if (phone is None) == (contact_id is None):
        raise click.UsageError("say whose: give exactly one of --phone and --contact")
    try:
        digits = None if phone is None else read_phone(phone)
    except ValueError as error:
        raise click.UsageError(f"--phone: {error}") from None
    config = read_config(config_file)
    with open_for_reading(Path(config.state_dir), config.storage.url) as reader:
        person = look_up(
            reader.erasing, phone=digits, contact=contact_id, instance=instance, instances=[]
        )
        if not person.contacts:
            raise RelayError("nothing is kept of such a person")
        found = reader.erasing.find(person, ALWAYS)
        with open_target(out) as target, _progress(len(found.messages), not as_json) as advance:
            counts = _Export(config, reader, person, found, target, instance).write(advance)
    if as_json:
        click.echo(json.dumps({"out": str(out), **counts}))
        return
    said = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items())
    click.echo(f"{out}: {said}")


class _Export:
    """``instance``: leave out what is in another one; None: nothing."""

    def __init__(
        self,
        config: Config,
        reader: StoreReader,
        person: Person,
        found: Traces,
        target: Target,
        instance: str | None,
    ) -> None:
        self._instance = instance
        self._blobs = Path(config.state_dir) / "blobs"
        self._zone = zone_of(config.backup.timezone)
        self._reader = reader
        self._person = person
        self._found = found
        self._target = target
        self._files: dict[str, str | None] = {}
        """Blob -> its name in the export, None where it is not here any more."""
        self._count = 0

    def write(self, advance: Callable[[], None]) -> dict[str, int]:
        at = utc(now_ms()).isoformat()
        self._target.write("README.txt", README.format(at=at).encode())
        contacts = self._rows("contacts", self._person.contacts)
        tickets = [id_ for id_, _ in self._found.tickets]
        self._target.write("people.json", _pretty(self._people(contacts)))
        in_all = self._rows("tickets", [*tickets, *self._found.changed_tickets])
        for row in in_all:
            if row["id"] not in tickets:  # a group's: its last message may be somebody else's
                row["last_message"] = None
        self._target.write("tickets.jsonl", _lines(in_all))
        quarantined = self._rows("quarantine", self._found.quarantine)
        if quarantined:
            self._target.write("quarantine.jsonl", _lines(quarantined))
        self._messages(contacts, advance)
        return {
            "contacts": len(contacts),
            "tickets": len(in_all),
            "messages": self._count,
            "files": sum(name is not None for name in self._files.values()),
            "missing_files": sum(name is None for name in self._files.values()),
        }

    def _is_meant(self, instance: str) -> bool:
        return self._instance in (None, instance)

    def _rows(
        self, table: Literal["contacts", "tickets", "quarantine"], ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        rows = self._reader.erasing.rows(table, ids)
        return [row for row in rows if self._is_meant(row["instance"])]

    def _people(self, contacts: list[dict[str, Any]]) -> dict[str, Any]:
        aliases = [{"instance": one, "alias": alias} for one, alias in self._person.aliases]
        return {"contacts": contacts, "aliases": aliases}

    def _messages(self, contacts: list[dict[str, Any]], advance: Callable[[], None]) -> None:
        """In order of time, into the lines and onto the page."""
        name = next((str(row["name"]) for row in contacts if not row["merged_into"]), "?")
        page = Page(name, self._zone)
        with (
            self._target.open("conversation.html.part") as html,
            self._target.open("messages.jsonl") as lines,
        ):
            html.write(page.head().encode())
            for id_ in self._found.messages:
                row = self._reader.message(id_)
                if row is None or not self._is_meant(row.instance):
                    continue  # removed meanwhile, or another instance's
                self._count += 1
                file = self._file(row)
                lines.write(msgspec.json.encode({**_told(row), "file": file}) + b"\n")
                html.write(page.message(row, file).encode())
                advance()
            html.write(page.foot().encode())
        self._target.rename("conversation.html.part", "conversation.html")

    def _file(self, row: MessageRecord) -> str | None:
        """The message's file, put into the export the first time it is met."""
        blob = (row.media or {}).get("id")
        if blob is None or (row.media or {}).get("state") == "removed":
            return None
        if blob not in self._files:
            path = self._blobs / blob[:2] / blob[2:4] / blob
            name = f"media/{blob}{_ending(row)}"
            self._files[blob] = name if self._target.copy(path, name) else None
        return self._files[blob]


def _ending(row: MessageRecord) -> str:
    plain = str((row.media or {}).get("mimetype") or "").partition(";")[0].strip()
    return mimetypes.guess_extension(plain) or ""


def _told(row: MessageRecord) -> dict[str, Any]:
    told = msgspec.structs.asdict(row)
    for name in ("created_at", "received_at", "edited_at", "deleted_at"):
        if told[name] is not None:
            told[name] = utc(told[name])
    return told


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


@contextmanager
def _progress(total: int, is_shown: bool) -> Iterator[Callable[[], None]]:
    if not (is_shown and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console  # late: most commands and every script do without
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("messages"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
