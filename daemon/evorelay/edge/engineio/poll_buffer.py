"""What waits for a polling client's next GET: a ``FrameStream`` in all but the socket.

Frames are kept as they were pushed. A GET takes all there is as one payload; until that has been
written it counts as pending, so that whoever waits for a client that keeps up waits for the
client and not for us.
"""

from typing import Protocol

import trio

from evorelay.edge.framestream import BUFFER_BYTES_MAX, Sender
from evorelay.edge.inbound import Inbound
from evorelay.protocol.engineio import CLOSE, NOOP, payload_of

UPGRADE_GRACE_S = 0.05
"""How long a GET may wait in the middle of an upgrade for its end; up to 0.1 s in the reference
server. It ends at once where the client does not wait for our answer to its probe, and the GET is
then at fault; and a client that polls on could otherwise do so as fast as it can."""
_NEVER = float("inf")


class Outgoing(Protocol):
    """The outgoing side of a session: a ``PollBuffer`` or a ``FrameStream``."""

    pending: int
    tell_drained: bool
    last_progress_at: float
    sender: Sender | None

    def push(self, frame: bytes) -> bool: ...

    async def send_all(self, data: bytes) -> None: ...


class PollBuffer:
    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._farewell: bytes | None = None
        self._is_writing = False
        self._in_flight = 0
        self._is_discarded = False
        self._is_probing = False
        self._waiting: trio.CancelScope | None = None
        """Of the GET that waits for something to answer."""
        self._drained = trio.lowlevel.ParkingLot()
        self.is_polled = False
        """Whether a GET waits for its answer."""
        self.is_spent = False
        """Whether the last words have been taken."""
        self.pending = 0
        self.tell_drained = False
        self.sender: Sender | None = None
        self.last_progress_at = trio.current_time()

    def push(self, frame: bytes) -> bool:
        """Take frames, or refuse them when they do not fit beside what is waiting.

        An empty buffer takes any size, as a ``FrameStream`` does.
        """
        if self._is_ended or (self.pending and self.pending + len(frame) > BUFFER_BYTES_MAX):
            return False
        self._append(frame)
        return True

    async def send_all(self, data: bytes) -> None:
        """Queue frames; wait while the buffer is over its bound. Cancelling cancels the waiting.

        Raises ``trio.BrokenResourceError`` when the session has ended. When it moves meanwhile, the
        frames move with it.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._is_ended:
            self._append(data)
            while self.pending > BUFFER_BYTES_MAX and not self._is_ended:
                await self._drained.park()
            if self._has_moved:
                return
        if self._is_ended:
            raise trio.BrokenResourceError("the connection is gone")

    def _append(self, frames: bytes) -> None:
        if not self.pending:
            self.last_progress_at = trio.current_time()
        self._frames.append(frames)
        self.pending += len(frames)
        self._wake()

    async def next_payload(self, inbound: Inbound) -> bytes | None:
        """Wait for something to answer a GET with; None when the peer hung up instead.

        Empty when there is nothing more to be had here: the session has moved to a WebSocket.
        Otherwise call ``written`` when it is, or ``discard``. When cancelled nothing is lost.
        """
        self.is_polled = True
        try:
            return await self._next_payload(inbound)
        finally:
            self.is_polled = False
            self._waiting = None

    async def _next_payload(self, inbound: Inbound) -> bytes | None:
        while self._is_writing and not self._is_discarded:
            # The client has read that answer, and asked again, before we know that it is out.
            if not await self._wait(inbound, _NEVER):
                return None
        deadline = _NEVER
        while not (self._frames or self._farewell or self._is_discarded):
            if not self._is_probing:
                deadline = _NEVER
            elif deadline == _NEVER:
                deadline = trio.current_time() + UPGRADE_GRACE_S
            if not await self._wait(inbound, deadline):
                return None
            if trio.current_time() >= deadline:
                return self._claim(NOOP)
            # One more turn for everybody: what they push now leaves in the same answer.
            await trio.lowlevel.checkpoint()
        if self._frames:
            frames, self._frames = self._frames, []
            return self._claim(*frames)
        if self._farewell is None:
            return b""
        self.is_spent = True
        return self._claim(self._farewell)

    async def _wait(self, inbound: Inbound, deadline: float) -> bool:
        """Wait for news; False when the peer has hung up."""
        with trio.CancelScope(deadline=deadline) as self._waiting:
            if not await inbound.next_bytes():
                return False
            await trio.sleep_forever()  # the client's next request lies there already
        return True

    def _claim(self, *frames: bytes) -> bytes:
        self._is_writing = True
        self._in_flight = self.pending
        return payload_of(frames)

    def progressed(self) -> None:
        """The kernel has taken some of the payload."""
        self.last_progress_at = trio.current_time()

    def written(self) -> None:
        """The payload is with the kernel."""
        self.progressed()
        self._is_writing = False
        if self._is_discarded:
            return
        self.pending -= self._in_flight
        if not self.pending:
            self._drained.unpark_all()
            if self.tell_drained and self.sender is not None:
                self.tell_drained = False
                self.sender.drained()
        self._wake()

    def probe(self, is_probing: bool) -> None:
        """A WebSocket tries to take over, or has given up; no GET is kept for long meanwhile."""
        self._is_probing = is_probing
        self._wake()

    def say_farewell(self) -> None:
        """Take nothing more; what there is goes out with the next GET, a close packet with the one
        after it.

        Not with the same: socket.io-client has closed before it comes to the messages beside a
        close packet. It keeps them, and shows them twice when it is back and gets what it missed.
        """
        self._farewell = CLOSE
        self._drained.unpark_all()
        self._wake()

    def discard(self, farewell: bytes | None = None) -> bytes:
        """Take nothing more and give back what was not taken; a waiting GET gets ``farewell``.

        Without one the session goes on elsewhere, with what is given back.
        """
        frames = b"".join(self._frames)
        self._frames = []
        self._farewell = farewell
        self._is_discarded = True
        self.pending = 0
        self._drained.unpark_all()
        self._wake()
        return frames

    @property
    def _is_ended(self) -> bool:
        return self._is_discarded or self._farewell is not None

    @property
    def _has_moved(self) -> bool:
        return self._is_discarded and self._farewell is None

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
