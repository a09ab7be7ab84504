"""The ``evorelay`` command: its subcommands, and what an error looks like to a person.

Exit status: 0 it worked, 1 it failed, 2 unusable arguments or configuration. An error is one line
on standard error per thing to change; a traceback means a bug of ours.
"""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from evorelay.model.errors import ConfigError, RelayError, StoreInUse

_COMMANDS = {
    "serve": "serve",
    "urls": "urls",
    "token": "token",
    "status": "status",
    "doctor": "doctor",
    "backup": "backup",
    "replay": "replay",
    "reconcile": "reconcile",
    "fsck": "fsck",
    "export": "export",
    "erase": "erase",
    "check-config": "check_config",
    "simulate": "simulate",
    "version": "version",
}
"""Command -> module of this package. Loaded when called, so that small commands are quick."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"evorelay.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run and leave the process with the documented exit status."""
        extra["standalone_mode"] = False
        try:
            sys.exit(super().main(args, *rest, **extra))
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(2)
        except click.ClickException as error:
            where = (
                error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
            )
            hint = f" (see {where} --help)" if where else ""
            _fail([error.format_message().replace("\n", " ") + hint], error.exit_code)
        except click.Abort:
            sys.exit(130)
        except RelayError as error:
            _fail_with([error])
        except BaseExceptionGroup as group:
            faults = _faults(group)
            if faults is None:
                raise
            _fail_with(faults)


def _faults(error: BaseException) -> list[RelayError] | None:
    """The operational faults behind an error; None when there is a bug among them."""
    from evorelay.runtime.supervisor import ServiceFailed  # late: it brings trio

    if isinstance(error, RelayError):
        return [error]
    if isinstance(error, ServiceFailed) and error.__cause__ is not None:
        return _faults(error.__cause__)
    if not isinstance(error, BaseExceptionGroup):
        return None
    found: list[RelayError] = []
    for part in error.exceptions:
        faults = _faults(part)
        if faults is None:
            return None
        found += faults
    return found


def _fail_with(errors: list[RelayError]) -> NoReturn:
    """A store in use is a configuration that cannot work: another daemon has this state_dir."""
    unusable = any(isinstance(error, ConfigError | StoreInUse) for error in errors)
    _fail([line for error in errors for line in str(error).splitlines()], 2 if unusable else 1)


def _fail(lines: list[str], status: int) -> NoReturn:
    from evorelay.telemetry.journald import is_journal, prefixed  # late: seldom needed

    told = [f"evorelay: {line}" for line in lines]
    if is_journal(2, os.environ):
        told = [prefixed(line, logging.ERROR) for line in told]
    for line in told:
        click.echo(line, err=True)
    sys.exit(status)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def main() -> None:
    """WhatsApp webhooks from Evolution API, durably, onto every support agent's screen."""
