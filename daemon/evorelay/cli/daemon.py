"""The running daemon as commands ask it: over HTTP, with a token signed with its own secret."""

import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from evorelay.cli.addresses import base_url
from evorelay.cli.tokens import console_token
from evorelay.config import Config
from evorelay.model.errors import RelayError
from evorelay.secrets import ensure_secrets, secrets_path
from evorelay.settings.values import UnixBind, parse_bind

_CONNECT_S = 5.0


class Answer(NamedTuple):
    status: int
    json: Any
    """None when the answer is no JSON."""


class Daemon:
    def __init__(self, client: httpx.Client, config: Config) -> None:
        self._client = client
        self._bind = config.server.bind

    def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """One request, whatever its answer is; ``path`` with its slash, ``body`` as JSON.

        Raises ``RelayError`` in one line when nobody answers, or does not know us.
        """
        try:
            answer = self._client.request(method, path, params=query, json=body)
        except httpx.TimeoutException:
            raise RelayError(
                f"the daemon at {self._bind} does not answer: it is stuck, or the machine is"
                " overloaded (top). If it lasts: systemctl restart evorelay"
            ) from None
        except httpx.HTTPError as error:
            raise RelayError(
                f"the daemon at {self._bind} cannot be reached"
                f" ({error or type(error).__name__}), so no webhook is taken; Evolution keeps them"
                " for about 20 minutes. Why it ended: `journalctl -u evorelay`; start it with"
                " `systemctl start evorelay`, or `evorelay serve`"
            ) from None
        if answer.status_code == 401:
            raise RelayError(
                f"the daemon at {self._bind} does not accept our token;"
                " run this with the configuration and state_dir it runs with"
            )
        try:
            return Answer(answer.status_code, answer.json())
        except ValueError:
            return Answer(answer.status_code, None)

    def stranger(self, answer: Answer) -> RelayError:
        """What to raise for an answer that the daemon does not give."""
        return RelayError(
            f"what answers at {self._bind} is not EvoRelay (HTTP {answer.status});"
            " check server.bind"
        )


@contextmanager
def open_daemon(config: Config, *, patience_s: float) -> Iterator[Daemon]:
    """``patience_s``: how long one answer may take. Raises ``ConfigError`` for port 0."""
    bind = parse_bind(config.server.bind)
    transport = httpx.HTTPTransport(
        uds=bind.path if isinstance(bind, UnixBind) else None,
        verify=_trust_of(config.server.tls_cert) if config.server.tls_cert else True,
        trust_env=False,
    )
    with httpx.Client(
        base_url=base_url(config),
        headers=_credential(config),
        transport=transport,
        timeout=httpx.Timeout(patience_s, connect=_CONNECT_S),
        trust_env=False,  # a proxy of the environment must not see the token
    ) as client:
        yield Daemon(client, config)


def _credential(config: Config) -> dict[str, str]:
    """Nothing before the first start, when there is no secret to sign with.

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
