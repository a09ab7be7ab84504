"""``evorelay erase``: everything of one person, through the running daemon, or without one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from evorelay.cli.common import check_owner, config_option, json_option, read_config
from evorelay.cli.daemon import Daemon, open_daemon
from evorelay.config import Config
from evorelay.model.errors import RelayError
from evorelay.protocol.phones import read_phone

_PATIENCE_S = 3600.0
"""A large journal is read through from end to end."""
_LINES = (
    ("contacts", "contact, with names and numbers", "contacts, with names and numbers"),
    ("tickets", "ticket", "tickets"),
    ("messages", "message, also of groups", "messages, also of groups"),
    (
        "mentions",
        "message of somebody else: the name is taken out",
        "messages of others: the name is taken out",
    ),
    (
        "replies",
        "command of the outbox: if it waits, it is not sent",
        "commands of the outbox: those that wait are not sent",
    ),
    ("quarantined", "webhook that was not understood", "webhooks that were not understood"),
    ("events", "event, written over", "events, written over"),
    ("journal_entries", "webhook as received, written over", "webhooks as received, written over"),
    ("files", "file", "files"),
)


@click.command("erase")
@click.option("--phone", metavar="NUMBER", help="Whose: digits with country code.")
@click.option("--contact", "contact_id", metavar="ID", help="Whose: a contact's id.")
@click.option("--yes", is_flag=True, help="Do it. Without it only what would go is said.")
@config_option
@json_option
def command(
    phone: str | None,
    contact_id: str | None,
    yes: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Erase one person: what they wrote, what was written to them, files, and every trace.

    Without --yes it says what would go and changes nothing. It cannot be undone. It goes through
    the running daemon, or works on the store itself where none runs. It may be repeated, and must
    be when it was cut off.
    """
    if (phone is None) == (contact_id is None):
        raise click.UsageError("say whom: give exactly one of --phone and --contact")
    try:
        phone = phone and read_phone(phone)
    except ValueError as error:
        raise click.UsageError(f"--phone: {error}") from None
    asked = {"phone": phone, "contact_id": contact_id, "dry_run": not yes}
    config = read_config(config_file)
    with _working(is_shown=not as_json):
        result = _through_daemon(config, asked)
        if result is None:
            result = _without_daemon(config, asked)
    if as_json:
        click.echo(json.dumps(result))
    else:
        _show(result, is_done=yes)


def _through_daemon(config: Config, asked: dict[str, Any]) -> dict[str, Any] | None:
    """None where no daemon holds the store."""
    if not _is_served(config):
        return None
    with open_daemon(config, patience_s=_PATIENCE_S) as daemon:
        answer = daemon.ask("POST", "/v1/erasures", body=asked)
        if answer.status == 200 and isinstance(answer.json, dict):
            return answer.json
        raise RelayError(_said(daemon, answer))


def _said(daemon: Daemon, answer: Any) -> str:
    try:
        return str(answer.json["error"]["message"])
    except (TypeError, KeyError):
        raise daemon.stranger(answer) from None


def _is_served(config: Config) -> bool:
    from evorelay.storage.open import is_in_use  # late: it brings SQLite

    return is_in_use(Path(config.state_dir))


def _without_daemon(config: Config, asked: dict[str, Any]) -> dict[str, Any]:
    import msgspec  # late, like all that only this case needs
    import trio

    from evorelay.cli.offline import erase_offline
    from evorelay.model.errors import Refusal
    from evorelay.relay.erasing import ErasePerson
    from evorelay.storage.open import require_store

    require_store(Path(config.state_dir), config.storage.url)
    check_owner(config)
    try:
        done = trio.run(erase_offline, config, msgspec.convert(asked, ErasePerson))
    except Refusal as refusal:
        raise RelayError(refusal.message) from None
    result: dict[str, Any] = msgspec.to_builtins(done)
    return result


@contextmanager
def _working(*, is_shown: bool) -> Iterator[None]:
    """That something goes on, if somebody looks."""
    import sys

    if not (is_shown and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("looking through everything that is kept"):
        yield


def _show(result: dict[str, Any], *, is_done: bool) -> None:
    click.echo("Erased:" if is_done else "This would go:")
    for name, one, several in _LINES:
        count = result[name]
        if count:
            click.echo(f"  {count:,} {one if count == 1 else several}")
    if not any(result[name] for name, _, _ in _LINES):
        click.echo("  nothing")
    if is_done and not result["compacted"]:
        click.echo(
            "The databases are large, so their free space was not cleaned while the daemon runs:"
            " stop it, and run the same command once more."
        )
    click.echo("What this cannot reach:")
    for line in result["not_reached"]:
        click.echo(f"  - {line}")
    if result["unfinished"]:
        click.echo(
            f"Not yet: replies to this person are under way or in doubt ({result['unfinished']});"
            " `evorelay status` and the console's outbox say why."
        )
    elif not is_done:
        click.echo("Nothing was changed. To do it, add --yes.")
