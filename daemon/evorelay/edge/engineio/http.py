"""One HTTP request of a polling client, and its answer. Which pages may read it is said here."""

import re

from evorelay.edge.answering import REASONS, send
from evorelay.edge.framestream import Transport
from evorelay.edge.inbound import Inbound
from evorelay.edge.request_context import RequestContext
from evorelay.model.errors import RETRY_AFTER_S, Code
from evorelay.model.views import encode_json
from evorelay.protocol.engineio import Fault
from evorelay.protocol.http_head import Head

JSON = "application/json"
TEXT = "text/plain; charset=UTF-8"
HTML = "text/html"
SLICE_BYTES = 64 * 1024
"""Written at a time, so that the progress of a slow client shows."""
_METHODS = "GET, POST, OPTIONS"
_ALLOWED_HEADERS = "Authorization, Content-Type"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:, ?[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_HEADER_NAMES_MAX = 1024
_PREFLIGHT_AGE_S = 7200
"""More than two hours no browser remembers."""


class Exchange:
    """A request to be answered once. Each answer returns whether the connection may go on."""

    def __init__(
        self, transport: Transport, inbound: Inbound, head: Head, context: RequestContext
    ) -> None:
        self.transport = transport
        self.inbound = inbound
        self.head = head
        self.context = context
        self.keeps = head.keep_alive and not (head.chunked or head.content_length)
        """Whether the connection can carry another request; a body has to be read first."""
        self._cors = ""

    def allow_page(self) -> None:
        """Let the page that sent this, if one did, read the answer."""
        origin = self.head.header(b"origin")
        if origin is not None:
            self._cors = (
                f"Access-Control-Allow-Origin: {origin}\r\n"
                "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
            )

    def head_of(self, status: int, kind: str, size: int, extra: str = "") -> bytes:
        """The head of an answer with a body of ``size`` bytes."""
        if not self.keeps:
            extra += "Connection: close\r\n"
        elif self.head.version == "1.0":
            extra += "Connection: keep-alive\r\n"
        if status != 204:
            extra += f"Content-Type: {kind}\r\nContent-Length: {size}\r\n"
        return (
            f"HTTP/1.1 {status} {REASONS[status]}\r\n"
            f"Cache-Control: no-store\r\n{self._cors}{extra}\r\n"
        ).encode("latin-1")

    async def answer(self, status: int, body: bytes, kind: str, extra: str = "") -> bool:
        data = self.head_of(status, kind, len(body), extra)
        if self.head.method != "HEAD":
            data += body
        await send(self.transport, self.inbound, data)
        return self.keeps

    async def refuse(self, fault: Fault) -> bool:
        return await self.answer(fault.status, fault.body, JSON)

    async def preflight(self) -> bool:
        """Answer a browser that asks whether its page may send the request it has in mind.

        A page of ours may send any header: it was named in full, and headers grant nothing here.
        """
        asked = self.head.header(b"access-control-request-headers") or ""
        is_plain = len(asked) <= _HEADER_NAMES_MAX and _HEADER_NAMES.fullmatch(asked)
        return await self.answer(
            204,
            b"",
            TEXT,
            f"Access-Control-Allow-Methods: {_METHODS}\r\n"
            f"Access-Control-Allow-Headers: {asked if is_plain else _ALLOWED_HEADERS}\r\n"
            f"Access-Control-Max-Age: {_PREFLIGHT_AGE_S}\r\n",
        )


NO_ROOM = encode_json(
    {"error": {"code": Code.UNAVAILABLE.code, "message": "there is no room now; try again"}}
)
RETRY_AFTER = f"Retry-After: {RETRY_AFTER_S}\r\n"
