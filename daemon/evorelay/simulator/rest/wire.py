"""HTTP of the simulated REST API by hand, so that an answer can be cut, dripped or never come.

One task per connection. A handler is never cancelled because its client went away: Node does not
notice either, and a send whose client gave up is a send all the same.
"""

import math
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import msgspec
import trio
from msgspec import Struct

BODY_MAX_BYTES = 136 * 1024 * 1024
"""Evolution's own limit (research/evolution.md §4)."""
IDLE_S = 5.0
"""Node closes a connection that is quiet for this long; it says so in ``Keep-Alive``."""
DRIP_BYTES, DRIP_EVERY_S = 16, 0.1

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
Manner = Literal["whole", "cut", "drip", "reset", "never"]
"""``cut``: reset in the middle of the body; ``reset``: before a byte of the answer."""


class Request(Struct, frozen=True):
    method: str
    path: str
    """Still percent-encoded, without the query."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def segments(self) -> list[str]:
        return [unquote(part) for part in self.path.strip("/").split("/")]


class Answer(Struct, frozen=True):
    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = {}
    manner: Manner = "whole"


Handler = Callable[[Request], Awaitable[Answer]]


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(value))


async def serve(
    handler: Handler,
    listener: socket.socket,
    *,
    tls: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; takes the listener over. Starts with the base URL."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    plain = trio.SocketListener(trio.socket.from_stdlib_socket(listener))

    async def connection(stream: Stream) -> None:
        await _Connection(stream, handler).serve()

    async with trio.open_nursery() as nursery:
        listening = trio.SSLListener(plain, tls, https_compatible=True) if tls else plain
        await nursery.start(trio.serve_listeners, connection, [listening])
        task_status.started(f"{'https' if tls else 'http'}://{shown}:{port}")


class _Connection:
    def __init__(self, stream: Stream, handler: Handler) -> None:
        self._stream = stream
        self._handler = handler
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        try:
            while (request := await self._request()) is not None:
                answer = await self._handler(request)
                if not await self._answer(request, answer):
                    return
                self._http.start_next_cycle()
        except (h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client left, or speaks no HTTP
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _request(self) -> Request | None:
        """None: the client has closed, or was quiet for too long."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._send(go_on)
                with trio.move_on_after(IDLE_S if head is None else math.inf) as idle:
                    self._http.receive_data(bytes(await self._stream.receive_some(65_536)))
                if idle.cancelled_caught:
                    return None
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_MAX_BYTES:
                    return None
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return _request(head, bytes(body))
            else:
                return None

    async def _answer(self, request: Request, answer: Answer) -> bool:
        """False: the connection is over."""
        if answer.manner == "never":
            while await self._stream.receive_some(65_536):
                pass  # until the client has had enough
            return False
        if answer.manner == "reset":
            _reset(self._stream)
            return False
        head = self._http.send(_head(answer)) or b""
        if answer.manner == "cut":
            await self._stream.send_all(head + answer.body[: len(answer.body) // 2])
            _reset(self._stream)
            return False
        if answer.manner == "drip":
            await self._stream.send_all(head)
            for start in range(0, len(answer.body), DRIP_BYTES):
                await trio.sleep(DRIP_EVERY_S)
                await self._stream.send_all(answer.body[start : start + DRIP_BYTES])
            self._http.send(h11.Data(data=answer.body))
        else:
            body = b"" if request.method == "HEAD" else answer.body
            await self._stream.send_all(head + (self._http.send(h11.Data(data=body)) or b""))
        end = self._http.send(h11.EndOfMessage())
        if end:
            await self._stream.send_all(end)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _send(self, event: h11.InformationalResponse) -> None:
        await self._stream.send_all(self._http.send(event) or b"")


def _request(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode("latin-1"))
    return Request(
        head.method.decode(),
        target.path,
        dict(parse_qsl(target.query, keep_blank_values=True)),
        {name.decode(): value.decode("latin-1") for name, value in head.headers},
        body,
    )


def _head(answer: Answer) -> h11.Response:
    headers = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "keep-alive",
        "Keep-Alive": f"timeout={IDLE_S:.0f}",
        **answer.headers,
    }
    return h11.Response(
        status_code=answer.status,
        headers=list(headers.items()),
        reason=HTTPStatus(answer.status).phrase,
    )


def _reset(stream: Stream) -> None:
    """Close so that the other side sees a reset: with nothing more sent, and no goodbye of TLS."""
    plain = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    plain.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.socket.close()
