"""The pipeline: journal entries become facts, facts become store rows, in journal order.

Two workers and a bounded channel between them: while one batch is being committed (in a thread,
waiting for an fsync), the next is being understood. Nothing here remembers anything across a
crash: the cursor is in the store, written in the transaction of the batch it belongs to.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Protocol, TypeVar

import trio
from msgspec.structs import replace

from evorelay.model.clock import NowMs
from evorelay.model.envelope import Entry
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.model.fact import Fact, QuarantineFact
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.bygone import Bygone
from evorelay.relay.fetches import Fetches
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.reading import Reader
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_ENTRIES = 256
"""Entries in one transaction: beyond it commits gain nothing and agents wait (bench/end_to_end)."""
BATCH_BYTES = 2 * 1024 * 1024
"""Of bodies in one transaction, so that large ones do not add up in memory."""
SLICE = 32
"""Entries understood between two looks at the clock of everybody else: about 1 ms."""
POISONED = "internal_error"
STORE_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class Echoes(Protocol):
    """The lanes, as the pipeline knows them."""

    def settled(self, outbox_ids: Iterable[str]) -> None:
        """The echoes of these commands came."""

    def merged(self, people: Iterable[tuple[str, str]]) -> None:
        """(kept, absorbed): these contacts became one, and so do their conversations."""


class Pipeline:
    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        reader: Reader,
        news: InstanceNews,
        echoes: Echoes,
        metrics: Metrics,
        *,
        now: NowMs,
        reopen_within_ms: int,
        fetches: Fetches | None = None,
        bygone: Bygone | None = None,
    ) -> None:
        """``fetches``: where files that lack are wished for, None: nowhere; ``bygone``: what is not
        taken in any more."""
        self._journal = journal
        self._ledger = ledger
        self._reader = reader
        self._news = news
        self._echoes = echoes
        self._metrics = metrics
        self._now = now
        self._reopen_within_ms = reopen_within_ms
        self._fetches = fetches
        self._bygone = bygone
        self._closing = False
        self._scope = trio.CancelScope()
        self.cursor = 0
        """The last journal seq whose effects are committed and published."""
        self.oldest_unhandled_at: int | None = None
        """Arrival (Unix ms) of the batch under way; None when there is nothing to do."""
        self.last_progress_at = trio.current_time()
        self.last_attempt_at = trio.current_time()
        """When work was last begun; a store that refuses counts, a restart would not help it."""

    @property
    def lag(self) -> int:
        """Journal entries not handled yet."""
        return self._journal.head - self.cursor

    def age_s(self) -> float:
        """How long the oldest entry being handled has waited since its arrival; 0 when idle."""
        oldest = self.oldest_unhandled_at
        return 0.0 if oldest is None else max(0, self._now() - oldest) / 1000

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled, or until ``close_asap`` and nothing is left to do."""
        journal = self._journal.identity
        self.cursor = await self._ledger.change(lambda draft: draft.tx.cursor(journal))
        if self.cursor > self._journal.head:
            log.error("the journal is older than the store: it was put back from a copy")
            self._journal.skip_to(self.cursor)
        self._scope = trio.CancelScope()
        task_status.started()
        if self._closing and self.lag <= 0:
            return
        # No room in between: what arrives while a batch is committed makes up the next one.
        send, receive = trio.open_memory_channel[list[Understood]](0)
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._understand, send)
                nursery.start_soon(self._apply, receive)

    def close_asap(self) -> None:
        """Finish what the journal holds, then return from ``run``."""
        self._closing = True
        if self.lag == 0:
            self._scope.cancel()

    async def _understand(self, send: trio.MemorySendChannel[list[Understood]]) -> None:
        position = self.cursor
        async with send:
            while True:
                entries = await self._next(position)
                position = entries[-1].seq
                self.last_attempt_at = trio.current_time()
                for batch in _batches(entries):
                    if batch[0].envelope.body_blob is None:
                        await send.send(await self._understood(batch))
                    else:
                        await self._understand_parts(batch[0], send)

    async def _next(self, position: int) -> list[Entry]:
        attempt = 0
        while True:
            try:
                return await self._journal.read(position)
            except StoreUnavailable as error:
                await self._wait_out(error, attempt)
                attempt += 1

    async def _understood(self, entries: Sequence[Entry]) -> list[Understood]:
        batch: list[Understood] = []
        for index, entry in enumerate(entries, 1):
            facts = await self._surely(entry, partial(self._reader.facts, entry.envelope))
            batch.append(self._piece(entry, facts))
            if index % SLICE == 0:
                await trio.lowlevel.checkpoint()
        return batch

    def _piece(
        self, entry: Entry, facts: list[Fact] | QuarantineFact, *, is_whole: bool = True
    ) -> Understood:
        arrived = entry.arrived
        if entry.envelope.canary is not None:
            arrived = None  # no webhook: what is measured of those is not of it
        elif arrived is None:
            arrived = trio.current_time() - (self._now() - entry.envelope.received_at) / 1000
        return Understood(entry, facts if isinstance(facts, list) else [facts], is_whole, arrived)

    async def _understand_parts(
        self, entry: Entry, send: trio.MemorySendChannel[list[Understood]]
    ) -> None:
        """An entry that was too large for the journal, one transaction for each part of it.

        A crash or a shutdown in between repeats its parts at the next start.
        """
        parts = await self._surely(entry, partial(self._reader.parts, entry.envelope))
        if isinstance(parts, QuarantineFact):
            await send.send([self._piece(entry, parts)])
            return
        for number, part in enumerate(parts, 1):
            if self._closing and number > 1:
                # Not to the end, like any backlog: it is safe in the journal.
                log.info("journal entry %d is large: it begins anew at the next start", entry.seq)
                self._scope.cancel()
            facts = await self._surely(entry, part)
            await send.send([self._piece(entry, facts, is_whole=number == len(parts))])

    async def _surely(self, entry: Entry, read: Callable[[], Awaitable[T]]) -> T | QuarantineFact:
        """Read of an entry whatever happens: wait for the disk, and set aside what fails."""
        attempt = 0
        while True:
            try:
                return await read()
            except (StoreUnavailable, JournalUnavailable) as error:
                await self._wait_out(error, attempt)
                attempt += 1
            except Exception as error:  # a bug met this entry: keep the rest going
                return _set_aside(entry, error, "reading")

    async def _wait_out(self, error: Exception, attempt: int) -> None:
        """Before the next attempt of something that the disk or the database refused."""
        log.error("the store cannot be used; webhooks wait in the journal: %s", error)
        self.last_attempt_at = trio.current_time()
        await trio.sleep(STORE_RETRY_S[min(attempt, len(STORE_RETRY_S) - 1)])

    async def _apply(self, receive: trio.MemoryReceiveChannel[list[Understood]]) -> None:
        async with receive:
            async for batch in receive:
                self.oldest_unhandled_at = batch[0].entry.envelope.received_at
                started = self.last_attempt_at = trio.current_time()
                await self._apply_surely(batch)
                self.last_progress_at = trio.current_time()
                whole = [piece for piece in batch if piece.is_whole]
                if whole:
                    self.cursor = whole[-1].entry.seq
                    self.oldest_unhandled_at = None
                    if self._closing and self.lag == 0:
                        self._scope.cancel()
                self._metrics.batch_applied(len(whole), self.last_progress_at - started)
                self._metrics.webhook_to_publish_seconds(
                    [
                        self.last_progress_at - piece.arrived
                        for piece in whole
                        if piece.arrived is not None
                    ]
                )

    async def _apply_surely(self, batch: list[Understood]) -> None:
        """Apply a batch whatever happens: wait for the store, and isolate what it cannot take."""
        work = partial(
            apply_batch,
            batch=batch,
            journal=self._journal.identity,
            reopen_within_ms=self._reopen_within_ms,
            fetches=self._fetches,
            bygone=self._bygone,
        )
        for attempt in count():
            try:
                self._count(await self._ledger.change(work))
            except StoreUnavailable as error:
                await self._wait_out(error, attempt)
            except Exception as error:  # a bug met this batch: find the entry, keep the rest going
                await self._isolate(batch, error)
                return
            else:
                return

    async def _isolate(self, batch: list[Understood], error: Exception) -> None:
        """Halve a batch that cannot be applied until the fact at fault is alone; set it aside."""
        piece = batch[0]
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._apply_surely(batch[:middle])
            await self._apply_surely(batch[middle:])
            return
        if len(piece.facts) > 1:
            middle = len(piece.facts) // 2
            first = replace(piece, facts=piece.facts[:middle], is_whole=False)
            await self._apply_surely([first])
            await self._apply_surely([replace(piece, facts=piece.facts[middle:])])
            return
        if any(
            isinstance(fact, QuarantineFact) and fact.reason == POISONED for fact in piece.facts
        ):
            raise error
        fact = _set_aside(piece.entry, error, "storing")
        await self._apply_surely([replace(piece, facts=[fact])])

    def _count(self, applied: Applied) -> None:
        self._news.learned(applied.states, has_untold=applied.has_untold)
        if applied.merged:
            self._echoes.merged(applied.merged)
        if applied.settled:
            self._echoes.settled(applied.settled)
        if self._fetches is not None and applied.has_fetches:
            self._fetches.ring()
        for (type_, outcome), number in applied.outcomes.items():
            self._metrics.message_counted(type_, outcome, number)
            if outcome == "quarantined":
                log.info(
                    "%d of %s not understood; look at /v1/quarantine, or evorelay replay",
                    number,
                    type_ or "a webhook without event",
                )


def _set_aside(entry: Entry, error: Exception, doing: str) -> QuarantineFact:
    log.error("journal entry %d is set aside: a bug in %s it", entry.seq, doing, exc_info=error)
    return QuarantineFact(reason=POISONED, detail=f"{type(error).__name__} while {doing} it")


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """One that was too large for the journal is by itself."""
    batch: list[Entry] = []
    size = 0
    was_spilled = False
    for entry in entries:
        is_spilled = entry.envelope.body_blob is not None
        is_full = len(batch) == BATCH_ENTRIES or size > BATCH_BYTES
        if batch and (is_full or is_spilled or was_spilled):
            yield batch
            batch, size = [], 0
        was_spilled = is_spilled
        batch.append(entry)
        size += len(entry.envelope.body)
    if batch:
        yield batch
