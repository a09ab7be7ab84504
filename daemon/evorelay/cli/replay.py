"""``evorelay replay``: have the running daemon read old webhooks once more."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import click

from evorelay.cli.common import Moment, config_option, json_option, read_config
from evorelay.cli.daemon import Answer, Daemon, open_daemon
from evorelay.cli.difference_lines import difference_lines
from evorelay.cli.printable import printable
from evorelay.model.errors import RelayError
from evorelay.protocol.webhook import event_name

_PATIENCE_S = 600.0
"""One huge import takes long, and is not answered before its end."""
_PAGE = 200
_EXAMPLES_MAX = 1000
"""Differences that ``--json`` prints; the counts are of all."""


class Choice(NamedTuple):
    """Which webhooks."""

    reason: str | None
    event: str | None
    instance: str | None
    since: datetime | None
    until: datetime | None

    def takes(self, row: dict[str, Any]) -> bool:
        """Whether an entry of quarantine is meant."""
        at = datetime.fromisoformat(row["received_at"])
        return (
            self.reason in (None, row["reason"])
            and self.event in (None, row["event"])
            and self.instance in (None, row["instance"])
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
        )


@click.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All of quarantine.")
@click.option("--reason", metavar="CODE", help="Only what is there for this reason.")
@click.option("--event", metavar="NAME", help="Only this event, like messages.upsert.")
@click.option("--instance", metavar="NAME", help="Only this WhatsApp instance.")
@click.option("--since", type=Moment(), metavar="2h|TIME", help="Only what arrived since then.")
@click.option("--until", type=Moment(), metavar="1h|TIME", help="Only what arrived until then.")
@click.option(
    "--journal",
    is_flag=True,
    help="All webhooks since --since instead of quarantine, as far back as they are kept: after an"
    " upgrade that reads better what was read wrongly.",
)
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@config_option
@json_option
def command(
    ids: tuple[str, ...],
    everything: bool,
    event: str | None,
    journal: bool,
    dry_run: bool,
    config_file: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Read webhooks once more that were not understood.

    What is understood now becomes messages like any other; the rest stays in quarantine. It may be
    repeated: what is done stays done. Without an ID or a choice it only prints what --all would
    change. Exit status 1 when an ID is not there or still not understood.
    """
    choice = Choice(**chosen | {"event": event_name(event) if event else None})
    if journal and (ids or everything or choice.reason):
        raise click.UsageError("--journal goes with --since, --until, --event and --instance only")
    if journal and choice.since is None:
        raise click.UsageError("--journal needs --since; write --since 2h, or a time")
    if ids and (everything or any(choice)):
        raise click.UsageError("give IDs or a choice, not both")
    is_asked = bool(ids or everything or any(choice))
    with open_daemon(read_config(config_file), patience_s=_PATIENCE_S) as daemon:
        if journal:
            ok = _journal(daemon, choice, dry_run=dry_run, as_json=as_json)
        else:
            ok = _quarantine(daemon, ids, choice, dry_run=dry_run or not is_asked, as_json=as_json)
    if not is_asked and not as_json:
        click.echo("Nothing was changed. To do it: evorelay replay --all")
    sys.exit(0 if ok else 1)


def _quarantine(
    daemon: Daemon, ids: tuple[str, ...], choice: Choice, *, dry_run: bool, as_json: bool
) -> bool:
    wanted = list(ids) or _listed(daemon, choice)
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    results = []
    room = _EXAMPLES_MAX
    prints_each = not as_json and (dry_run or bool(ids))
    with _progress(len(wanted), is_shown=not prints_each) as advance:
        for id_ in wanted:
            answer = daemon.ask(
                "POST", f"/v1/quarantine/{quote(id_, safe='')}/replay", body={"dry_run": dry_run}
            )
            result: dict[str, Any] = {"id": id_, "outcome": "not_found", "differences": []}
            if answer.status != 404:
                result = _checked(daemon, answer)
            outcomes[result["outcome"]] += 1
            if result["outcome"] == "still_quarantined":
                reasons[result["reason"]] += 1
            if as_json:
                shown = result["differences"][:room]
                room -= len(shown)
                results.append(result | {"differences": shown})
            if prints_each:
                _show(result)
            advance(1)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **outcomes, "entries": results}))
    else:
        _summarise(outcomes, reasons, dry_run=dry_run)
    return not (ids and (outcomes["not_found"] or outcomes["still_quarantined"]))


