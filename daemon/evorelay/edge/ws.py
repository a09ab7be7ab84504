"""WebSocket connections: handshake, origin, one dialect per path, and a close that cannot hang."""

import re
from dataclasses import replace

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from evorelay.config import AuthConfig
from evorelay.edge.auth import is_open_to, open_principal
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.framestream import Flusher, FrameStream, Transport
from evorelay.model.close import Close
from evorelay.protocol.http_head import Head
from evorelay.protocol.origin import OriginPolicy

PATH = "/connection/websocket"
MESSAGE_BYTES_MAX = 64 * 1024
"""One client message, all fragments together. The largest honest one is a batch of subscribes."""
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
HANDSHAKE_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
"""trio-websocket's own close waits up to 60 s for a stalled peer (measured)."""


class WebSocketEdge:
    def __init__(self, centrifuge: CentrifugeEdge, auth: AuthConfig, flusher: Flusher) -> None:
        self._centrifuge = centrifuge
        self._auth = auth
        self._origins = OriginPolicy(auth.allowed_origins)
        self._flusher = flusher

    def refusal(self, head: Head, *, scheme: str, host: str | None) -> tuple[int, str] | None:
        """Status and reason to refuse an upgrade with; None accepts it."""
        if head.target.partition("?")[0] != PATH:
            return 404, f"no WebSocket here; connect to {PATH}"
        if head.header(b"sec-websocket-version") != "13":
            return 400, "WebSocket version 13 is spoken here"
        if head.content_length or head.chunked or not _KEY.fullmatch(_key(head)):
            return 400, "this is not a WebSocket handshake"
        if not self._origins.allows(head.header(b"origin"), scheme=scheme, host=host):
            return 403, "this origin is not in auth.allowed_origins"
        return None

    async def serve(self, transport: Transport, head: Head, *, peer: str | None) -> None:
        """Serve an upgrade that ``refusal`` let in; returns when we are done with it."""
        trusted = (
            open_principal() if is_open_to(self._auth, peer=peer, headers=head.headers) else None
        )
        stream = FrameStream(transport, _handshake(head), self._flusher)
        reason = None
        async with trio.open_nursery() as nursery:
            try:
                ws = await self._accept(nursery, stream)
                if ws is not None:
                    reason = await self._centrifuge.serve(ws, stream, trusted=trusted)
                    await _close(ws, reason)
            finally:
                nursery.cancel_scope.cancel()
                with trio.move_on_after(0.1, shield=True):
                    await stream.aclose()
        if reason is not None:
            await transport.aclose()  # the peer has had its time to read why

    async def _accept(
        self, nursery: trio.Nursery, stream: FrameStream
    ) -> WebSocketConnection | None:
        """Shake hands; None when the client has left or does not take our answer in time."""
        with trio.move_on_after(HANDSHAKE_TIMEOUT_S):
            connection = _Connection(
                stream,
                WSConnection(ConnectionType.SERVER),
                message_queue_size=1,
                max_message_size=MESSAGE_BYTES_MAX,
            )
            nursery.start_soon(connection._reader_task)
            try:
                request: WebSocketRequest = await connection._get_request()
                return await request.accept()
            except ConnectionClosed:
                return None
        return None


_FAULTS: dict[int, str] = {
    CloseReason.PROTOCOL_ERROR: "a frame breaks the WebSocket protocol (RFC 6455)",
    CloseReason.INVALID_FRAME_PAYLOAD_DATA: "text is not UTF-8",
    CloseReason.MESSAGE_TOO_BIG: f"a message is over {MESSAGE_BYTES_MAX} bytes",
}
"""In our words; the library's own are Python's."""


class _FrameLimit(Extension):
    """Ends a connection at the header of a frame that is too large, before its payload comes.

    Each fragment counts for itself here; their sum, as it comes, and control frames are bounded by
    the libraries. It is an extension for wsproto alone: a peer cannot ask for it.
    """

    name = "frame-limit"

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> CloseReason | RsvBits:
        if payload_length > MESSAGE_BYTES_MAX:
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)


class _Connection(WebSocketConnection):
    """Tells a peer what is wrong with its frames, where the library hangs up without a word.

    And keeps no empty fragments: the library lists them without a bound.
    """

    async def _send(self, event: Event) -> None:
        if isinstance(event, AcceptConnection):  # the library has no other way to wsproto's own
            event = replace(event, extensions=[_FrameLimit()])
        await super()._send(event)

    async def _handle_message_event(self, event: BytesMessage | TextMessage) -> None:
        if event.data or event.message_finished:
            await super()._handle_message_event(event)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        if self._wsproto.state is ConnectionState.OPEN:  # not the peer's own close: a broken frame
            event = replace(event, reason=_FAULTS.get(event.code, ""))
            await self._send(event)
        await super()._handle_close_connection_event(event)


def _key(head: Head) -> str:
    return head.header(b"sec-websocket-key") or ""


def _handshake(head: Head) -> bytes:
    """The handshake as the WebSocket library shall see it: what was judged, and nothing else."""
    return (
        f"GET {PATH} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_key(head)}\r\n\r\n"
    ).encode()


async def _close(ws: WebSocketConnection, reason: Close | None) -> None:
    """Say why, wait a little for the peer's answer, and end it either way."""
    with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
        if reason is None:
            await ws.aclose()
        else:
            await ws.aclose(reason.code, reason.reason)
