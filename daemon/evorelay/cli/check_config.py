"""``evorelay check-config``: everything that is wrong with the configuration, at once."""

import json
import sys
from pathlib import Path

import click

from evorelay.cli.common import config_option, json_option, read_config
from evorelay.model.errors import ConfigError


@click.command("check-config")
@config_option
@json_option
def command(config_file: Path | None, as_json: bool) -> None:
    """Say what is wrong with the configuration.

    Everything at once; starts nothing and changes no file.
    """
    if not as_json:
        read_config(config_file)
        click.echo("The configuration is fine.")
        return
    try:
        read_config(config_file)
    except ConfigError as error:
        click.echo(json.dumps({"ok": False, "problems": str(error).splitlines()}))
        sys.exit(2)
    click.echo(json.dumps({"ok": True, "problems": []}))
