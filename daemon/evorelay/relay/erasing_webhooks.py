"""What webhooks as received say of a person: in the journal, and in bodies that are files."""

from collections.abc import AsyncIterator, Callable

import msgspec
import trio

from evorelay.model.blob_names import blob_names
from evorelay.model.envelope import Envelope
from evorelay.protocol.erasing import Mentions, ids_named
from evorelay.relay.blobs import BlobStore
from evorelay.relay.erased import Erased
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger

ERASED = "erased"
"""The event of what stands in the journal in place of a webhook."""
_SLICE_BYTES = 1024 * 1024
_OVERLAP_BYTES = 512
"""More than a mark or a message's id with its name."""


class Webhooks:
    """``handled``: up to which seq the pipeline is through. Methods raise what journal, store and
    blobs raise."""

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        blobs: BlobStore,
        erased: Erased,
        handled: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._blobs = blobs
        self._erased = erased
        self._handled = handled

    async def mentioning(
        self, mentions: Mentions, *, after: int = 0, replace: bool = False
    ) -> list[int]:
        """Handled entries that say something of the person, a stretch of the journal at a time;
        ``replace``: and they are written over."""
        seqs: list[int] = []
        position, last = after, self._handled()
        while position < last and (entries := await self._journal.reread(position)):
            position = entries[-1].seq
            hits: dict[int, Envelope] = {}
            for entry in entries:
                envelope = entry.envelope
                if entry.seq > last or envelope.event == ERASED:
                    continue
                body = envelope.body_blob
                if mentions.are_in(envelope.body) or (
                    body is not None and await self.is_in_blob(mentions, body)
                ):
                    hits[entry.seq] = envelope
                await trio.lowlevel.checkpoint()
            if hits and replace:
                await self._replace(hits)
            seqs += hits
        return seqs

    async def is_in_blob(self, mentions: Mentions, blob: str) -> bool:
        """Whether a body that is a file says anything of the person."""
        async for part in self._parts(blob):
            if await trio.to_thread.run_sync(mentions.are_in, part):
                return True
        return False

    async def none_names(self, blobs: set[str]) -> set[str]:
        """Those of them that nothing in the journal names, handled or not."""
        free = {*blobs}
        position = 0
        while free and (entries := await self._journal.reread(position)):
            position = entries[-1].seq
            for entry in entries:
                if free.isdisjoint(blob_names(entry.envelope.body)) and (
                    entry.envelope.body_blob is None
                ):
                    continue
                free -= await self._named(entry.envelope)
        return free

    async def _replace(self, hits: dict[int, Envelope]) -> None:
        """First what these say of messages that never came, and which files they name: later nobody
        can tell whose they were."""
        blobs = {name for envelope in hits.values() for name in await self._named(envelope)}
        await trio.to_thread.run_sync(self._erased.owe, blobs)
        early = {
            (envelope.instance, id_)
            for envelope in hits.values()
            for id_ in ids_named(envelope.body)
        }
        await self._ledger.change(lambda draft: draft.plan.settled_early.extend(sorted(early)))
        await self._journal.replace(
            {
                seq: msgspec.structs.replace(envelope, event=ERASED, body=b"{}", body_blob=None)
                for seq, envelope in hits.items()
            }
        )

    async def _named(self, envelope: Envelope) -> set[str]:
        names = set(blob_names(envelope.body))
        if envelope.body_blob is not None:
            names.add(envelope.body_blob)
            async for part in self._parts(envelope.body_blob):
                names |= set(blob_names(part))
        return names

    async def _parts(self, blob: str) -> AsyncIterator[bytes]:
        start = 0
        while part := await self._blobs.read(blob, _SLICE_BYTES + _OVERLAP_BYTES, start=start):
            yield part
            start += _SLICE_BYTES
