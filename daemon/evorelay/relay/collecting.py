"""Files nobody refers to any more leave the blob store, a few shelves of it at a time.

A blob goes when all of this holds, found out in this order:

1. It is older than anything in the journal by ``GRACE_MS``. A webhook renews the blobs it names
   right before it is journaled, so no entry of the journal names an older one, handled or not, and
   a replay finds what it needs. The same hour is for what is on its way: a file that was stored
   and whose row is being written.
2. No row of the store refers to it: message, command, upload, quarantine.
3. Nobody has stored it again or renewed it meanwhile; looked at while nobody can (``BlobStore``).

And nothing goes in the first week of a store's life (``SETTLING_MS``): where a lost store was
begun anew, the files of what it does not know yet must still be there when its backup is put back,
for no backup has them.

A row that comes to refer to it between 2 and 3 comes from the journal (then it is no older than 1
says) or from somebody who renewed it (then 3 sees that, or they saw that it is gone). A crash
leaves some of it for the next time: rows give a file up before it goes, never after.
"""

import logging
import time
from collections.abc import Callable
from itertools import islice

from msgspec import Struct

from evorelay.model.blob_names import NAME_BYTES_MAX, blob_names
from evorelay.model.clock import NowMs
from evorelay.relay.blobs import SHELVES, BlobStore
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads
from evorelay.storage.ports import Maintenance

log = logging.getLogger(__name__)

GRACE_MS = 3_600_000
"""Longer than any step from storing a file to the commit of what refers to it."""
SETTLING_MS = 7 * 24 * GRACE_MS
"""Time enough to find that a store was lost, and to put a backup of it back."""
SHELVES_AT_ONCE = 16
"""Of 256, in one sweep: all of them in under three hours, and little work at a time."""
NAMES_AT_ONCE = 1000
ROWS_AT_ONCE = 50
"""Quarantined bodies looked through in one transaction, one after the other."""
_SLICE_BYTES = 1024 * 1024


class Collected(Struct, frozen=True):
    blobs: int
    bytes: int


class Collector:
    def __init__(
        self,
        blobs: BlobStore,
        journal: Journal,
        ledger: Ledger,
        maintenance: Maintenance,
        reads: Reads,
        *,
        pipeline_age_s: Callable[[], float],
        now: NowMs,
    ) -> None:
        """``pipeline_age_s``: how long what is being handled has been waiting."""
        self._blobs = blobs
        self._journal = journal
        self._ledger = ledger
        self._maintenance = maintenance
        self._reads = reads
        self._pipeline_age_s = pipeline_age_s
        self._now = now
        self._next_shelf = 0
        self._named_in: dict[str, frozenset[str]] = {}
        """By quarantined body: what it names. Bodies never change, and hardly one is so large."""

    async def sweep(self, shelves: int = SHELVES_AT_ONCE) -> Collected:
        """Look at the next few shelves; raises ``StoreUnavailable``. Safe to cancel anywhere."""
        if self._pipeline_age_s() * 1000 > GRACE_MS / 2:
            return Collected(0, 0)  # it may hold facts whose files have no row yet
        born_at = await self._reads(lambda reader: reader.born_at())
        if self._now() - born_at < SETTLING_MS:
            return Collected(0, 0)
        older_than = await self._safe_age()
        spared = await self._named_by_bodies()
        count = size = 0
        for _ in range(min(shelves, len(SHELVES))):
            old = iter(await self._blobs.older(SHELVES[self._next_shelf], older_than))
            while names := [*islice(old, NAMES_AT_ONCE)]:
                free = await self._without_rows(names) - spared
                removed, freed = await self._blobs.remove([*free], older_than)
                count, size = count + removed, size + freed
            self._next_shelf = (self._next_shelf + 1) % len(SHELVES)
        return Collected(count, size)

    async def _without_rows(self, names: list[str]) -> set[str]:
        return {*names} - await self._reads(lambda reader: reader.referred(names))

    async def _safe_age(self) -> int:
        """Before any reference is looked for: what comes to refer later comes from younger ones."""
        oldest = await self._journal.oldest_at()
        # The files' times are the machine's clock, whatever ``now`` is in a test.
        now = min(self._now(), time.time_ns() // 1_000_000)
        return (now if oldest is None else min(now, oldest)) - GRACE_MS

    async def _named_by_bodies(self) -> frozenset[str]:
        while await self._ledger.maintain(
            lambda: self._maintenance.note_quarantined_blobs(ROWS_AT_ONCE)
        ):
            pass
        bodies = await self._reads(lambda reader: reader.quarantined_bodies())
        known = self._named_in
        self._named_in = {
            body: known[body] if body in known else await self._names_in(body) for body in bodies
        }
        return frozenset[str]().union(*self._named_in.values())

    async def _names_in(self, body: str) -> frozenset[str]:
        found: set[str] = set()
        start = 0
        while part := await self._blobs.read(body, _SLICE_BYTES + NAME_BYTES_MAX, start=start):
            found |= blob_names(part)
            start += _SLICE_BYTES
        return frozenset(found)
