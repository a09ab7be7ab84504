"""WebSocket connections: handshake, origin, one dialect per path, and a close that cannot hang."""

import re

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest

from evorelay.config import AuthConfig
from evorelay.edge.answering import refusal_in_words
from evorelay.edge.auth import is_open_to, open_principal
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.engineio.websocket import WebSockets, answer_to
from evorelay.edge.framestream import Flusher, FrameStream, Transport
from evorelay.edge.request_context import RequestContext
from evorelay.edge.ws_connection import Connection
from evorelay.model.close import Close
from evorelay.protocol.engineio import Fault
from evorelay.protocol.http_head import Head
from evorelay.protocol.origin import OriginPolicy
from evorelay.relay.ingest import Answer

PATH = "/connection/websocket"
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
HANDSHAKE_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
"""trio-websocket's own close waits up to 60 s for a stalled peer (measured)."""


class WebSocketEdge:
    def __init__(
        self,
        centrifuge: CentrifugeEdge,
        auth: AuthConfig,
        flusher: Flusher,
        engineio: WebSockets,
    ) -> None:
        self._centrifuge = centrifuge
        self._auth = auth
        self._origins = OriginPolicy(auth.allowed_origins)
        self._flusher = flusher
        self._engineio = engineio

    def refusal(self, head: Head, context: RequestContext) -> Answer | None:
        """How to refuse an upgrade; None accepts it."""
        is_engineio = self._engineio.serves(head.target)
        if not is_engineio and head.target.partition("?")[0] != PATH:
            return refusal_in_words(404, f"no WebSocket here; connect to {PATH}")
        if head.header(b"sec-websocket-version") != "13":
            return refusal_in_words(400, "WebSocket version 13 is spoken here")
        if head.content_length or head.chunked or not _KEY.fullmatch(_key(head)):
            return refusal_in_words(400, "this is not a WebSocket handshake")
        origin = head.header(b"origin")
        if not self._origins.allows(origin, scheme=context.scheme, host=context.host):
            if is_engineio:
                return answer_to(Fault.FORBIDDEN)
            return refusal_in_words(403, "this origin is not in auth.allowed_origins")
        return self._engineio.refusal(head) if is_engineio else None

    async def serve(self, transport: Transport, head: Head, *, peer: str | None) -> None:
        """Serve an upgrade that ``refusal`` let in; returns when we are done with it."""
        stream = FrameStream(transport, _handshake(head), self._flusher)
        reason = None
        async with trio.open_nursery() as nursery:
            try:
                ws = await self._accept(nursery, stream)
                if ws is not None:
                    reason = await self._speak(ws, stream, head, peer)
                    await _close(ws, reason)
            finally:
                nursery.cancel_scope.cancel()
                with trio.move_on_after(0.1, shield=True):
                    await stream.aclose()
        if reason is not None:
            await transport.aclose()  # the peer has had its time to read why

    async def _speak(
        self, ws: Connection, stream: FrameStream, head: Head, peer: str | None
    ) -> Close | None:
        """Speak the path's dialect until somebody ends it; why we do, if we do."""
        if self._engineio.serves(head.target):
            return await self._engineio.serve(ws, stream, head, peer=peer)
        is_open = is_open_to(self._auth, peer=peer, headers=head.headers)
        return await self._centrifuge.serve(
            ws, stream, trusted=open_principal() if is_open else None
        )

    async def _accept(self, nursery: trio.Nursery, stream: FrameStream) -> Connection | None:
        """Shake hands; None when the client has left or does not take our answer in time."""
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            connection = Connection(stream)
            nursery.start_soon(connection._reader_task)
            try:
                request: WebSocketRequest = await connection._get_request()
                await request.accept()
                return connection
            except ConnectionClosed:
                return None
        return None


def _key(head: Head) -> str:
    return head.header(b"sec-websocket-key") or ""


def _handshake(head: Head) -> bytes:
    """The handshake as the WebSocket library shall see it: what was judged, and nothing else."""
    return (
        f"GET {PATH} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_key(head)}\r\n\r\n"
    ).encode()


async def _close(ws: Connection, reason: Close | None) -> None:
    """Say why, wait a little for the peer's answer, and end it either way."""
    with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
        if reason is None:
            await ws.aclose()
        else:
            await ws.aclose(reason.code, reason.reason)
