"""Bringing feeds from CATCHING_UP to LIVE: a few workers for all of them.

A reconnect storm or one slow reader must not start a thousand reads at once: feeds queue here in
order, each gets one page per turn, and a feed whose client does not take its bytes waits outside
the queue until the client's buffer has drained (P5).
"""

import logging
from collections import deque
from collections.abc import Mapping
from typing import Protocol

import trio

from evorelay.model.close import Close
from evorelay.model.errors import StoreUnavailable
from evorelay.model.event import ENDLESS, ChannelEvent
from evorelay.relay.cache import RecentEvents
from evorelay.relay.feed import AnyFeed, State, up_to_bytes
from evorelay.relay.hub import Hub
from evorelay.relay.merged_feed import in_order
from evorelay.relay.reads import Reads
from evorelay.storage.ports import ChannelPage
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

PAGE_EVENTS = 256
PAGE_BYTES = 512 * 1024
"""One turn's share: well inside a client's buffer, and a few ms of everybody's time."""
WORKERS = 4


class PageOf(Protocol):
    """Where pages are read: ``StoreReader.events_after``, ``RecentEvents.page``."""

    def __call__(
        self, channel: str, after: int, limit: int, /, *, until: int
    ) -> ChannelPage | None: ...


class CatchUp:
    """The queue and its workers. ``run`` is a service; ``enlist`` may be called by anyone."""

    def __init__(self, cache: RecentEvents, reads: Reads, metrics: Metrics) -> None:
        self._cache = cache
        self._reads = reads
        self._metrics = metrics
        self._queue: deque[AnyFeed] = deque()
        self._idle_workers = trio.lowlevel.ParkingLot()

    def enlist(self, feed: AnyFeed) -> None:
        """Queue a feed that is CATCHING_UP; each is in the queue at most once."""
        if not feed.is_queued:
            feed.is_queued = True
            self._queue.append(feed)
            self._idle_workers.unpark()

    def __len__(self) -> int:
        return len(self._queue)

    async def run(
        self, hub: Hub, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Work until cancelled. The hub is an argument because it is made of this object."""
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(self._work, hub)
            task_status.started()

    async def _work(self, hub: Hub) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            while not self._queue:
                await self._idle_workers.park()
            feed = self._queue.popleft()
            feed.is_queued = False
            try:
                await self._turn_when_readable(feed, hub)
            except BaseException:
                # In no queue any more, it would stay silent for ever: have its client come back.
                feed.receiver.close_asap(Close.SERVER_ERROR)
                raise

    async def _turn_when_readable(self, feed: AnyFeed, hub: Hub) -> None:
        try:
            await self._turn(feed, hub)
        except StoreUnavailable as error:
            log.warning("clients wait for missed events, the store cannot be read: %s", error)
            await trio.sleep(1)
            self.enlist(feed)

    async def _turn(self, feed: AnyFeed, hub: Hub) -> None:
        """One page for one feed; then it is LIVE, queued again, or waits for its client."""
        receiver = feed.receiver
        if not self._is_behind(feed) or not receiver.idle():
            return
        until = hub.position
        behind = feed.missing(hub.heads(feed))
        pages = _pages(self._cache.page, behind)
        source = "cache"
        if pages is None:
            source = "store"
            pages = await self._reads(lambda reader: _pages(reader.events_after, behind))
            assert pages is not None  # of every channel the store has a page
            if not self._is_behind(feed):
                return
            if any(feed.cursors.get(channel) != cursor for channel, cursor in behind.items()):
                # Enlisted again while we read, it was taken further by another worker; or its
                # client is in other channels now.
                self.enlist(feed)
                return
            if any(
                page.head > behind[channel] and page.floor > behind[channel] + 1
                for channel, page in pages.items()
            ):
                # Retention has passed it by: the client must reload, and is told so (P3).
                receiver.close_asap(Close.INSUFFICIENT_STATE)
                return
        if pages:
            taken = feed.take(pages, until, PAGE_BYTES)
            if taken is None:
                # Live events of other feeds filled the buffer while we read: wait until it drains.
                receiver.idle()
                return
            self._metrics.feed_recovered(taken, source)
        hub.settle(feed, {channel: page.head for channel, page in pages.items()})

    @staticmethod
    def _is_behind(feed: AnyFeed) -> bool:
        return feed.state is State.CATCHING_UP and not feed.receiver.is_closed


def _pages(page_of: PageOf, behind: Mapping[str, int]) -> dict[str, ChannelPage] | None:
    """What is missed right behind the cursors, or None where one of the pages is missing.

    Once there is enough for a turn, the channels that are left are read no further than that: a
    client in 512 busy rooms would else have us read and sort 100,000 events to tell it 500.
    """
    pages: dict[str, ChannelPage] = {}
    found: list[ChannelEvent] = []
    until = ENDLESS
    for channel, cursor in behind.items():
        page = page_of(channel, cursor, PAGE_EVENTS, until=until)
        if page is None:
            return None
        pages[channel] = page
        found += [event for event in page.events if event.id <= until]
        if len(found) >= 2 * PAGE_EVENTS:
            known = in_order([found])
            found = list(up_to_bytes(known[:PAGE_EVENTS], PAGE_BYTES))
            if len(found) < len(known):
                until = found[-1].id
    return pages
