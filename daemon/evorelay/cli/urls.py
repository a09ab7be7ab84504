"""``evorelay urls``: where to point Evolution and a browser."""

import json
import time
from pathlib import Path

import click

from evorelay.cli.addresses import addresses, base_url, hints
from evorelay.cli.common import config_option, config_with_secrets, json_option
from evorelay.cli.tokens import console_token


@click.command("urls")
@config_option
@json_option
def command(config_file: Path | None, as_json: bool) -> None:
    """Print the webhook and console URLs.

    With their secrets, and with a curl that posts a sample message.
    """
    config = config_with_secrets(config_file)
    now_s = int(time.time())
    found = addresses(
        config,
        base=base_url(config),
        token=console_token(config.auth, now_s=now_s),
        now_ms=now_s * 1000,
    )
    if as_json:
        click.echo(json.dumps(found._asdict()))
    else:
        lines = [f"Webhook URL  {found.webhook}", f"Console      {found.console}", ""]
        click.echo("\n".join([*lines, *hints(config), "", found.curl]))
