"""A feed of all the channels a client is in, merged into one stream with one order.

Socket.IO knows one offset for everything a client is told, and a client that is in an inbox and in
one of its tickets is told of a message once. So the channels' events are merged by their place in
the store's log (``ChannelEvent.id``). Each channel keeps its own cursor and its contiguous offsets,
so the rules of ``relay/feed.py`` hold here, too; every method is plain and synchronous.

Besides: all cursors stand at the same place of that order. Whatever moves one of them hands on
everything up to there in the others, so no event comes twice and none comes late.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from evorelay.model.event import ENDLESS, ChannelEvent
from evorelay.relay.feed import Dialect, Receiver, Run, State, up_to_bytes
from evorelay.storage.ports import ChannelPage


class RoomDialect(Dialect, Protocol):
    """A protocol whose clients have one stream of events, whatever rooms they are in."""

    def encode_event(self, event: ChannelEvent) -> bytes:
        """Bytes for the wire; none for what this protocol does not tell."""


class RoomReceiver(Receiver, Protocol):
    pid: str
    """What the session's own commands have as their events' ``origin``."""

    @property
    def dialect(self) -> RoomDialect: ...


class Encodings:
    """Events of one commit, each encoded once per dialect."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, int], bytes] = {}

    def of(self, events: Iterable[ChannelEvent], dialect: RoomDialect) -> bytes:
        return b"".join([self._one(event, dialect) for event in events])

    def _one(self, event: ChannelEvent, dialect: RoomDialect) -> bytes:
        key = (dialect.name, event.id)
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = dialect.encode_event(event)
        return frame


class Burst:
    """What one commit told some channels, each event once; encoded once for all who are in them."""

    def __init__(self, runs: Sequence[Run], encodings: Encodings) -> None:
        self.runs = runs
        self.events = runs[0].events if len(runs) == 1 else in_order(run.events for run in runs)
        self._encodings = encodings
        self._origins = {event.origin for event in self.events if event.origin is not None}
        self._frames: dict[str, bytes] = {}

    def frame(self, dialect: RoomDialect, *, but: str) -> bytes:
        """``but``: whose own commands' events are left out."""
        if but in self._origins:
            return self._encodings.of(not_of(self.events, but), dialect)
        frame = self._frames.get(dialect.name)
        if frame is None:
            frame = self._frames[dialect.name] = self._encodings.of(self.events, dialect)
        return frame


class MergedFeed:
    wants_membership = False

    def __init__(self, receiver: RoomReceiver) -> None:
        self.receiver = receiver
        self.cursors: dict[str, int] = {}
        self.state = State.OPENING
        self.is_queued = False

    def offer(self, burst: Burst) -> bool:
        """Hand on what was published in channels of this feed; False when it just fell behind."""
        if self.state is not State.LIVE:
            return True
        cursors = self.cursors
        if all(run.first == cursors[run.channel] + 1 for run in burst.runs):
            if self._push(burst.frame(self.receiver.dialect, but=self.receiver.pid)):
                for run in burst.runs:
                    cursors[run.channel] = run.last
                return True
        elif all(run.last <= cursors[run.channel] for run in burst.runs):
            return True
        self.state = State.CATCHING_UP
        return False

    def missing(self, published: Mapping[str, int]) -> Mapping[str, int]:
        """Every cursor comes from a whole page, so nothing is missed that was not published."""
        return {name: cursor for name, cursor in self.cursors.items() if cursor < published[name]}

    def take(self, pages: Mapping[str, ChannelPage], until: int, bytes_max: int) -> int | None:
        until = min([until, *map(_known_until, pages.values())])
        missed = in_order(page.events for page in pages.values())
        known = [event for event in missed if event.id <= until]
        events = up_to_bytes(known, bytes_max)
        if len(events) < len(known):
            until = events[-1].id
        told = not_of(events, self.receiver.pid)
        encode = self.receiver.dialect.encode_event
        if not self._push(b"".join([encode(event) for event in told])):
            return None
        for channel, page in pages.items():
            passed = [event.offset for event in page.events if event.id <= until]
            if passed:
                self.cursors[channel] = passed[-1]
        return len(told)

    def settle(self, heads: Mapping[str, int]) -> bool:
        is_live = all(cursor >= heads[channel] for channel, cursor in self.cursors.items())
        self.state = State.LIVE if is_live else State.CATCHING_UP
        return is_live

    def close(self) -> None:
        self.state = State.CLOSED

    def _push(self, frame: bytes) -> bool:
        return not frame or self.receiver.push(frame)


def in_order(stretches: Iterable[Sequence[ChannelEvent]]) -> list[ChannelEvent]:
    """Events of several channels as one stream: by the order of their commits, each once."""
    by_id = {event.id: event for events in stretches for event in events}
    return [by_id[id_] for id_ in sorted(by_id)]


def not_of(events: Iterable[ChannelEvent], origin: str) -> list[ChannelEvent]:
    """Without those that are this session's own commands."""
    return [event for event in events if event.origin != origin]


def _known_until(page: ChannelPage) -> int:
    """Up to which event the page is all that its channel has."""
    if page.events and page.events[-1].offset < page.head:
        return page.events[-1].id
    return ENDLESS
