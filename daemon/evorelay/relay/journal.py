"""The journal as the engine sees it: group commit on one side, a bounded channel on the other.

``submit`` returns when its envelope is fsynced (P1). Everything submitted while one commit is
under way shares the next one, so the price of an fsync is divided by the load. What was committed
is handed to the pipeline from memory; when the pipeline is further behind than ``tail_bytes``, or
after a restart, it reads from disk and the memory is not used.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import trio

from evorelay.model.envelope import Entry, Envelope
from evorelay.model.errors import JournalUnavailable
from evorelay.storage.ports import Journaled, JournalStore
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

TAIL_BYTES = 16 * 1024 * 1024
PENDING_BYTES_MAX = 32 * 1024 * 1024
"""Waiting for a commit at most; beyond it webhooks are shed with 503. About 0.3 s of disk."""
READ_ENTRIES = 512
READ_BYTES = 2 * 1024 * 1024
"""Handed to the pipeline at once, from memory and from disk; a commit is never cut."""


class _Batch:
    """Envelopes that will share one commit, and the event their submitters wait for."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.arrived: list[float] = []
        self.size = 0
        self.since = trio.current_time()
        self.done = trio.Event()
        self.first_seq = 0
        self.error: JournalUnavailable | None = None


class Journal:
    """One per process. ``run`` is the only task that writes."""

    def __init__(
        self,
        store: JournalStore,
        metrics: Metrics,
        *,
        free_bytes: Callable[[], int],
        free_bytes_min: int,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._free_bytes = free_bytes
        self._free_bytes_min = free_bytes_min
        self._filling = _Batch()
        self._committing: _Batch | None = None
        self._submitted = trio.Event()
        self._committed = trio.Event()
        self._closing = False
        self._disk_full = False
        self._tail: deque[list[Entry]] = deque()
        self._tail_size = 0
        self._tail_bytes = tail_bytes
        self.identity = store.identity
        self.head = store.last_seq()
        """The last committed seq."""
        self.committed_at: float | None = None
        """When (Trio's clock) the last commit that succeeded was done; None: none yet."""
        self.commit_s = 0.0
        """How long that one took, fsync included."""
        self.commit_error: str | None = None
        """Why the last commit failed; None: it did not."""
        self.commit_failed_at = 0.0
        """When (Trio's clock) it did."""
        self._limiter = trio.CapacityLimiter(1)
        self._read_limiter = trio.CapacityLimiter(1)

    @property
    def refusal(self) -> str | None:
        """Why nothing can be submitted now, for the answer 503; None while it can."""
        if self._closing:
            return "the relay is shutting down"
        if self._disk_full:
            return "the disk is almost full"
        if self._filling.size > PENDING_BYTES_MAX:
            return "the disk cannot keep up"
        return None

    @property
    def waiting_since(self) -> float | None:
        """Since when (Trio's clock) the oldest uncommitted envelope waits; None when none does."""
        if self._committing is not None:
            return self._committing.since
        return self._filling.since if self._filling.envelopes else None

    async def submit(self, envelope: Envelope) -> int:
        """Store one envelope and return its seq; on return it is fsynced.

        Raises ``JournalUnavailable``. Cancelling does not undo: the envelope may still be
        stored, like a webhook whose sender hung up before the answer.
        """
        return await self.submit_all([envelope])

    async def submit_all(self, envelopes: Sequence[Envelope]) -> int:
        """Store at least one, next to each other, all or none; return the first one's seq.

        As in ``submit``; together they should be a few megabytes at most.
        """
        refusal = self.refusal
        if refusal is not None:
            raise JournalUnavailable(refusal)
        batch = self._filling
        index = len(batch.envelopes)
        now = trio.current_time()
        if not index:
            batch.since = now
        batch.envelopes.extend(envelopes)
        batch.arrived.extend([now] * len(envelopes))
        batch.size += sum(len(envelope.body) for envelope in envelopes)
        self._submitted.set()
        await batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.first_seq + index

    def close_asap(self) -> None:
        """Refuse new envelopes; ``run`` returns when those submitted are committed."""
        self._closing = True
        self._submitted.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit batches until ``close_asap``; a failed commit is answered and tried anew."""
        self.check_disk()
        task_status.started()
        while True:
            if not self._filling.envelopes:
                if self._closing:
                    return
                self._submitted = trio.Event()
                await self._submitted.wait()
                continue
            # No await between taking the batch and starting the next: nothing is lost between.
            batch = self._committing = self._filling
            self._filling = _Batch()
            try:
                await self._commit(batch)
            finally:
                if not batch.first_seq and batch.error is None:
                    batch.error = JournalUnavailable("the relay is shutting down")
                self._committing = None
                batch.done.set()

    async def _commit(self, batch: _Batch) -> None:
        started = trio.current_time()
        try:
            first = await trio.to_thread.run_sync(
                self._store.append, batch.envelopes, limiter=self._limiter
            )
        except JournalUnavailable as error:
            batch.error = error
            self.commit_error, self.commit_failed_at = str(error), trio.current_time()
            self.check_disk()
            return
        batch.first_seq = first
        entries = [
            Entry(seq, envelope, arrived)
            for seq, (envelope, arrived) in enumerate(
                zip(batch.envelopes, batch.arrived, strict=True), first
            )
        ]
        self._keep(entries, batch.size)
        self.head = entries[-1].seq
        self._committed.set()
        self.committed_at = trio.current_time()
        self.commit_s = self.committed_at - started
        self.commit_error = None
        self._metrics.journal_committed(len(entries), batch.size, self.commit_s)

    def _keep(self, entries: list[Entry], size: int) -> None:
        """Add a commit to the tail, unless the reader is too far behind for it to help."""
        if self._tail_size + size > self._tail_bytes:
            self._tail.clear()
            self._tail_size = 0
        else:
            self._tail.append(entries)
            self._tail_size += size

    async def read(self, after: int) -> list[Entry]:
        """Wait for entries beyond ``after`` and return some, in order. For the one pipeline."""
        while self.head <= after:
            self._committed = trio.Event()
            await self._committed.wait()
        tail = self._tail
        while tail and tail[0][-1].seq <= after:
            self._tail_size -= sum(len(entry.envelope.body) for entry in tail.popleft())
        if tail and tail[0][0].seq <= after + 1:
            # Several commits at once: handled one by one, each would cost a transaction.
            entries = tail[0][after + 1 - tail[0][0].seq :]
            for commit in islice(tail, 1, None):
                if len(entries) >= READ_ENTRIES:
                    break
                entries += commit
            return entries
        return await trio.to_thread.run_sync(
            self._store.read, after, READ_BYTES, limiter=self._read_limiter
        )

    async def reread(self, after: int) -> list[Entry]:
        """Entries beyond ``after`` from disk, none at the head; raises ``StoreUnavailable``."""
        return await trio.to_thread.run_sync(
            self._store.read, after, READ_BYTES, limiter=self._read_limiter
        )

    async def find(self, seq: int) -> Journaled | None:
        """One entry as long as it is kept; raises ``StoreUnavailable``."""
        return await trio.to_thread.run_sync(self._store.find, seq, limiter=self._read_limiter)

    async def oldest_at(self) -> int | None:
        """When the oldest entry that is kept was committed; raises ``StoreUnavailable``."""
        return await trio.to_thread.run_sync(self._store.oldest_at, limiter=self._read_limiter)

    async def before(self, moment_ms: int) -> int:
        """A seq beyond which everything has arrived that arrived at a moment or later.

        Found by halving: arrival times grow with the seq, but for a step of the clock.
        """
        low, high = 0, self.head
        while low < high:
            middle = (low + high) // 2
            entries = await trio.to_thread.run_sync(
                self._store.read, middle, 1, limiter=self._read_limiter
            )
            if entries and entries[0].envelope.received_at < moment_ms:
                low = entries[0].seq
            else:
                high = middle
        return low

    def skip_to(self, seq: int) -> None:
        """Go on beyond a seq that the store has handled and this journal does not know.

        That is a journal put back from an older copy: numbering anew what the store takes for
        handled would lose it. Called before anything is submitted.
        """
        self._store.skip_to(seq)
        self.head = max(self.head, seq)

    async def trim(self, up_to_seq: int, older_than_ms: int) -> int:
        """Drop what is handled and old enough, one small transaction; returns how many."""
        return await trio.to_thread.run_sync(
            self._store.trim, up_to_seq, older_than_ms, limiter=self._limiter
        )

    async def replace(self, envelopes: Mapping[int, Envelope]) -> None:
        """Give handled entries another content, between two commits."""
        await trio.to_thread.run_sync(self._store.replace, envelopes, limiter=self._limiter)

    async def scrub(self, compact_bytes_max: int) -> bool:
        """``JournalStore.scrub``; webhooks wait for it, so it should not be much."""
        return await trio.to_thread.run_sync(
            self._store.scrub, compact_bytes_max, limiter=self._limiter
        )

    def check_disk(self) -> None:
        """Compare free space with the watermark. Called every few seconds and after a failure."""
        free = self._free_bytes()
        was_full, self._disk_full = self._disk_full, free < self._free_bytes_min
        if self._disk_full and not was_full:
            log.error(
                "the disk is almost full: webhooks are answered 503 until there is room",
                extra={"free_bytes": free, "webhook_min_free_bytes": self._free_bytes_min},
            )
        elif was_full and not self._disk_full:
            log.info("there is room on the disk again: webhooks are accepted")
