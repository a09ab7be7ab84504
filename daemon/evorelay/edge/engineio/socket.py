"""An Engine.IO session: one client, whatever carries it, and however often that changes.

Its life: OPEN; CLOSING when its handler is done with it, and a polling client may still fetch what
was said last; OVER. Messages come in through a small channel: a client that says more than its
handler takes has to wait. They go out through a bounded buffer, the polling one or, from the
upgrade on, the WebSocket's; it is moved in one step, so nothing is lost or comes twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import trio

from evorelay.edge.engineio.heartbeat import Heartbeat
from evorelay.edge.engineio.inbox import Inbox
from evorelay.edge.engineio.options import EngineOptions, EngineRequest
from evorelay.edge.engineio.poll_buffer import Outgoing, PollBuffer
from evorelay.edge.framestream import FrameStream, Sender
from evorelay.edge.ws_connection import Connection
from evorelay.model.close import Close
from evorelay.protocol.engineio import CLOSE, NOOP, PING, Kind, Packet, TransportName


class Handler(Protocol):
    """What is spoken over the sessions."""

    async def serve(self, socket: "EngineSocket") -> None:
        """Talk to one client; the session closes when this returns."""


class State(Enum):
    OPEN = "open"
    CLOSING = "closing"
    OVER = "over"


class EngineSocket:
    """The first part, down to ``close_asap``, is the handler's; the rest is the transports'.

    It is a ``Wire`` (relay/session.py).
    """

    def __init__(
        self,
        sid: str,
        request: EngineRequest,
        outgoing: PollBuffer | FrameStream,
        *,
        options: EngineOptions,
        strangers: dict["EngineSocket", None],
    ) -> None:
        self.sid = sid
        self.request = request
        self.state = State.OPEN
        self.over = trio.Event()
        self.opened_at = trio.current_time()
        self.close_reason: Close | None = None
        self.is_posting = False
        """Whether a POST is being read, or its messages wait to be taken."""
        self.buffer = outgoing if isinstance(outgoing, PollBuffer) else None
        """Where GETs find their answers, while the session is polled."""
        self.heart = Heartbeat(self.opened_at, options.ping_interval_s, options.ping_timeout_s)
        self._out: Outgoing = outgoing
        self._options = options
        self._strangers = strangers
        self._inbox = Inbox(options.patience_s)
        self._ws: Connection | None = None
        self._link = trio.CancelScope()
        self._reading = trio.CancelScope()
        strangers[self] = None

    @property
    def transport(self) -> TransportName:
        return "websocket" if self.buffer is None else "polling"

    async def receive(self) -> str | bytes:
        """The next message. Raises ``trio.EndOfChannel`` when the session is over.

        Cancelling loses none.
        """
        return await self._inbox.receive()

    async def wait_settled(self) -> None:
        """Let the handler do what it was told; no longer than a moment."""
        if self.state is State.OPEN:
            await self._inbox.wait_settled()

    def push(self, frame: bytes) -> bool:
        """Take frames (``protocol.engineio.message_frame``), or refuse them: the client is gone,
        or behind. The bound is the ``FrameStream``'s."""
        return self.state is State.OPEN and self._out.push(frame)

    async def send(self, frames: bytes) -> None:
        """Take frames; wait while too much is waiting. Cancelling cancels the waiting only.

        Raises ``trio.BrokenResourceError`` when the session is over.
        """
        if self.state is not State.OPEN:
            raise trio.BrokenResourceError("the session is over")
        await self._out.send_all(frames)

    @property
    def pending(self) -> int:
        return self._out.pending

    @property
    def last_progress_at(self) -> float:
        return self._out.last_progress_at

    @property
    def tell_drained(self) -> bool:
        return self._out.tell_drained

    @tell_drained.setter
    def tell_drained(self, tell: bool) -> None:
        self._out.tell_drained = tell

    @property
    def sender(self) -> Sender | None:
        """Who pushes, and is told when all has been taken."""
        return self._out.sender

    @sender.setter
    def sender(self, sender: Sender | None) -> None:
        self._out.sender = sender

    @property
    def is_admitted(self) -> bool:
        return self not in self._strangers

    def admit(self) -> None:
        """The client has said who it is: from now on it may send more than a stranger."""
        self._strangers.pop(self, None)
        if self._ws is not None:
            self._ws.admit()

    def close_asap(self, reason: Close | None = None) -> None:
        """End the session; what was pushed is still delivered, as far as the client takes it.

        ``reason`` is what a WebSocket is closed with; polling has no place for one.
        """
        if self.state is not State.OPEN:
            return
        self.close_reason = reason
        if self.buffer is None:
            self.end()
            return
        self.state = State.CLOSING
        self._inbox.close()
        self.buffer.say_farewell()
        self._link.cancel()
        self._reading.cancel()

    @property
    def payload_max(self) -> int:
        """Bytes that a POST may carry now."""
        options = self._options
        return options.max_payload if self.is_admitted else options.stranger_payload

    def reading(self) -> trio.CancelScope:
        """A scope for reading a POST: it is cancelled when nothing more is heard here, so that a
        client that is slow to send keeps nobody waiting."""
        self._reading = trio.CancelScope()
        return self._reading

    async def take(self, packet: Packet) -> bool:
        """Do what a packet of the client's wants; False when the session cannot go on with it.

        That is a packet which breaks the protocol, or a message that the handler did not take in
        ``patience_s``. Cancelling loses the message.
        """
        if packet.kind is Kind.MESSAGE:
            began = trio.current_time()
            is_taken = await self._inbox.deliver(packet.data)
            self.heart.excuse(trio.current_time() - began)
            return is_taken
        if packet.kind is Kind.PONG:
            self.heart.ponged(trio.current_time())
        elif packet.kind is Kind.CLOSE:
            self.end(NOOP)
        # In protocol 4 the server pings. Whatever else has a meaning elsewhere has none here.
        return packet.kind is not Kind.PING

    def beat(self, now: float) -> None:
        """Ping when it is time; end the session when an answer is overdue."""
        if self.state is not State.OPEN or self._inbox.is_full:
            return
        heart = self.heart
        if heart.is_late(now):
            self.end()
        elif heart.is_ping_due(now):
            if self._out.push(PING):
                heart.pinged(now)
            # A full buffer refuses the ping; then it counts whether the client takes anything.
            elif heart.is_unpinged(now, self.last_progress_at):
                self.end()

    def end(self, farewell: bytes = CLOSE) -> None:
        """Be over at once. A GET that waits is answered with the frame ``farewell``."""
        if self.state is State.OVER:
            return
        self.state = State.OVER
        self._inbox.close()
        if self.buffer is not None:
            self.buffer.discard(farewell)
        self._link.cancel()
        self._reading.cancel()
        self.over.set()

    @property
    def is_linked(self) -> bool:
        """Whether a WebSocket carries the session, or tries to."""
        return self._ws is not None

    @contextmanager
    def link(self, ws: Connection) -> Iterator[trio.CancelScope]:
        """For the task of a WebSocket: the scope ends with the session.

        A session that this WebSocket carries when the block ends is over; one it only tried to
        take over goes on by polling.
        """
        assert not self.is_linked
        self._ws = ws
        if self.is_admitted:
            ws.admit()
        try:
            with trio.CancelScope() as self._link:
                if self.state is not State.OPEN:
                    self._link.cancel()
                yield self._link
        finally:
            self._ws = None
            if self.buffer is None:
                self.end()
            else:
                self.buffer.probe(False)

    def upgrade(self, stream: FrameStream) -> None:
        """Go on over the WebSocket: what no GET has taken moves there, in its order."""
        buffer = self.buffer
        assert buffer is not None
        frames = buffer.discard()
        stream.sender = buffer.sender
        self.buffer = None
        self._out = stream
        if frames and not stream.push(frames):
            self.end()  # the client has not even taken our answer to its probe
        elif buffer.tell_drained and buffer.sender is not None:
            if stream.pending:
                stream.tell_drained = True
            else:
                buffer.sender.drained()
