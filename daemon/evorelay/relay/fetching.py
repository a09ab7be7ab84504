"""Fetching files that did not come with their messages: from ``mediaUrl``, or from Evolution.

Each wish is a row; an attempt is counted in it before it is made, so a kill, or a bug, repeats it
later and not for ever. Every instance has a lane of its own with a budget, two files at once and a
short queue; one Evolution has half of the room, so that whoever does not answer delays nobody else.
What does not fit into a lane waits in the store.
"""

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
import trio
from msgspec import Struct

from evorelay.model.clock import NowMs
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.records import FetchRecord, MessageRecord
from evorelay.protocol.pacing import TokenBucket
from evorelay.relay.blobs import BlobStore
from evorelay.relay.downloading import Downloader, DownloadRefused
from evorelay.relay.draft import Draft
from evorelay.relay.fetches import Fetches, settle, still_wanted
from evorelay.relay.file_facts import FileFacts, file_facts
from evorelay.relay.gateway import Gateway
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

WAITS_MS = tuple(1000 * s for s in (30, 120, 480, 1800, 7200, 21_600, 43_200, 600))
"""After each attempt; the last is only waited for if we are killed in it. 21 h in all: Evolution
may be down for a night, and WhatsApp's servers keep files for some weeks."""
PER_INSTANCE = 2
PER_HOST = 4
IN_ALL = 8
LANE_MAX = 16
PAGE = 500
IDLE_S = 60.0
"""Between two looks when nothing is known to become due; new wishes ring."""
STORE_RETRY_S = 5.0
BURST_SHARE = 6
"""A sixth of a minute's budget at once, the rest spread: never more than the budget a minute."""
_NEVER = 1 << 53


