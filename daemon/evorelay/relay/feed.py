"""A feed: one session's view of one channel.

Rules, all kept between awaits, so every method here is plain and synchronous:

1. ``cursor`` is the last offset handed to the session. Only ``cursor + 1`` may follow it.
2. LIVE: published runs go straight to the session. Otherwise they are ignored, because everything
   after ``cursor`` will be read from the cache or the store.
3. CATCHING_UP turns LIVE in the same step in which ``cursor`` reached the channel's head.
4. A session that is over its bound takes nothing: the feed falls back to CATCHING_UP at its
   cursor. It never drops an event (P3) and never makes the publisher wait (P5).
"""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from evorelay.model.close import Close
from evorelay.model.event import ChannelEvent


class Dialect(Protocol):
    """How one client protocol writes events. Instances are shared, so frames are too."""

    name: str
    ping_frame: bytes
    """What asks a client for a sign of life."""

    def encode_run(self, channel: str, events: Sequence[ChannelEvent]) -> bytes:
        """Bytes for the wire that tell consecutive events of a channel."""

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        """Bytes for the wire that tell something without an offset."""


class Receiver(Protocol):
    """The session behind a feed."""

    dialect: Dialect

    def push(self, frame: bytes) -> bool:
        """Take a whole frame, or refuse it because the client is too far behind."""

    def idle(self) -> bool:
        """Whether nothing waits to be written, so that a whole page will be taken.

        If not, the receiver enlists its lagging feeds when its client has taken everything.
        """

    @property
    def is_closed(self) -> bool: ...

    def close_asap(self, reason: Close) -> None: ...


class Run:
    """Consecutive events of one channel, published together; encoded once per dialect."""

    def __init__(self, channel: str, events: Sequence[ChannelEvent]) -> None:
        self.channel = channel
        self.events = events
        self.first = events[0].offset
        self.last = events[-1].offset
        self._frames: dict[str, bytes] = {}

    def frame(self, dialect: Dialect) -> bytes:
        frame = self._frames.get(dialect.name)
        if frame is None:
            frame = self._frames[dialect.name] = dialect.encode_run(self.channel, self.events)
        return frame


class State(Enum):
    OPENING = "opening"
    """The subscription has not been answered yet."""
    CATCHING_UP = "catching up"
    LIVE = "live"
    CLOSED = "closed"


class Feed:
    __slots__ = ("channel", "cursor", "is_queued", "receiver", "state", "wants_membership")

    def __init__(self, channel: str, receiver: Receiver, *, wants_membership: bool = False) -> None:
        self.channel = channel
        self.receiver = receiver
        self.cursor = 0
        self.state = State.OPENING
        self.is_queued = False
        """Whether it waits for the catch-up workers (relay/catchup.py)."""
        self.wants_membership = wants_membership
        """Whether it is told who joins and leaves."""

    def offer(self, run: Run) -> bool:
        """Hand a published run on; False when this feed just fell behind."""
        if self.state is not State.LIVE or run.last <= self.cursor:
            return True
        if run.first == self.cursor + 1 and self.receiver.push(run.frame(self.receiver.dialect)):
            self.cursor = run.last
            return True
        # Over the bound; or the run overlaps what a read already delivered: read the rest.
        self.state = State.CATCHING_UP
        return False

    def deliver(self, events: Sequence[ChannelEvent]) -> bool:
        """Hand on events read for this feed, those right after ``cursor``; False when refused."""
        if not self.receiver.push(self.receiver.dialect.encode_run(self.channel, events)):
            return False
        self.cursor = events[-1].offset
        return True

    def settle(self, head: int) -> bool:
        """Turn LIVE if ``cursor`` has reached ``head``, else CATCHING_UP; whether it is LIVE."""
        self.state = State.LIVE if self.cursor >= head else State.CATCHING_UP
        return self.state is State.LIVE

    def __repr__(self) -> str:
        return f"<Feed {self.channel} {self.state.value} at {self.cursor}>"
