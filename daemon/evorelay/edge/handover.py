"""Handing one request to Hypercorn, and getting the connection back.

Hypercorn's ``TCPServer`` takes any Trio stream. It is given a stream that holds exactly one
request, and it is stopped when that is answered; the gate reads the next request with its own
strict parser. So every head on a connection passes the gate, and a proxy may send a WebSocket
upgrade or a webhook down a connection that served something else. ``TCPServer`` is not documented
API: hypercorn is pinned, and tests/edge/test_handover.py is the contract.
"""

import logging
from typing import Any

import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from evorelay.edge.framestream import Transport
from evorelay.edge.inbound import Inbound, RequestBody
from evorelay.edge.request_context import RequestContext
from evorelay.protocol.http_head import BadRequest, Head

SEND_TIMEOUT_S = 30.0
"""For 64 KiB of an answer. Hypercorn shields its sends from cancellation (measured), so a reader
that stalls must be cut off down here."""


class Handover:
    def __init__(self, app: Any, *, send_timeout_s: float = SEND_TIMEOUT_S) -> None:
        """``app`` is an ASGI 3 application; its lifespan is not used."""
        self._app = app
        self._send_timeout_s = send_timeout_s
        self._context = WorkerContext(None)
        self._config = HypercornConfig()
        self._config.include_server_header = False
        self._config.errorlog = logging.getLogger("evorelay.http")
        self._config.accesslog = None
        # Idle time is the gate's business: what waits in here is still being answered.
        self._config.keep_alive_timeout = 3600.0

    def close_asap(self) -> None:
        """Let every answer from now on say ``Connection: close``."""
        self._config.keep_alive_max_requests = 0

    async def serve(
        self, transport: Transport, inbound: Inbound, head: Head, context: RequestContext
    ) -> bool:
        """Have one request answered; whether the connection can carry another one."""
        stream = _OneRequest(transport, inbound, head, self._send_timeout_s)
        finished = trio.CancelScope()
        is_reusable = False

        async def app(
            scope: Any, receive: Any, send: Any, _sync_spawn: Any, _call_soon: Any
        ) -> None:
            nonlocal is_reusable

            async def receive_on_demand() -> Any:
                stream.demand()
                return await receive()

            async def send_the_end_apart(message: Any) -> None:
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    if message.get("body"):
                        await send({**message, "more_body": True})
                    message = {"type": "http.response.body", "more_body": False}
                    stream.is_ending = True
                await send(message)

            scope["evorelay.peer"] = context.peer
            scope["scheme"] = "https" if context.secure else "http"
            try:
                await self._app(scope, receive_on_demand, send_the_end_apart)
            finally:
                if stream.is_ended:
                    # Hypercorn would wait for the next request now. An answer that is missing or
                    # cut short is left to it: it says 500, or closes.
                    is_reusable = not stream.is_closed
                    finished.cancel()

        with finished:
            await TCPServer(app, self._config, self._context, {}, stream)  # type: ignore[arg-type]  # annotated for SSLStream, uses these methods
        inbound.scope.deadline = float("inf")
        return is_reusable


class _OneRequest(trio.abc.Stream):
    """One request going in, its answer coming out; then nothing more."""

    def __init__(
        self, transport: Transport, inbound: Inbound, head: Head, send_timeout_s: float
    ) -> None:
        self._transport = transport
        self._inbound = inbound
        self._send_timeout_s = send_timeout_s
        self._head: bytes | None = head.canonical()
        self._body = RequestBody(inbound, head)
        self._demanded = trio.Event()
        self._receiving = trio.CancelScope()
        self._is_answering = False
        self.is_ending = False
        """Whether what is sent from now on is the end of the answer, without any of its body."""
        self.is_ended = False
        """Whether that has been written."""
        self.is_closed = False
        """Whether Hypercorn, or a failure, means the connection to end."""
        self.socket = (
            transport if isinstance(transport, trio.SocketStream) else transport.transport_stream
        ).socket

    def demand(self) -> None:
        """The application wants more of the body."""
        self._demanded.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._head is not None:
            data, self._head = self._head, None
            return data
        data = b""
        with trio.CancelScope() as self._receiving:
            if self._body.is_complete:
                await self._hang_up()
            elif not self.is_closed:
                data = await self._body_bytes()
        return data

    async def _body_bytes(self) -> bytes:
        """A part of the body, read when the application asks: the socket holds the rest back.

        What came with the head is passed on unasked, so that an application that looks at no body
        does not cost a client its connection for a small one.
        """
        if not self._inbound.buffer:
            await self._demanded.wait()
        self._demanded = trio.Event()
        if not self._is_answering:
            self._inbound.owes = "body"
        try:
            data = await self._body.receive()
        except BadRequest:
            data = b""  # Hypercorn answers 400 to a body that ends too early
        self._inbound.owes = ""
        return data

    async def _hang_up(self) -> None:
        """Wait until the peer hangs up, so that the application hears of it.

        What the peer sends behind its request stays in the inbound buffer, for the gate.
        """
        if not self.is_closed and await self._inbound.next_bytes():
            await trio.sleep_forever()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        if bytes(view[:12]) != b"HTTP/1.1 100":
            self._is_answering = True
            self._inbound.owes = ""
        while view:
            if self.is_closed:
                raise trio.BrokenResourceError("the connection is over")
            with trio.move_on_after(self._send_timeout_s) as patience:
                await self._transport.send_all(view[:65536])
            if patience.cancelled_caught:
                self._close()
                raise trio.BrokenResourceError("the client does not read its answer")
            view = view[65536:]
        if self.is_ending:
            self.is_ended = True
            # Hypercorn now tells the application of the end, through a queue that is full when a
            # hostile body came in very many chunks: it would wait for ever.
            self._inbound.allow(self._send_timeout_s)

    async def wait_send_all_might_not_block(self) -> None:
        await self._transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Hypercorn ends every connection this way; the gate decides about the real one."""

    async def aclose(self) -> None:
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        self.is_closed = True
        self._receiving.cancel()
