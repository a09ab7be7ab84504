"""Recent events in memory, so that clients that come back are served without the disk.

Derived from committed events only, never asked for the truth: what it does not hold is read from
the store. Oldest out first, by age and by bytes, over all channels together.
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from evorelay.model.event import ENDLESS, ChannelEvent
from evorelay.storage.ports import ChannelPage

OVERHEAD_BYTES = 700
"""What Python adds to an event of two channels (tracemalloc: 710 to 1,470, the more the fewer
events a channel has)."""


class _Kept(Struct, frozen=True, gc=False):
    at: int
    size: int
    channels: tuple[str, ...]


class RecentEvents:
    def __init__(self, *, ttl_ms: int, bytes_max: int) -> None:
        self._ttl_ms = ttl_ms
        self._bytes_max = bytes_max
        self._order: deque[_Kept] = deque()
        self._channels: dict[str, deque[ChannelEvent]] = {}
        self.bytes = 0

    def add(self, at: int, events: Sequence[tuple[str, ChannelEvent]]) -> None:
        """Take one event, as each of its channels has it, in commit order.

        Its bytes are the same ones in all of them.
        """
        for channel, event in events:
            stretch = self._channels.get(channel)
            if stretch is None:
                stretch = self._channels[channel] = deque()
            stretch.append(event)
        size = len(events[0][1].data) + OVERHEAD_BYTES
        self._order.append(_Kept(at, size, tuple(channel for channel, _ in events)))
        self.bytes += size
        self.evict(at)

    def page(
        self, channel: str, after: int, limit: int, *, until: int = ENDLESS
    ) -> ChannelPage | None:
        """The events right after an offset; None when the first of them is not here.

        None behind the first whose id is above ``until``.

        The newest cached event is the channel's newest published one: the cache loses the old
        end first.
        """
        stretch = self._channels.get(channel)
        if not stretch or stretch[0].offset > after + 1:
            return None
        first = stretch[0].offset
        start = after + 1 - first
        events = []
        for index in range(start, min(start + limit, len(stretch))):
            events.append(stretch[index])
            if stretch[index].id > until:
                break
        return ChannelPage(head=stretch[-1].offset, floor=first, events=events)

    def evict(self, now: int) -> None:
        """Forget what is too old at ``now`` (Unix ms) or over the bound."""
        order = self._order
        while order and (self.bytes > self._bytes_max or order[0].at < now - self._ttl_ms):
            kept = order.popleft()
            self.bytes -= kept.size
            for channel in kept.channels:
                stretch = self._channels[channel]
                stretch.popleft()
                if not stretch:
                    del self._channels[channel]

    def clear(self) -> None:
        """Forget all: what is told of the past is different now. It is read from the store."""
        self._order.clear()
        self._channels.clear()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._order)
