"""What ``evorelay doctor`` asks at ``server.public_url``: does the proxy pass everything on.

Evolution and browsers come that way. Nothing is followed, changed or left behind by asking.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from evorelay.cli.findings import Findings
from evorelay.edge.ws import PATH as WEBSOCKET

_PATIENCE_S = 10.0
_ANSWER_BYTES_MAX = 64 * 1024
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "ZXZvcmVsYXkgZG9jdG9yIQ==",
}


def check_public(url: str, findings: Findings) -> None:
    """``url``: without a slash at its end. The daemon runs and is well."""
    about = "public address"
    try:
        trouble = _trouble(url) or _websocket_trouble(url)
    except (OSError, http.client.HTTPException) as error:
        findings.warn(
            about,
            f"{url} cannot be reached from here ({error or type(error).__name__}); see whether"
            " Evolution can",
        )
        return
    if trouble is None:
        findings.ok(about, f"{url} passes requests and WebSockets on")
    else:
        findings.fail(about, f"{url} {trouble}")


class _Answer(NamedTuple):
    status: int
    body: bytes


def _ask(url: str, method: str, path: str, headers: Mapping[str, str]) -> _Answer:
    """One request on a connection of its own; no redirect is followed.

    Raises ``OSError`` and ``HTTPException``.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(
            host, parts.port, timeout=_PATIENCE_S, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=_PATIENCE_S)
    )
    try:
        body = b"{}" if method == "POST" else None
        connection.request(method, parts.path + path, body, dict(headers))
        answer = connection.getresponse()
        return _Answer(answer.status, answer.read(_ANSWER_BYTES_MAX))
    finally:
        connection.close()


def _trouble(url: str) -> str | None:
    """What is wrong with how a POST gets through: EvoRelay itself answers this one 405."""
    status, body = _ask(url, "POST", "/livez", {"Content-Type": "application/json"})
    if 300 <= status < 400:
        return (
            f"answers a POST with a redirect ({status}): Evolution follows it as a GET"
            " and takes it for success; redirect nothing but pages"
        )
    if status == 405 and _is_ours(body):
        return None
    if status in (401, 403, 404):
        return (
            f"answers {status} itself, for which Evolution drops a webhook for good;"
            " pass every path on to EvoRelay"
        )
    return f"answers {status} instead of EvoRelay; pass every path on to it"


def _is_ours(body: bytes) -> bool:
    try:
        return "code" in json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return False


def _websocket_trouble(url: str) -> str | None:
    origin = "/".join(url.split("/")[:3])
    status, _ = _ask(url, "GET", WEBSOCKET, {**_UPGRADE, "Origin": origin})
    if status == 101:
        return None
    if status == 403:
        return (
            "does not say how browsers reach it, so that they are refused: put the proxy into"
            " server.trusted_proxies and have it send X-Forwarded-Proto and -Host, or list"
            f" {origin} in auth.allowed_origins"
        )
    return f"does not pass a WebSocket upgrade on ({status}); see systemd/proxy for how to"