def _listed(daemon: Daemon, choice: Choice) -> list[str]:
    """Ids of what is meant, the oldest first, as it arrived."""
    found = []
    query = {"limit": str(_PAGE)}
    while True:
        page = _checked(daemon, daemon.ask("GET", "/v1/quarantine", query=query))
        found += [row["id"] for row in page["quarantine"] if choice.takes(row)]
        if page["next_cursor"] is None:
            return found[::-1]
        query["cursor"] = page["next_cursor"]


def _journal(daemon: Daemon, choice: Choice, *, dry_run: bool, as_json: bool) -> bool:
    assert choice.since is not None
    body: dict[str, Any] = {"since": choice.since.isoformat(), "dry_run": dry_run}
    if choice.until is not None:
        body["until"] = choice.until.isoformat()
    for name in ("event", "instance"):
        if getattr(choice, name) is not None:
            body[name] = getattr(choice, name)
    counts: Counter[str] = Counter()
    entries = 0
    examples: list[dict[str, Any]] = []
    prints_each = dry_run and not as_json
    with _progress(None, is_shown=not prints_each) as advance:
        while True:
            page = _checked(daemon, daemon.ask("POST", "/v1/journal/replay", body=body))
            entries += page["entries"]
            counts.update(page["counts"])
            if as_json:
                examples += page["differences"][: _EXAMPLES_MAX - len(examples)]
            if prints_each:
                _show(page)
            advance(page["entries"])
            if page["next_seq"] is None:
                break
            body.pop("since", None)
            body["after_seq"] = page["next_seq"]
    if as_json:
        result = {"dry_run": dry_run, "entries": entries, "counts": counts}
        click.echo(json.dumps({**result, "differences": examples}))
    else:
        click.echo(f"webhooks read again: {entries:,}")
        for kind, count in counts.items():
            click.echo(f"{_KINDS.get(kind, kind)}: {count:,}")
        if not counts:
            click.echo("nothing is different")
        elif dry_run:
            click.echo("Nothing was changed: this is what it would do.")
    return not counts["failed"]


_KINDS = {
    "message.created": "new messages",
    "message.changed": "messages changed",
    "ticket.created": "new tickets",
    "ticket.changed": "tickets changed",
    "ticket.merged": "tickets merged",
    "contact.created": "new people",
    "contact.changed": "people changed",
    "not_understood": "not understood",
    "failed": "failed (see the daemon's log)",
}


def _checked(daemon: Daemon, answer: Answer) -> Any:
    if answer.status == 200 and isinstance(answer.json, dict):
        return answer.json
    try:
        message = str(answer.json["error"]["message"])
    except (TypeError, KeyError):
        raise daemon.stranger(answer) from None
    raise RelayError(f"the daemon says: {message}; what is done stays done, run this again")


def _show(result: dict[str, Any]) -> None:
    if result.get("outcome") == "still_quarantined":
        why = f"{result['reason']}, {printable(result['detail'])}"
        click.echo(f"{result['id']}: still not understood: {why}")
    elif result.get("outcome") == "already_replayed":
        click.echo(f"{result['id']}: was replayed before")
    elif result.get("outcome") == "not_found":
        click.echo(f"{result['id']}: is not in quarantine", err=True)
    for difference in result["differences"]:
        for line in difference_lines(difference):
            click.echo(line)
    left_out = result.get("differences_left_out", 0)
    if left_out:
        click.echo(f"… and {left_out:,} more")


def _summarise(outcomes: Counter[str], reasons: Counter[str], *, dry_run: bool) -> None:
    if not outcomes:
        click.echo("There is no such webhook in quarantine.")
        return
    done = "would be understood now" if dry_run else "replayed"
    parts = [f"{outcomes['replayed']:,} {done}"]
    if reasons:
        why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        parts.append(f"{outcomes['still_quarantined']:,} still not understood ({why})")
    if outcomes["already_replayed"]:
        parts.append(f"{outcomes['already_replayed']:,} replayed before")
    if outcomes["not_found"]:
        parts.append(f"{outcomes['not_found']:,} not found")
    click.echo("; ".join(parts))


@contextmanager
def _progress(total: int | None, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error if somebody looks at it; yields what advances it."""
    if not (is_shown and sys.stderr.isatty()):
        yield lambda count: None
        return
    from rich.console import Console  # late: most commands and every script do without
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("webhooks"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)