class Lane:
    """An instance's wishes that are under way."""

    def __init__(self, per_minute: int) -> None:
        burst = max(1, per_minute // BURST_SHARE)
        rate = max(per_minute - burst, 0.5) / 60
        self.rows: deque[FetchRecord] = deque()
        self.workers = 0
        self._bucket = TokenBucket(rate, burst, trio.current_time())

    async def pace(self) -> None:
        """Take a place in the budget, when there is one."""
        while True:
            wait_s = self._bucket.wait(trio.current_time())
            if not wait_s:
                break
            await trio.sleep(wait_s)  # the lane's other worker may be quicker then
        self._bucket.take(trio.current_time())


class _Found(Struct, frozen=True, kw_only=True):
    blob: str
    size: int
    mimetype: str | None
    filename: str | None
    width: int | None = None
    height: int | None = None


class Fetching:
    """The service; ``waiting`` is how many wishes there are, at most some ``PAGE``."""

    def __init__(
        self,
        fetches: Fetches,
        ledger: Ledger,
        reads: Reads,
        blobs: BlobStore,
        gateway: Gateway,
        downloader: Downloader,
        metrics: Metrics,
        *,
        per_minute: int,
        now: NowMs,
    ) -> None:
        self._fetches = fetches
        self._ledger = ledger
        self._reads = reads
        self._blobs = blobs
        self._gateway = gateway
        self._downloader = downloader
        self._metrics = metrics
        self._per_minute = per_minute
        self._now = now
        self._lanes: dict[str, Lane] = {}
        self._taken: set[str] = set()
        """Message ids in a lane: their rows may still look due."""
        self._hosts: dict[str, trio.CapacityLimiter] = {}
        self._all = trio.CapacityLimiter(IN_ALL)
        self.waiting = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fetch until cancelled; what is under way then is fetched after the next start."""
        self._lanes.clear()
        self._taken.clear()
        async with trio.open_nursery() as workers:
            task_status.started()
            while True:
                try:
                    pause_s = await self._deal(workers)
                except StoreUnavailable as error:
                    log.warning("files cannot be fetched: %s", error)
                    pause_s = STORE_RETRY_S
                with trio.move_on_after(pause_s):
                    await self._fetches.rung()

    async def _deal(self, workers: trio.Nursery) -> float:
        """Put what is due into its lane; how long there is nothing more to do."""
        taken = set(self._taken)  # those that end while we read were read as they were before
        limit = len(taken) + PAGE
        rows = await self._reads(lambda reader: reader.fetches_due(_NEVER, limit))
        now = self._now()
        taken |= self._taken
        self.waiting = len(rows)
        late: list[FetchRecord] = []
        for row in rows:
            if row.due_at > now:
                return await self._postponed(late, min(IDLE_S, (row.due_at - now) / 1000))
            if row.message_id in taken:
                continue
            lane = self._lanes.setdefault(row.instance, Lane(self._per_minute))
            if len(lane.rows) >= LANE_MAX:
                late.append(row)
                continue
            self._taken.add(row.message_id)
            lane.rows.append(row)
            if lane.workers < PER_INSTANCE:
                lane.workers += 1
                workers.start_soon(self._work, lane)
        return await self._postponed(late, 0.0 if len(rows) == limit else IDLE_S)

    async def _postponed(self, late: Iterable[FetchRecord], pause_s: float) -> float:
        """Have rows come back when their instance's budget may have come to them."""
        places: dict[str, int] = {}
        rows = []
        now = self._now()
        for row in late:
            place = places[row.instance] = places.get(row.instance, LANE_MAX) + 1
            wait_ms = place * 60_000 // self._per_minute
            rows.append(msgspec.structs.replace(row, due_at=now + max(wait_ms, 1000)))
        if not rows:
            return pause_s
        await self._ledger.change(lambda draft: draft.plan.fetches.extend(rows))
        return 0.0

    async def _work(self, lane: Lane) -> None:
        try:
            while lane.rows:
                row = lane.rows.popleft()
                try:
                    await lane.pace()
                    async with self._host(row.instance), self._all:
                        await self._attempt(row)
                except StoreUnavailable as error:
                    log.warning("a file cannot be fetched: %s", error)
                    await trio.sleep(STORE_RETRY_S)
                except Exception as error:  # a bug met this row: its attempt counts, others go on
                    log.error(
                        "fetching a file met a bug",
                        exc_info=error,
                        extra={"instance": row.instance},
                    )
                finally:
                    self._taken.discard(row.message_id)
        finally:
            lane.workers -= 1

    def _host(self, instance: str) -> trio.CapacityLimiter:
        host = self._gateway.host(instance) or instance
        return self._hosts.setdefault(host, trio.CapacityLimiter(PER_HOST))

    async def _attempt(self, row: FetchRecord) -> None:
        message = await self._ledger.change(lambda draft: _begin(draft, row))
        if message is None:
            return
        try:
            found = await self._find(message)
        except (GatewayFault, JournalUnavailable) as fault:
            is_last = row.attempts + 1 >= len(WAITS_MS)
            if is_last or _is_permanent(fault):
                log.info("a file could not be had: %s", fault, extra={"instance": row.instance})
                await self._ledger.change(lambda draft: settle(draft, row.message_id, None))
                self._metrics.media_fetched("failed")
            else:
                self._metrics.media_fetched("retried")
                self._fetches.ring()  # it becomes due earlier than was known at the last look
            return
        facts = await self._blobs.examine(found.blob, file_facts)
        media = _media(found, facts or FileFacts(mimetype=None))
        if await self._ledger.change(lambda draft: settle(draft, row.message_id, media)):
            self._metrics.media_fetched("fetched")

    async def _find(self, message: MessageRecord) -> _Found:
        """Where Evolution keeps files itself, its address is the cheaper way; then ask for it."""
        assert message.media is not None
        assert message.whatsapp_id is not None
        url = message.media.get("remote_url")
        if url is not None:
            try:
                there = await self._downloader.fetch(url)
            except DownloadRefused as refused:
                log.debug("a message's mediaUrl is of no use: %s", refused)
            else:
                return _Found(
                    blob=there.blob,
                    size=there.size,
                    mimetype=there.mimetype,
                    filename=there.filename,
                )
        asked = await self._gateway.media(message.instance, message.whatsapp_id)
        return _Found(
            blob=asked.blob,
            size=asked.size,
            mimetype=asked.mimetype,
            filename=asked.filename,
            width=asked.width,
            height=asked.height,
        )


def _begin(draft: Draft, row: FetchRecord) -> MessageRecord | None:
    """Count the attempt, unless nobody waits for the file any more."""
    message = draft.tx.messages_by_id([row.message_id]).get(row.message_id)
    if row.attempts >= len(WAITS_MS) or not still_wanted(message):
        settle(draft, row.message_id, None)
        return None
    due_at = draft.now + WAITS_MS[row.attempts]
    draft.plan.fetches.append(
        msgspec.structs.replace(row, attempts=row.attempts + 1, due_at=due_at)
    )
    return message


def _is_permanent(fault: Exception) -> bool:
    return isinstance(fault, GatewayFault) and fault.kind is FaultKind.PERMANENT


def _media(found: _Found, facts: FileFacts) -> dict[str, Any]:
    """What ``MessageRecord.media`` says of it, where the webhook had said nothing."""
    return {
        "id": found.blob,
        "url": f"/media/{found.blob}",
        "size": found.size,
        "mimetype": facts.mimetype or found.mimetype,
        "filename": found.filename,
        "width": found.width or facts.width,
        "height": found.height or facts.height,
        "seconds": facts.seconds,
    }
