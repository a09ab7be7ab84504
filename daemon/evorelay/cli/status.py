"""``evorelay status``: ask the running daemon how it is."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from evorelay.cli.common import config_option, json_option, read_config
from evorelay.cli.daemon import Daemon, open_daemon
from evorelay.cli.printable import printable
from evorelay.model.errors import RelayError
from evorelay.model.sizes import readable_bytes, readable_span

_TIMEOUT_S = 5.0
_WATCH_S = 2.0
_STYLES = {"pass": "green", "warn": "bold yellow", "fail": "bold red"}
_BADNESS = ("fail", "warn", "pass")


@click.command("status")
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
def command(config_file: Path | None, as_json: bool, watch: bool) -> None:
    """Show the health of the running daemon, the worst first.

    Exit status 1 when it fails or cannot be reached.
    """
    config = read_config(config_file)
    if as_json and watch:
        raise click.UsageError("--watch is for people; ask again for each --json")
    with open_daemon(config, patience_s=_TIMEOUT_S) as daemon:
        if watch:
            _watch(daemon)
        health = _health(daemon)
    if as_json:
        click.echo(json.dumps(health))
    else:
        Console().print(_shown(health))
    sys.exit(0 if health.get("status") in ("pass", "warn") else 1)


def _health(daemon: Daemon) -> dict[str, Any]:
    answer = daemon.ask("GET", "/webhook/health")
    if not isinstance(answer.json, dict) or "status" not in answer.json:
        raise daemon.stranger(answer)
    return answer.json


def _watch(daemon: Daemon) -> None:
    """Until Ctrl-C, which is how it is meant to end."""
    with Live(auto_refresh=False, screen=sys.stdout.isatty()) as live:
        while True:
            try:
                found = _shown(_health(daemon))
            except RelayError as error:
                found = Text(str(error), style=_STYLES["fail"])
            live.update(found, refresh=True)
            try:
                time.sleep(_WATCH_S)
            except KeyboardInterrupt:
                sys.exit(0)


def _shown(health: dict[str, Any]) -> RenderableType:
    rows = sorted(_rows(health.get("checks")), key=lambda row: _rank(row[1]))
    table = Table(box=None, pad_edge=False)
    for column in ("check", "status", "observed"):
        table.add_column(column, style="dim" if column == "check" else "")
    for name, status, observed in rows:
        style = _STYLES.get(status, "")
        # Instances are called what a webhook calls them.
        table.add_row(
            Text(printable(name)), Text(printable(status), style=style), Text(printable(observed))
        )
    return Group(_headline(health, rows), *_hidden(health.get("checks")), "", table)


def _hidden(checks: Any) -> Iterator[Text]:
    """What a daemon that does not know us keeps to itself; a stranger is told the states alone."""
    if not isinstance(checks, dict):
        return
    every = [check for found in checks.values() if isinstance(found, list) for check in found]
    if every and not any(check.keys() - {"status"} for check in every if isinstance(check, dict)):
        yield Text(
            "It does not accept our token, so it tells no details; run this with the configuration"
            " and state_dir it runs with.",
            style=_STYLES["warn"],
        )


def _headline(health: dict[str, Any], rows: list[tuple[str, str, str]]) -> Text:
    status = str(health["status"])
    line = Text(f"EvoRelay {health.get('version', '')}: ")
    line.append(status, style=_STYLES.get(status, ""))
    troubled = sum(1 for _, found, _ in rows if found in ("warn", "fail"))
    if troubled:
        line.append(f", {troubled} of {len(rows)} checks")
    uptime = health.get("uptime_seconds")
    if isinstance(uptime, int | float):
        line.append(f", up for {readable_span(uptime)}")
    return line


def _rank(status: str) -> int:
    """What is unheard of comes before what is well."""
    return _BADNESS.index(status) if status in _BADNESS else 1


def _rows(checks: Any) -> Iterator[tuple[str, str, str]]:
    for name, found in checks.items() if isinstance(checks, dict) else ():
        for check in found if isinstance(found, list) else [found]:
            yield _row(str(name), check)


def _row(name: str, check: Any) -> tuple[str, str, str]:
    """Status, and what is wrong in words; only where nothing is wrong, the number observed."""
    if not isinstance(check, dict):
        return name, "", str(check)
    component = check.get("componentId")
    if component is not None:
        name = f"{name} {component}"
    return name, str(check.get("status", "")), str(check.get("output") or _observed(check))


def _observed(check: dict[str, Any]) -> str:
    value, unit = check.get("observedValue"), check.get("observedUnit")
    if isinstance(value, int | float) and unit == "bytes":
        shown = readable_bytes(value)
    elif isinstance(value, int | float) and unit == "s":
        shown = _span(value)
    elif unit == "found" and value == 0:
        shown = "none"
    else:
        shown = " ".join(str(part) for part in (value, unit) if part is not None)
    state = check.get("state")
    return shown if state is None else f"{state}, {shown}"


def _span(seconds: float) -> str:
    """Milliseconds where that is what it takes."""
    return f"{seconds * 1000:.0f} ms" if 0 <= seconds < 1 else readable_span(seconds)
