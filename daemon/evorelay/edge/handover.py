"""Handing one request to Hypercorn, and getting the connection back.

Hypercorn's ``TCPServer`` takes any Trio stream. It is given a stream that holds exactly one
request: when the next request begins, the stream ends, ``TCPServer`` returns, and the gate reads
that request with its own strict parser. So every head on a connection passes the gate, and a
proxy may send a WebSocket upgrade or a webhook down a connection that served something else.
``TCPServer`` is not documented API: hypercorn is pinned, and tests/edge/test_handover.py is the
contract.
"""

import logging
from typing import Any

import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from msgspec import Struct

from evorelay.edge.framestream import Transport
from evorelay.edge.inbound import Inbound, RequestBody
from evorelay.protocol.http_head import BadRequest, Head

SEND_TIMEOUT_S = 30.0
"""For 64 KiB of an answer. Hypercorn shields its sends from cancellation (measured), so a reader
that stalls must be cut off down here."""


class RequestContext(Struct, frozen=True):
    """What the gate knows about a request and ASGI has no place for."""

    peer: str | None
    secure: bool


class Handover:
    def __init__(self, app: Any) -> None:
        """``app`` is an ASGI 3 application; its lifespan is not used."""
        self._app = app
        self._context = WorkerContext(None)
        self._config = HypercornConfig()
        self._config.include_server_header = False
        self._config.errorlog = logging.getLogger("evorelay.http")
        self._config.accesslog = None
        # Idle time and heads are the gate's business: it closes or re-reads the connection.
        self._config.keep_alive_timeout = 3600.0

    async def serve(
        self, transport: Transport, inbound: Inbound, head: Head, context: RequestContext
    ) -> bool:
        """Have one request answered; whether the connection can carry another one."""
        stream = _OneRequest(transport, inbound, head)

        async def app(
            scope: Any, receive: Any, send: Any, _sync_spawn: Any, _call_soon: Any
        ) -> None:
            if scope["type"] != "http":
                return
            scope["evorelay.peer"] = context.peer
            scope["scheme"] = "https" if context.secure else "http"
            try:
                await self._app(scope, receive, send)
            finally:
                stream.mark_answered()

        await TCPServer(app, self._config, self._context, {}, stream)  # type: ignore[arg-type]  # annotated for SSLStream, uses these methods
        return stream.is_reusable


class _OneRequest(trio.abc.Stream):
    """One request going in, its answer coming out; then the end of the stream."""

    def __init__(self, transport: Transport, inbound: Inbound, head: Head) -> None:
        self._transport = transport
        self._inbound = inbound
        self._head: bytes | None = head.canonical()
        self._body = RequestBody(inbound, head)
        self._receiving: trio.CancelScope | None = None
        self._answered = trio.Event()
        self._ended = False
        self._closed_by_server = False
        self.socket = (
            transport if isinstance(transport, trio.SocketStream) else transport.transport_stream
        ).socket

    @property
    def is_reusable(self) -> bool:
        """Whether the next request has begun, on a connection Hypercorn did not mean to close."""
        return bool(self._inbound.buffer) and not self._closed_by_server

    def mark_answered(self) -> None:
        """The application is done: every byte of the answer has been written."""
        self._answered.set()
        self._inbound.busy = False
        self._inbound.scope.deadline = trio.current_time() + self._inbound.idle_timeout

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._head is not None:
            await trio.lowlevel.checkpoint()
            data, self._head = self._head, None
            return data
        data = b""
        with trio.CancelScope() as self._receiving:
            if not self._body.is_complete:
                data = await self._body_bytes()
            else:
                await self._next_request()
        if not data:
            self._ended = True
        return data

    async def _body_bytes(self) -> bytes:
        try:
            return await self._body.receive()
        except BadRequest:
            self._closed_by_server = True
            return b""

    async def _next_request(self) -> None:
        """Return at the first sign of another request, or when the peer is gone.

        It listens while the request is still being worked on, so that a peer that hangs up has
        its handler cancelled; a pipelined request waits for the answer before it.
        """
        if await self._inbound.next_bytes(float("inf")):
            await self._answered.wait()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            with trio.move_on_after(SEND_TIMEOUT_S) as patience:
                await self._transport.send_all(view[:65536])
            if patience.cancelled_caught:
                raise trio.BrokenResourceError("the client does not read its answer")
            view = view[65536:]

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Hypercorn ends every connection this way; the gate decides about the real one."""

    async def aclose(self) -> None:
        if not self._ended:
            self._closed_by_server = True
        if self._receiving is not None:
            self._receiving.cancel()
        await trio.lowlevel.checkpoint()
