"""A feed: one session's view of one channel.

Rules, all kept between awaits, so every method here is plain and synchronous:

1. ``cursor`` is the last offset handed to the session. Only ``cursor + 1`` may follow it.
2. LIVE: published runs go straight to the session. Otherwise they are ignored, because everything
   after ``cursor`` will be read from the cache or the store.
3. CATCHING_UP turns LIVE in the same step in which ``cursor`` reached the channel's head.
4. A session that is over its bound takes nothing: the feed falls back to CATCHING_UP at its
   cursor. It never drops an event (P3) and never makes the publisher wait (P5).
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from evorelay.model.close import Close
from evorelay.model.event import ChannelEvent
from evorelay.storage.ports import ChannelPage


class Dialect(Protocol):
    """How one client protocol writes events. Instances are shared, so frames are too."""

    name: str
    ping_frame: bytes
    """What asks a client for a sign of life; empty where its transport does that by itself."""

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        """Bytes for the wire that tell something without an offset."""


class ChannelDialect(Dialect, Protocol):
    """A protocol whose clients subscribe to channels, each with its own offsets."""

    def encode_run(self, channel: str, events: Sequence[ChannelEvent]) -> bytes:
        """Bytes for the wire that tell consecutive events of a channel."""


class Receiver(Protocol):
    """The session behind a feed."""

    @property
    def dialect(self) -> Dialect: ...

    def push(self, frame: bytes) -> bool:
        """Take a whole frame, or refuse it because the client is too far behind."""

    def idle(self) -> bool:
        """Whether nothing waits to be written, so that a whole page will be taken.

        If not, the receiver enlists its lagging feeds when its client has taken everything.
        """

    @property
    def is_closed(self) -> bool: ...

    def close_asap(self, reason: Close) -> None: ...


class ChannelReceiver(Receiver, Protocol):
    @property
    def dialect(self) -> ChannelDialect: ...


class Run:
    """Consecutive events of one channel, published together; encoded once per dialect."""

    def __init__(self, channel: str, events: Sequence[ChannelEvent]) -> None:
        self.channel = channel
        self.events = events
        self.first = events[0].offset
        self.last = events[-1].offset
        self._frames: dict[str, bytes] = {}

    def frame(self, dialect: ChannelDialect) -> bytes:
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


class AnyFeed(Protocol):
    """What hub and catch-up need of a feed, of one channel or of several."""

    is_queued: bool
    """Whether it waits for the catch-up workers (relay/catchup.py)."""
    wants_membership: bool
    """Whether it is told who joins and leaves."""

    @property
    def state(self) -> State: ...

    @property
    def receiver(self) -> Receiver: ...

    @property
    def cursors(self) -> Mapping[str, int]:
        """By channel: the last offset handed to the session."""

    def missing(self, published: Mapping[str, int]) -> Mapping[str, int]:
        """The cursors of the channels in which something was not handed on, as far as is known."""

    def take(self, pages: Mapping[str, ChannelPage], until: int, bytes_max: int) -> int | None:
        """Hand on what was read right behind the cursors, about as many bytes as that.

        ``until`` is the id of the last event published before the read began: of what is newer,
        the pages of several channels may know different parts. Returns how many events were
        handed on; None when the session refused them.
        """

    def settle(self, heads: Mapping[str, int]) -> bool:
        """Turn LIVE if every cursor has reached its channel's head, else CATCHING_UP; whether it
        is LIVE."""

    def close(self) -> None: ...


class Feed:
    __slots__ = ("channel", "cursor", "is_queued", "receiver", "state", "wants_membership")

    def __init__(
        self, channel: str, receiver: ChannelReceiver, *, wants_membership: bool = False
    ) -> None:
        self.channel = channel
        self.receiver = receiver
        self.cursor = 0
        self.state = State.OPENING
        self.is_queued = False
        self.wants_membership = wants_membership

    @property
    def cursors(self) -> Mapping[str, int]:
        return {self.channel: self.cursor}

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

    def missing(self, published: Mapping[str, int]) -> Mapping[str, int]:
        return self.cursors

    def take(self, pages: Mapping[str, ChannelPage], until: int, bytes_max: int) -> int | None:
        """One page knows all there is to know of one channel, so ``until`` does not matter."""
        events = up_to_bytes(pages[self.channel].events, bytes_max)
        if not events:
            return 0
        if not self.receiver.push(self.receiver.dialect.encode_run(self.channel, events)):
            return None
        self.cursor = events[-1].offset
        return len(events)

    def settle(self, heads: Mapping[str, int]) -> bool:
        self.state = State.LIVE if self.cursor >= heads[self.channel] else State.CATCHING_UP
        return self.state is State.LIVE

    def close(self) -> None:
        self.state = State.CLOSED

    def __repr__(self) -> str:
        return f"<Feed {self.channel} {self.state.value} at {self.cursor}>"


def up_to_bytes(events: Sequence[ChannelEvent], bytes_max: int) -> Sequence[ChannelEvent]:
    """As many of the events as fit, at least one."""
    size = 0
    for index, event in enumerate(events):
        size += len(event.data)
        if size > bytes_max and index:
            return events[:index]
    return events
