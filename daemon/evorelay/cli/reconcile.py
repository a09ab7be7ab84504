"""``evorelay reconcile``: have the running daemon look for what Evolution did not post."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from evorelay.cli.common import Moment, config_option, json_option, read_config
from evorelay.cli.daemon import Answer, Daemon, open_daemon
from evorelay.cli.printable import printable
from evorelay.model.errors import RelayError

_ANSWER_S = 30.0
_LOOK_EVERY_S = 0.3

Run = dict[str, Any]


@click.command("reconcile")
@click.option(
    "--since",
    type=Moment(),
    required=True,
    metavar="2h|TIME",
    help="Compare what WhatsApp dates from then on.",
)
@click.option("--instance", metavar="NAME", help="Only this WhatsApp instance; default all.")
@config_option
@json_option
def command(since: datetime, instance: str | None, config_file: Path | None, as_json: bool) -> None:
    """Find messages that Evolution has and never posted to us.

    They are stored and shown like any other, marked as recovered. It may be repeated: what is here
    already stays as it is. The daemon does this by itself after its start, when an instance opens
    and when one is silent. Exit status 1 when an instance could not be asked.
    """
    body: dict[str, Any] = {"since": since.isoformat()}
    if instance is not None:
        body["instance"] = instance
    with open_daemon(read_config(config_file), patience_s=_ANSWER_S) as daemon:
        asked = _runs(daemon, daemon.ask("POST", "/v1/reconcile", body=body))
        with _progress(is_shown=not as_json) as show:
            ended = _until_ended(daemon, [run["id"] for run in asked], show)
    if as_json:
        click.echo(json.dumps({"runs": ended}))
    else:
        for run in ended:
            _tell(run)
    sys.exit(1 if any(run["state"] == "failed" for run in ended) else 0)


def _until_ended(
    daemon: Daemon, ids: Sequence[str], show: Callable[[Sequence[Run]], None]
) -> list[Run]:
    """These runs when all of them are over; left alone, they go on in the daemon."""
    while True:
        found = {
            run["id"]: run
            for run in _runs(daemon, daemon.ask("GET", "/v1/reconcile"))
            if run["id"] in ids
        }
        if len(found) < len(ids):
            raise RelayError("the daemon was started anew meanwhile; run this again")
        mine = [found[id_] for id_ in ids]
        if all(run["state"] in ("done", "failed") for run in mine):
            return mine
        show(mine)
        time.sleep(_LOOK_EVERY_S)


def _runs(daemon: Daemon, answer: Answer) -> list[Run]:
    try:
        if answer.status == 200:
            runs: list[Run] = answer.json["runs"]
            return runs
        message = str(answer.json["error"]["message"])
    except (TypeError, KeyError):
        raise daemon.stranger(answer) from None
    raise RelayError(f"the daemon says: {message}")


def _tell(run: Run) -> None:
    name = printable(run["instance"])
    if run["state"] == "failed":
        why, code = printable(run["error"]["message"]), run["error"]["code"]
        click.echo(f"{name}: could not be asked: {why} ({code})", err=True)
        return
    parts = [f"{run['looked_at']:,} messages looked at"]
    parts.append(f"{run['recovered']:,} recovered" if run["recovered"] else "none was missing")
    if run["changes"]:
        parts.append(f"{run['changes']:,} edits, deletions, reactions or statuses recovered")
    if run["not_understood"]:
        parts.append(f"{run['not_understood']:,} not understood")
    click.echo(f"{name}: {', '.join(parts)}")
    if run["cut"]:
        click.echo(
            f"{name}: there is more than may be looked at in one go; only the newest was. Raise"
            " evolution.reconcile_max_messages, or choose a later --since.",
            err=True,
        )


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Callable[[Sequence[Run]], None]]:
    """A line on standard error if somebody looks at it; yields what brings it up to date."""
    if not (is_shown and sys.stderr.isatty()):
        yield lambda runs: None
        return
    from rich.console import Console  # late: most commands and every script do without

    with Console(stderr=True).status("Asking Evolution") as line:
        yield lambda runs: line.update(
            f"{sum(run['looked_at'] for run in runs):,} messages looked at,"
            f" {sum(run['recovered'] for run in runs):,} recovered"
        )
