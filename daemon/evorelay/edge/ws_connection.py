"""A WebSocket connection as we bound it: how large a message may be, and what a broken frame hears.

The library's own connection hangs up without a word, and judges a message when it has come.
"""

from dataclasses import replace

import trio
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

STRANGER_BYTES_MAX = 64 * 1024
"""One message, all fragments together, of who has not said yet who it is: a token, and subscribes
that may come with it."""
MESSAGE_BYTES_MAX = 1024 * 1024
"""The same of an agent: a reply of 65,536 characters, each of them escaped, and room, so that a
text that is too long is told its limit in characters."""
_FAULTS: dict[int, str] = {
    CloseReason.PROTOCOL_ERROR: "a frame breaks the WebSocket protocol (RFC 6455)",
    CloseReason.INVALID_FRAME_PAYLOAD_DATA: "text is not UTF-8",
}
"""In our words; the library's own are Python's."""


class Connection(WebSocketConnection):
    """Tells a peer what is wrong with its frames, and bounds what it may send.

    Keeps no empty fragments: the library lists them without a bound.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(
            stream,
            WSConnection(ConnectionType.SERVER),
            message_queue_size=1,
            max_message_size=STRANGER_BYTES_MAX,
        )
        self._limit = _FrameLimit()

    def admit(self) -> None:
        """The peer has said who it is: from now on it may send replies."""
        self._limit.bytes_max = self._max_message_size = MESSAGE_BYTES_MAX

    async def _send(self, event: Event) -> None:
        if isinstance(event, AcceptConnection):  # the library has no other way to wsproto's own
            event = replace(event, extensions=[self._limit])
        await super()._send(event)

    async def _handle_message_event(self, event: BytesMessage | TextMessage) -> None:
        if event.data or event.message_finished:
            await super()._handle_message_event(event)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        if self._wsproto.state is ConnectionState.OPEN:  # not the peer's own close: a broken frame
            event = replace(event, reason=self._fault(event.code))
            await self._send(event)
        await super()._handle_close_connection_event(event)

    def _fault(self, code: int) -> str:
        if code == CloseReason.MESSAGE_TOO_BIG:
            return f"a message is over {self._limit.bytes_max} bytes"
        return _FAULTS.get(code, "")


class _FrameLimit(Extension):
    """Ends a connection at the header of a frame that is too large, before its payload comes.

    Each fragment counts for itself here; their sum, as it comes, and control frames are bounded by
    the libraries. It is an extension for wsproto alone: a peer cannot ask for it.
    """

    name = "frame-limit"

    def __init__(self) -> None:
        self.bytes_max = STRANGER_BYTES_MAX

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
        if payload_length > self.bytes_max:
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)
