"""``evorelay status``: ask the running daemon how it is."""

import json
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evorelay.cli.addresses import base_url
from evorelay.cli.common import config_option, json_option, read_config
from evorelay.cli.tokens import console_token
from evorelay.config import Config
from evorelay.model.errors import RelayError
from evorelay.model.sizes import readable_bytes
from evorelay.secrets import ensure_secrets, secrets_path
from evorelay.settings.values import UnixBind, parse_bind

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
    base = base_url(config)
    bind = parse_bind(config.server.bind)
    headers = _credential(config)
    transport = httpx.HTTPTransport(
        uds=bind.path if isinstance(bind, UnixBind) else None,
        verify=_trust_of(config.server.tls_cert) if config.server.tls_cert else True,
        trust_env=False,
    )
    # trust_env off: a proxy of the environment must not see the token.
    with httpx.Client(transport=transport, timeout=_TIMEOUT_S, trust_env=False) as client:
        try:
            answer = client.get(f"{base}/webhook/health", headers=headers)
            health = answer.json()
        except httpx.HTTPError as error:
            raise RelayError(
                f"the daemon at {config.server.bind} cannot be reached"
                f" ({error or type(error).__name__}); start it with `evorelay serve`"
            ) from None
        except ValueError:
            health = None
    if answer.status_code == 401:
        raise RelayError(
            f"the daemon at {config.server.bind} does not accept our token;"
            " run this with the configuration and state_dir it runs with"
        )
    if not isinstance(health, dict) or "status" not in health:
        raise RelayError(
            f"what answers at {config.server.bind} is not EvoRelay (HTTP {answer.status_code});"
            " check server.bind"
        )
    return health


def _credential(config: Config) -> dict[str, str]:
    """Headers for the details; none before the first start, when there is no secret to sign with.

    Asking makes no secrets: they would be others than a daemon's with another ``state_dir``.
    """
    if not config.auth.jwt_secret and os.path.exists(secrets_path(config)):
        config = ensure_secrets(config)
    if not config.auth.jwt_secret:
        return {}
    token = console_token(config.auth, now_s=int(time.time()))
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _trust_of(cert_file: str) -> ssl.SSLContext:
    """Trust the daemon's own certificate and nothing else, whatever name it was made for."""
    pem = Path(cert_file).read_text()
    end = "-----END CERTIFICATE-----"
    leaf = pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=leaf)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False  # we dial our own bind address; the leaf itself is pinned
    return context


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
