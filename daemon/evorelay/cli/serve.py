"""``evorelay serve``: run the daemon, and tell the person at the terminal how to reach it."""

import contextlib
import faulthandler
import json
import resource
import sys
import time
from functools import partial
from pathlib import Path

import click

from evorelay.cli.addresses import Addresses, addresses, base_url, hints
from evorelay.cli.common import config_option, config_with_secrets, json_option
from evorelay.cli.tokens import console_token
from evorelay.config import Config
from evorelay.settings.values import UnixBind, parse_bind
from evorelay.simulator.options import DEMO_INSTANCES


@click.command("serve")
@click.option("--demo", is_flag=True, help="Also run a simulated Evolution API.")
@config_option
@json_option
def command(demo: bool, config_file: Path | None, as_json: bool) -> None:
    """Run the daemon until SIGTERM or Ctrl-C."""
    config = config_with_secrets(config_file, quiet=True)
    if demo and isinstance(parse_bind(config.server.bind), UnixBind):
        raise click.UsageError("--demo posts over TCP; give server.bind as host:port")

    import trio  # late: a wrong configuration is told before the daemon is loaded

    from evorelay.app import serve

    # One descriptor for each connection; a shell gives 1,024 of the many there may be.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # what we have is what we keep
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    faulthandler.enable(2)  # where it hangs when systemd's watchdog aborts it: lines, no values

    def on_ready(base: str) -> None:
        masked = not sys.stdout.isatty()
        found = _addresses_now(config, base, masked=masked)
        if as_json:
            click.echo(json.dumps({"ready": True, **found._asdict()}))
        else:
            click.echo(_welcome(found, [*hints(config), *_notes(demo=demo, masked=masked)]))

    sys.exit(trio.run(partial(serve, config, demo=demo, on_ready=on_ready)))


def _addresses_now(config: Config, base: str, *, masked: bool) -> Addresses:
    if isinstance(parse_bind(config.server.bind), UnixBind):
        base = base_url(config)
    now_s = int(time.time())
    token = console_token(config.auth, now_s=now_s)
    return addresses(config, base=base, token=token, now_ms=now_s * 1000, masked=masked)


def _notes(*, demo: bool, masked: bool) -> list[str]:
    notes = []
    if masked:
        notes.append("Secrets are masked here; `evorelay urls` prints them.")
    if demo:
        notes.append(
            f"A simulated Evolution API with {DEMO_INSTANCES} instances is posting; Ctrl-C ends it."
        )
    return notes


def _welcome(found: Addresses, notes: list[str]) -> str:
    return "\n".join(
        [
            "EvoRelay is ready.",
            "",
            f"  Webhook URL for Evolution  {found.webhook}",
            f"  Console                    {found.console}",
            "",
            "Post a sample message:",
            f"  {found.curl}",
            "",
            *notes,
        ]
    ).rstrip("\n")
