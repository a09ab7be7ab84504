"""Where the daemon is reached: URLs and the sample ``curl``, as pure functions of the config."""

import json
import shlex
from typing import NamedTuple

from evorelay.cli.tokens import CONSOLE_TTL_S
from evorelay.config import Config
from evorelay.model.errors import ConfigError
from evorelay.settings.values import UnixBind, host_in_url, is_every_address, parse_bind

MASK = "********"
SAMPLE_INSTANCE = "loja-centro"
"""One that ``--demo`` has: of another, health would say that Evolution does not know it."""


class Addresses(NamedTuple):
    webhook: str
    """To paste into Evolution."""
    console: str
    """The token is in the fragment, which browsers send to nobody."""
    curl: str
    """One command line that posts a sample message."""


def base_url(config: Config) -> str:
    """``http://127.0.0.1:4000`` for the configured bind, as seen from this machine.

    For a unix socket the host is ``localhost`` and means nothing. Raises ``ConfigError`` for
    port 0, which only the running daemon can tell.
    """
    bind = parse_bind(config.server.bind)
    scheme = "https" if config.server.tls_cert else "http"
    if isinstance(bind, UnixBind):
        return f"{scheme}://localhost"
    if bind.port == 0:
        raise ConfigError(
            "server.bind: port 0 is chosen at each start; see what serve printed, or fix the port"
        )
    return f"{scheme}://{host_in_url(bind.host)}:{bind.port}"


def addresses(
    config: Config, *, base: str, token: str | None, now_ms: int, masked: bool = False
) -> Addresses:
    """Build what a person needs to connect.

    ``base`` is where the daemon listens, ``token`` opens the console (None with
    ``auth.mode = "open"``), ``now_ms`` dates the sample message and makes it a new one.
    """
    bind = parse_bind(config.server.bind)
    secret = MASK if masked else config.webhook.secret
    webhook = f"{base}/hook/{secret}"
    console = f"{base}/console"
    if token is not None:
        console += f"#token={MASK if masked else token}"
    command = ["curl", "-sS"]
    if isinstance(bind, UnixBind):
        command += ["--unix-socket", bind.path]
    command += ["-H", "Content-Type: application/json", "-d", _sample(now_ms), webhook]
    return Addresses(webhook, console, shlex.join(command))


def hints(config: Config) -> list[str]:
    """What a person must know to use the addresses from elsewhere and later, one line each."""
    bind = parse_bind(config.server.bind)
    found = []
    if isinstance(bind, UnixBind):
        found.append(
            "Evolution cannot reach a unix socket: in place of http://localhost give it the public"
            " URL of your reverse proxy."
        )
    elif is_every_address(bind.host):
        here = host_in_url(bind.host)
        found.append(f"From other machines: put your public host name in place of {here}.")
    if config.auth.mode != "open":
        found.append(
            f"The console link works for {CONSOLE_TTL_S // 3600} h; `evorelay urls` prints a new"
            " one."
        )
    return found


def _sample(now_ms: int) -> str:
    message = {
        "event": "messages.upsert",
        "instance": SAMPLE_INSTANCE,
        "data": {
            "key": {
                "remoteJid": "5511900000000@s.whatsapp.net",
                "fromMe": False,
                "id": f"SAMPLE{now_ms:X}",
            },
            "pushName": "Maria",
            "message": {"conversation": "Oi! Meu pedido ja saiu para entrega?"},
            "messageType": "conversation",
            "messageTimestamp": now_ms // 1000,
        },
    }
    return json.dumps(message, separators=(",", ":"))
