"""``evorelay status``: ask the running daemon how it is."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evorelay.cli.common import config_option, json_option, read_config
from evorelay.cli.daemon import open_daemon
from evorelay.config import Config
from evorelay.model.sizes import readable_bytes

_TIMEOUT_S = 5.0
_STYLES = {"pass": "green", "warn": "yellow", "fail": "red"}


@click.command("status")
@config_option
@json_option
def command(config_file: Path | None, as_json: bool) -> None:
    """Show the health of the running daemon.

    Exit status 1 when it fails or cannot be reached.
    """
    health = _health(read_config(config_file))
    if as_json:
        click.echo(json.dumps(health))
    else:
        _show(health)
    sys.exit(0 if health.get("status") in ("pass", "warn") else 1)


def _health(config: Config) -> dict[str, Any]:
    with open_daemon(config, patience_s=_TIMEOUT_S) as daemon:
        answer = daemon.ask("GET", "/webhook/health")
        if not isinstance(answer.json, dict) or "status" not in answer.json:
            raise daemon.stranger(answer)
        return answer.json


def _show(health: dict[str, Any]) -> None:
    table = Table(title=f"EvoRelay {health.get('version', '')}: {health['status']}")
    table.add_column("check")
    table.add_column("status")
    table.add_column("observed")
    checks = health.get("checks")
    for name, found in checks.items() if isinstance(checks, dict) else ():
        for check in found if isinstance(found, list) else [found]:
            status, observed = _row(check)
            table.add_row(Text(str(name)), Text(status, style=_STYLES.get(status, "")), observed)
    Console().print(table)


def _row(check: Any) -> tuple[str, Text]:
    """Status, and what is wrong in words; only where nothing is wrong, the number observed."""
    if not isinstance(check, dict):
        return "", Text(str(check))
    return str(check.get("status", "")), Text(str(check.get("output") or _observed(check)))


def _observed(check: dict[str, Any]) -> str:
    value, unit = check.get("observedValue"), check.get("observedUnit")
    if unit == "bytes" and isinstance(value, int | float):
        return readable_bytes(value)
    return " ".join(str(part) for part in (value, unit) if part is not None)
