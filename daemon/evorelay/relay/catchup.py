"""Bringing feeds from CATCHING_UP to LIVE: a few workers for all of them.

A reconnect storm or one slow reader must not start a thousand reads at once: feeds queue here in
order, each gets one page per turn, and a feed whose client does not take its bytes waits outside
the queue until the client's buffer has drained (P5).
"""

import logging
from collections import deque

import trio

from evorelay.model.close import Close
from evorelay.model.errors import StoreUnavailable
from evorelay.model.event import ChannelEvent
from evorelay.relay.cache import RecentEvents
from evorelay.relay.feed import Feed, State
from evorelay.relay.hub import Hub
from evorelay.relay.reads import Reads
from evorelay.storage.ports import ChannelPage
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

PAGE_EVENTS = 256
PAGE_BYTES = 512 * 1024
"""One turn's share: well inside a client's buffer, and a few ms of everybody's time."""
WORKERS = 4


class CatchUp:
    """The queue and its workers. ``run`` is a service; ``enlist`` may be called by anyone."""

    def __init__(self, cache: RecentEvents, reads: Reads, metrics: Metrics) -> None:
        self._cache = cache
        self._reads = reads
        self._metrics = metrics
        self._queue: deque[Feed] = deque()
        self._idle_workers = trio.lowlevel.ParkingLot()

    def enlist(self, feed: Feed) -> None:
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

    async def _turn_when_readable(self, feed: Feed, hub: Hub) -> None:
        try:
            await self._turn(feed, hub)
        except StoreUnavailable as error:
            log.warning("clients wait for missed events, the store cannot be read: %s", error)
            await trio.sleep(1)
            self.enlist(feed)

    async def _turn(self, feed: Feed, hub: Hub) -> None:
        """One page for one feed; then it is LIVE, queued again, or waits for its client."""
        receiver = feed.receiver
        if not self._is_behind(feed) or not receiver.idle():
            return
        cursor = feed.cursor
        page = self._cache.page(feed.channel, cursor, PAGE_EVENTS)
        source = "cache"
        if page is None:
            source = "store"
            page = await self._reads(
                lambda reader: reader.events_after(feed.channel, cursor, PAGE_EVENTS)
            )
            if not self._is_behind(feed) or feed.cursor != cursor:
                return  # enlisted again while we read, it was taken further by another worker
            if page.head > cursor and page.floor > cursor + 1:
                # Retention has passed it by: the client must reload, and is told so (P3).
                receiver.close_asap(Close.INSUFFICIENT_STATE)
                return
        events = _up_to_bytes(page, PAGE_BYTES)
        if events:
            if not feed.deliver(events):
                # Live events of other feeds filled the buffer while we read: wait until it drains.
                receiver.idle()
                return
            self._metrics.feed_recovered(len(events), source)
        hub.settle(feed, page.head)

    @staticmethod
    def _is_behind(feed: Feed) -> bool:
        return feed.state is State.CATCHING_UP and not feed.receiver.is_closed


def _up_to_bytes(page: ChannelPage, bytes_max: int) -> list[ChannelEvent]:
    """As many of the page's events as fit, at least one."""
    size = 0
    for index, event in enumerate(page.events):
        size += len(event.data)
        if size > bytes_max and index:
            return page.events[:index]
    return page.events
