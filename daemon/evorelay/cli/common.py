"""What several commands share: the options, reading the configuration, durations as arguments."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from evorelay.config import LONGEST_S, Config
from evorelay.config_load import load_config
from evorelay.model.errors import RelayError
from evorelay.secrets import ensure_secrets, secrets_path
from evorelay.settings.values import parse_seconds

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="TOML file; default /etc/evorelay/evorelay.toml if it is there.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Duration(click.ParamType[float]):
    """``90``, ``30m``, ``12h``: seconds as a float, above zero and at most 100 years."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = value if isinstance(value, float) else parse_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail("must be more than 0", param, ctx)
        if seconds > LONGEST_S:
            self.fail("must be at most 100 years", param, ctx)
        return seconds


class Moment(click.ParamType[datetime]):
    """``2h`` ago, or an RFC 3339 time."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromtimestamp(time.time() - parse_seconds(value), UTC)
        except (ValueError, OverflowError, OSError):
            pass
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail("is no moment; write 2h, 7d, or 2026-11-22T08:00:00-03:00", param, ctx)
        if moment.tzinfo is None:
            self.fail("lacks its time zone; write it like 2026-11-22T08:00:00-03:00", param, ctx)
        return moment


def check_owner(config: Config) -> None:
    """Before anything is written beside a daemon's files: refuse to be root where another user runs
    the daemon, which could not open then what root has made. Raises ``RelayError``."""
    with suppress(FileNotFoundError):
        owner = os.stat(config.state_dir).st_uid
        if os.geteuid() == 0 and owner != 0:
            raise RelayError(
                f"{config.state_dir} belongs to another user than root, and so must its files:"
                f" run this as that user (sudo -u '#{owner}' evorelay …)"
            )


def read_config(config_file: Path | None) -> Config:
    """Load the configuration as written. Raises ``ConfigError``; changes nothing."""
    return load_config(config_file, os.environ)


def config_with_secrets(config_file: Path | None, *, quiet: bool = False) -> Config:
    """Load the configuration and fill in generated secrets, making them if need be.

    Says so on standard error when they are new, unless ``quiet``: a command that runs before the
    daemon, or beside it with another ``state_dir``, would else show secrets nobody uses.
    """
    config = read_config(config_file)
    path = secrets_path(config)
    existed = os.path.exists(path)
    config = ensure_secrets(config)
    if not quiet and not existed and os.path.exists(path):
        click.echo(
            f"evorelay: made new secrets in {path}; a daemon with another state_dir has its own",
            err=True,
        )
    return config


def config_for_signing(config_file: Path | None) -> Config:
    """Load the configuration with a secret to sign tokens; make one only where none is set."""
    config = read_config(config_file)
    return config if config.auth.jwt_secret else config_with_secrets(config_file)
