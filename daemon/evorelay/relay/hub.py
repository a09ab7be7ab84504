"""The hub: committed events to the feeds of connected sessions, without ever waiting.

``publish`` is called once per commit, in commit order. Its cost is one encoding per event and
dialect, and one buffer append per subscriber of a channel, however many events the commit had.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from evorelay.model.event import ChannelEvent
from evorelay.model.records import EventRecord
from evorelay.relay.cache import RecentEvents
from evorelay.relay.feed import AnyFeed, Feed, Receiver, Run, State
from evorelay.relay.merged_feed import Burst, Encodings, MergedFeed
from evorelay.telemetry.metrics import Metrics


class Laggards(Protocol):
    """Who brings feeds that fell behind back to LIVE (relay/catchup.py)."""

    def enlist(self, feed: AnyFeed) -> None: ...


class _Channel:
    """What the hub knows of a channel somebody is subscribed to."""

    __slots__ = ("feeds", "head", "merged")

    def __init__(self) -> None:
        self.feeds: set[Feed] = set()
        self.merged: set[MergedFeed] = set()
        self.head = 0
        """Last offset published by this process since the channel is watched; 0: none yet."""


class Hub:
    def __init__(
        self,
        cache: RecentEvents,
        laggards: Laggards,
        metrics: Metrics,
        *,
        position: int,
        on_pushed: Callable[[Sequence[float]], None] | None = None,
    ) -> None:
        """``on_pushed`` is told when the webhooks arrived (Trio's clock) whose events somebody was
        just sent, one figure for each event.
        """
        self._cache = cache
        self._laggards = laggards
        self._metrics = metrics
        self._on_pushed = on_pushed
        self._channels: dict[str, _Channel] = {}
        self.position = position
        """Id of the last event published; at the start, of the last one in the store."""

    @property
    def channels(self) -> int:
        """How many channels somebody is subscribed to."""
        return len(self._channels)

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
        pushed: set[int] = set()
        merged: dict[MergedFeed, list[Run]] = {}
        for channel, stretch in runs.items():
            watched = self._channels[channel]
            watched.head = stretch[-1].offset
            run = Run(channel, stretch)
            before = deliveries
            for feed in watched.feeds:
                if not feed.offer(run):
                    if run.first > feed.cursor + 1:
                        self._metrics.gap_detected()
                    self._fell_behind(feed)
                elif feed.state is State.LIVE:
                    deliveries += len(stretch)
            if deliveries > before:
                pushed.update([event.id for event in stretch])
            for several in watched.merged:
                if channel in several.cursors:
                    merged.setdefault(several, []).append(run)
        if merged:
            deliveries += self._publish_merged(merged, pushed)
        if pushed and self._on_pushed is not None:
            self._on_pushed(
                [
                    event.arrived
                    for event in events
                    if event.arrived is not None and event.id in pushed
                ]
            )
        if events:
            self.position = events[-1].id
        self._metrics.event_published(len(events))
        self._metrics.deliveries(deliveries)

    def _publish_merged(self, told: Mapping[MergedFeed, Sequence[Run]], pushed: set[int]) -> int:
        """Tell each feed of several channels what they were told, in one piece.

        Adds the ids of the events somebody was sent to ``pushed``.
        """
        deliveries = 0
        encodings = Encodings()
        bursts: dict[tuple[str, ...], Burst] = {}
        reached: set[tuple[str, ...]] = set()
        for feed, runs in told.items():
            channels = tuple([run.channel for run in runs])
            burst = bursts.get(channels)
            if burst is None:
                burst = bursts[channels] = Burst(runs, encodings)
            if not feed.offer(burst):
                if any(run.first > feed.cursors[run.channel] + 1 for run in runs):
                    self._metrics.gap_detected()
                self._fell_behind(feed)
            elif feed.state is State.LIVE:
                deliveries += len(burst.events)
                reached.add(channels)
        for channels in reached:
            pushed.update([event.id for event in bursts[channels].events])
        return deliveries

    def _fell_behind(self, feed: AnyFeed) -> None:
        self._metrics.feed_lagged()
        self._laggards.enlist(feed)

    def publish_transient(self, channel: str, data: bytes, *, but: Receiver | None = None) -> None:
        """Tell whoever is LIVE now; who is not misses it, which is what transient means."""
        frames: dict[str, bytes] = {}
        for feed in self.feeds(channel):
            if feed.receiver is but or feed.state is not State.LIVE:
                continue
            dialect = feed.receiver.dialect
            if dialect.name not in frames:
                frames[dialect.name] = dialect.encode_transient(channel, data)
            feed.receiver.push(frames[dialect.name])

    def attach(self, feed: Feed) -> None:
        """Watch the feed's channel. An OPENING feed is told nothing yet, but its head is kept."""
        self._channel(feed.channel).feeds.add(feed)

    def attach_merged(self, feed: MergedFeed, channel: str) -> None:
        """Watch one more channel. The feed is told of it once it has a cursor there."""
        self._channel(channel).merged.add(feed)

    def _channel(self, name: str) -> _Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel()
        return channel

    def settle(self, feed: AnyFeed, heads: Mapping[str, int]) -> None:
        """Turn an up-to-date feed LIVE, queue any other. ``heads`` is what the last read saw.

        Atomic because there is no await here: what was published after that read is in our head.
        """
        if feed.state is State.CLOSED:
            return
        published = self.heads(feed)
        if not feed.settle({name: max(heads.get(name, 0), published[name]) for name in published}):
            self._laggards.enlist(feed)

    def head(self, channel: str) -> int:
        """Last offset published in a channel since it is watched; 0: none."""
        watched = self._channels.get(channel)
        return 0 if watched is None else watched.head

    def heads(self, feed: AnyFeed) -> dict[str, int]:
        """The same of all of a feed's channels."""
        return {name: self.head(name) for name in feed.cursors}

    def detach(self, feed: Feed) -> None:
        feed.close()
        channel = self._channels.get(feed.channel)
        if channel is not None:
            channel.feeds.discard(feed)
            self._forget_if_unwatched(feed.channel, channel)

    def detach_merged(self, feed: MergedFeed, name: str) -> None:
        """Watch this one of its channels no more."""
        feed.cursors.pop(name, None)
        channel = self._channels.get(name)
        if channel is not None:
            channel.merged.discard(feed)
            self._forget_if_unwatched(name, channel)

    def _forget_if_unwatched(self, name: str, channel: _Channel) -> None:
        if not channel.feeds and not channel.merged:
            del self._channels[name]

    def feeds(self, channel: str) -> Iterator[AnyFeed]:
        """Who watches a channel now."""
        watched = self._channels.get(channel)
        return iter(()) if watched is None else iter((*watched.feeds, *watched.merged))

    def watched(self) -> dict[str, int]:
        """Channels somebody watches, with the number of feeds."""
        return {
            name: len(channel.feeds) + len(channel.merged)
            for name, channel in self._channels.items()
        }
