"""Housekeeping in small steps: the disk watermark, and what is old enough to go."""

import logging

import trio

from evorelay.model.clock import NowMs
from evorelay.model.errors import RelayError
from evorelay.relay.cache import RecentEvents
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.uploads import KEPT_MS
from evorelay.storage.ports import Maintenance

log = logging.getLogger(__name__)

DISK_CHECK_S = 5.0
SWEEP_EVERY_S = 600.0
EVENTS_PER_STEP = 2000
"""About 20 ms of the writer; live batches go in between."""

SOCKETS_PER_AGENT = 1000
"""Socket.IO clients of one agent that may come back: each page that was opened is one."""


class Retention:
    def __init__(
        self,
        journal: Journal,
        pipeline: Pipeline,
        ledger: Ledger,
        maintenance: Maintenance,
        cache: RecentEvents,
        *,
        journal_ms: int,
        events_ms: int,
        now: NowMs,
    ) -> None:
        self._journal = journal
        self._pipeline = pipeline
        self._ledger = ledger
        self._maintenance = maintenance
        self._cache = cache
        self._journal_ms = journal_ms
        self._events_ms = events_ms
        self._now = now

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Check the disk every few seconds, sweep every few minutes, until cancelled."""
        task_status.started()
        next_sweep = trio.current_time() + SWEEP_EVERY_S
        while True:
            await trio.sleep(DISK_CHECK_S)
            self._journal.check_disk()
            self._cache.evict(self._now())
            if trio.current_time() >= next_sweep:
                await self.sweep()
                next_sweep = trio.current_time() + SWEEP_EVERY_S

    async def sweep(self) -> tuple[int, int]:
        """Drop old journal entries and events; returns how many of each."""
        entries = events = 0
        now = self._now()
        try:
            while step := await self._journal.trim(self._pipeline.cursor, now - self._journal_ms):
                entries += step
            while step := await self._ledger.maintain(
                lambda: self._maintenance.trim_events(now - self._events_ms, EVENTS_PER_STEP)
            ):
                events += step
            await self._ledger.maintain(
                lambda: self._maintenance.trim_early_changes(now - self._events_ms)
            )
            while await self._ledger.maintain(
                lambda: self._maintenance.trim_outbox(now - self._events_ms, EVENTS_PER_STEP)
            ):
                pass
            await self._ledger.maintain(lambda: self._maintenance.trim_uploads(now - KEPT_MS))
            await self._ledger.maintain(
                lambda: self._maintenance.trim_sockets(now - self._events_ms, SOCKETS_PER_AGENT)
            )
        except RelayError as error:
            log.warning("old data could not be removed: %s", error)
        if entries or events:
            log.info("removed old data", extra={"journal_entries": entries, "events": events})
        return entries, events
