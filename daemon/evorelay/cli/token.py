"""``evorelay token``: a credential for an agent, a script or a test."""

import json
import time
from pathlib import Path

import click
import msgspec

from evorelay.cli.common import Duration, config_for_signing, config_option, json_option
from evorelay.cli.tokens import sign_token
from evorelay.model.clock import utc
from evorelay.model.principal import Role


@click.command("token")
@click.option("--sub", required=True, metavar="ID", help="Who it is: the agent's id.")
@click.option("--name", metavar="NAME", help="What colleagues see.")
@click.option(
    "--role",
    type=click.Choice(["agent", "supervisor", "admin"]),
    default="agent",
    show_default=True,
)
@click.option(
    "--instances",
    default="*",
    show_default=True,
    metavar="A,B|*",
    help="WhatsApp instances whose tickets it may see.",
)
@click.option(
    "--ttl", type=Duration(), default="12h", show_default=True, help="Valid for this long."
)
@config_option
@json_option
def command(
    sub: str,
    name: str | None,
    role: Role,
    instances: str,
    ttl: float,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Print a JWT signed with the configured secret."""
    for option, value in (("--sub", sub), ("--name", name)):
        if value is not None and not value.strip():
            raise click.BadParameter("must not be empty", param_hint=f"'{option}'")
    granted = _instances(instances)
    config = config_for_signing(config_file)
    now_s = int(time.time())
    ttl_s = max(1, round(ttl))
    token = sign_token(
        config.auth,
        sub=sub,
        name=name,
        role=role,
        instances=granted,
        now_s=now_s,
        ttl_s=ttl_s,
    )
    if as_json:
        expires_at = msgspec.to_builtins(utc((now_s + ttl_s) * 1000))
        click.echo(json.dumps({"token": token, "expires_at": expires_at}))
    else:
        click.echo(token)


def _instances(text: str) -> list[str] | str:
    names = [name.strip() for name in text.split(",")]
    if names == ["*"]:
        return "*"
    if "" in names or "*" in names:
        raise click.BadParameter(
            "has an empty name, or * beside others; write names like a,b, or * alone for all",
            param_hint="'--instances'",
        )
    return names
