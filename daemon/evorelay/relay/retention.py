"""Housekeeping in small steps: the disk watermark, and what is old enough to go."""

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial

import trio
from msgspec import Struct

from evorelay.model.clock import NowMs
from evorelay.model.errors import RelayError
from evorelay.relay.bygone import Bygone
from evorelay.relay.cache import RecentEvents
from evorelay.relay.collecting import Collector
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reads import Reads
from evorelay.relay.uploads import KEPT_MS
from evorelay.storage.ports import Maintenance

log = logging.getLogger(__name__)

DISK_CHECK_S = 5.0
SWEEP_EVERY_S = 600.0
EVENTS_PER_STEP = 2000
"""About 20 ms of the writer; live batches go in between."""

ROWS_PER_STEP = 100
"""Messages whose files go, and quarantined webhooks: each is found in an index and rewritten, the
words of a message in the index of search, too: 0.2 ms."""

SOCKETS_PER_AGENT = 1000
"""Socket.IO clients of one agent that may come back: each page that was opened is one."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long what is kept, in ms; 0 is for ever where it is allowed."""

    journal: int
    events: int
    media: int = 0
    quarantine: int = 0


class Retention:
    def __init__(
        self,
        journal: Journal,
        pipeline: Pipeline,
        ledger: Ledger,
        maintenance: Maintenance,
        cache: RecentEvents,
        reads: Reads,
        collector: Collector,
        bygone: Bygone,
        limits: Limits,
        *,
        now: NowMs,
    ) -> None:
        self._journal = journal
        self._pipeline = pipeline
        self._ledger = ledger
        self._maintenance = maintenance
        self._cache = cache
        self._reads = reads
        self._collector = collector
        self._bygone = bygone
        self._limits = limits
        self._now = now
        self._looked_at = trio.current_time()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check the disk every few seconds, sweep every few minutes, until cancelled."""
        task_status.started()
        next_sweep = trio.current_time() + SWEEP_EVERY_S
        while True:
            await trio.sleep(DISK_CHECK_S)
            self._look()
            if trio.current_time() >= next_sweep:
                await self.sweep()
                next_sweep = trio.current_time() + SWEEP_EVERY_S

    def _look(self) -> None:
        self._looked_at = trio.current_time()
        self._journal.check_disk()
        self._cache.evict(self._now())

    def _look_if_due(self) -> None:
        """Between two steps of a sweep, which may be many."""
        if trio.current_time() >= self._looked_at + DISK_CHECK_S:
            self._look()

    async def sweep(self) -> dict[str, int]:
        """Remove what is old, and files nobody needs any more; returns how much of what."""
        removed: Counter[str] = Counter()
        try:
            await self._sweep(removed)
        except RelayError as error:
            log.warning("old data could not be removed: %s", error)
        if told := {what: count for what, count in removed.items() if count}:
            log.info("removed old data", extra=told)
        return told

    async def _sweep(self, removed: Counter[str]) -> None:
        limits, maintenance, now = self._limits, self._maintenance, self._now()
        events_until = now - limits.events

        async def all_of(what: str, work: Callable[[], int]) -> None:
            while step := await self._ledger.maintain(work):
                removed[what] += step
                self._look_if_due()

        while step := await self._journal.trim(self._pipeline.cursor, now - limits.journal):
            removed["journal_entries"] += step
            self._look_if_due()

        await all_of("events", lambda: maintenance.trim_events(events_until, EVENTS_PER_STEP))
        await self._ledger.maintain(lambda: maintenance.trim_early_changes(events_until))
        await all_of("replies", lambda: maintenance.trim_outbox(events_until, EVENTS_PER_STEP))
        await self._ledger.maintain(lambda: maintenance.trim_uploads(now - KEPT_MS))
        await self._ledger.maintain(
            lambda: maintenance.trim_sockets(events_until, SOCKETS_PER_AGENT)
        )
        if limits.quarantine:
            until = now - limits.quarantine
            await all_of("quarantined", lambda: maintenance.trim_quarantine(until, ROWS_PER_STEP))
        if limits.media:
            media_until = now - limits.media
            await all_of("media", lambda: maintenance.age_media(media_until, ROWS_PER_STEP))
        await self._forget_messages(removed)
        collected = await self._collector.sweep()
        removed["files"] += collected.blobs
        removed["file_bytes"] += collected.bytes

    async def _forget_messages(self, removed: Counter[str]) -> None:
        """Found beside the writer, which then removes a few hundred at a time."""
        before = self._bygone.removed_before
        if before is None:
            return
        while ids := await self._reads(lambda reader: reader.sent_before(before, ROWS_PER_STEP)):
            forget = partial(self._maintenance.forget_messages, ids)
            removed["messages"] += await self._ledger.maintain(forget)
            self._look_if_due()
