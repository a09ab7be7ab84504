"""The console's files, read once at the start and served from memory.

No build step and nothing from elsewhere: the policy below lets the page load its own scripts and
styles and talk to this daemon, and nothing more, so a message's text can never become code.
"""

import re
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct
from quart import Request, Response

from evorelay.edge.http.answers import empty_answer
from evorelay.model.errors import Code, Refusal

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src {connect}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_REVALIDATE = "no-cache"
_FOR_GOOD = "public, max-age=31536000, immutable"
"""For vendored files: their names carry their version."""


class Asset(Struct, frozen=True):
    body: bytes
    content_type: str
    etag: str
    """Without quotes."""
    cache_control: str


class ConsolePages:
    """The views. ``request`` is Quart's proxy for the current request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        root = files("evorelay") / "console"
        self._assets = {
            **_assets(root, _REVALIDATE),
            **_assets(root / "vendor", _FOR_GOOD, prefix="vendor/"),
        }

    async def page(self) -> Response:
        response = await self.asset("index.html")
        response.headers["Content-Security-Policy"] = content_security_policy(
            self._request.headers.get("Host", "")
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    async def asset(self, name: str) -> Response:
        asset = self._assets.get(name)
        if asset is None:
            raise Refusal(Code.NOT_FOUND, "the console has no such file")
        if self._request.if_none_match.contains_weak(asset.etag):
            response = empty_answer(304)
        else:
            response = Response(asset.body, content_type=asset.content_type)
        response.set_etag(asset.etag)
        response.headers["Cache-Control"] = asset.cache_control
        return response


def content_security_policy(host: str) -> str:
    """``host`` is the request's Host header: browsers differ on whether 'self' covers ws:."""
    connect = "'self'"
    if _HOST.fullmatch(host):
        connect += f" ws://{host} wss://{host}"
    return _POLICY.format(connect=connect)


def _assets(folder: Traversable, cache_control: str, prefix: str = "") -> dict[str, Asset]:
    assets = {}
    for file in folder.iterdir():
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            body = file.read_bytes()
            etag = sha256(body).hexdigest()[:32]
            assets[prefix + file.name] = Asset(body, content_type, etag, cache_control)
    return assets
