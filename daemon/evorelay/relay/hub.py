"""The hub: committed events to the feeds of connected sessions, without ever waiting.

``publish`` is called once per commit, in commit order. Its cost is one encoding per event and
dialect, and one buffer append per subscriber of a channel, however many events the commit had.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from evorelay.model.event import ChannelEvent
from evorelay.model.records import EventRecord
from evorelay.relay.cache import RecentEvents
from evorelay.relay.feed import Feed, Run, State
from evorelay.telemetry.metrics import Metrics


class Laggards(Protocol):
    """Who brings feeds that fell behind back to LIVE (relay/catchup.py)."""

    def enlist(self, feed: Feed) -> None: ...


class _Channel:
    """What the hub knows of a channel somebody is subscribed to."""

    __slots__ = ("feeds", "head")

    def __init__(self) -> None:
        self.feeds: set[Feed] = set()
        self.head = 0
        """Last offset published by this process since the channel is watched; 0: none yet."""


class Hub:
    def __init__(self, cache: RecentEvents, laggards: Laggards, metrics: Metrics) -> None:
        self._cache = cache
        self._laggards = laggards
        self._metrics = metrics
        self._channels: dict[str, _Channel] = {}

    def publish(self, events: Sequence[EventRecord]) -> None:
        """Tell every LIVE feed of the events' channels. Synchronous: nobody can hold it up."""
        runs: dict[str, list[ChannelEvent]] = {}
        for event in events:
            data, places = event.data.encode(), tuple(event.positions)
            told = [
                (channel, ChannelEvent(offset, data, event.id, places, event.origin))
                for channel, offset in places
            ]
            self._cache.add(event.at, told)
            for channel, as_there in told:
                if channel in self._channels:
                    runs.setdefault(channel, []).append(as_there)
        deliveries = 0
        for channel, stretch in runs.items():
            watched = self._channels[channel]
            watched.head = stretch[-1].offset
            run = Run(channel, stretch)
            for feed in watched.feeds:
                if not feed.offer(run):
                    if run.first > feed.cursor + 1:
                        self._metrics.gap_detected()
                    self._metrics.feed_lagged()
                    self._laggards.enlist(feed)
                elif feed.state is State.LIVE:
                    deliveries += len(stretch)
        self._metrics.event_published(len(events))
        self._metrics.deliveries(deliveries)

    def publish_transient(self, channel: str, data: bytes, *, but: Feed | None = None) -> None:
        """Tell whoever is LIVE now; who is not misses it, which is what transient means."""
        frames: dict[str, bytes] = {}
        for feed in self.feeds(channel):
            if feed is but or feed.state is not State.LIVE:
                continue
            dialect = feed.receiver.dialect
            if dialect.name not in frames:
                frames[dialect.name] = dialect.encode_transient(channel, data)
            feed.receiver.push(frames[dialect.name])

    def attach(self, feed: Feed) -> None:
        """Watch the feed's channel. An OPENING feed is told nothing yet, but its head is kept."""
        channel = self._channels.get(feed.channel)
        if channel is None:
            channel = self._channels[feed.channel] = _Channel()
        channel.feeds.add(feed)

    def settle(self, feed: Feed, head: int) -> None:
        """Turn an up-to-date feed LIVE, queue any other. ``head`` is what the last read saw.

        Atomic because there is no await here: what was published after that read is in our head.
        """
        channel = self._channels.get(feed.channel)
        if channel is not None and not feed.settle(max(head, channel.head)):
            self._laggards.enlist(feed)

    def detach(self, feed: Feed) -> None:
        feed.state = State.CLOSED
        channel = self._channels.get(feed.channel)
        if channel is not None:
            channel.feeds.discard(feed)
            if not channel.feeds:
                del self._channels[feed.channel]

    def feeds(self, channel: str) -> Iterator[Feed]:
        """Who watches a channel now."""
        watched = self._channels.get(channel)
        return iter(()) if watched is None else iter(tuple(watched.feeds))

    def watched(self) -> dict[str, int]:
        """Channels somebody watches, with the number of feeds."""
        return {name: len(channel.feeds) for name, channel in self._channels.items()}
