"""Old webhooks once more through the current normaliser: from quarantine, and from the journal.

What is done already stays as it is, so everything here may be repeated, cancelled, or cut off.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import trio

from evorelay.model.envelope import Entry, Envelope
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import Fact, GroupFact, QuarantineFact
from evorelay.model.principal import Principal
from evorelay.relay.again import Again
from evorelay.relay.apply import Understood
from evorelay.relay.bygone import Bygone
from evorelay.relay.differences import Difference, Found
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import check_supervisor
from evorelay.relay.quarantine import blob_of
from evorelay.relay.reading import Reader
from evorelay.relay.reads import Reads
from evorelay.relay.replay_questions import (
    JournalReplay,
    JournalReplayed,
    QuarantineReplay,
    QuarantineReplayed,
)

BATCH_ENTRIES = 64
"""Of the journal in one transaction; live traffic takes its turn after each."""
CALL_S = 2.0
"""After it a call answers how far it came. One huge entry is never left half replayed."""
_BODY_BYTES_MAX = 64 * 1024 * 1024
"""Above any body that quarantine holds as text."""


class Replay:
    """``handled`` says up to which seq the pipeline has come: beyond it nothing is old."""

    def __init__(
        self,
        reads: Reads,
        ledger: Ledger,
        journal: Journal,
        reader: Reader,
        *,
        handled: Callable[[], int],
        reopen_within_ms: int,
        bygone: Bygone | None = None,
    ) -> None:
        self._reads = reads
        self._journal = journal
        self._handled = handled
        self._again = {
            is_dry: Again(
                ledger, reader, reopen_within_ms=reopen_within_ms, is_dry=is_dry, bygone=bygone
            )
            for is_dry in (False, True)
        }
        self._turn = trio.Lock()

    async def quarantine(self, who: Principal, params: QuarantineReplay) -> QuarantineReplayed:
        """Act on one entry of quarantine if it is understood now; a foreign one is not found.

        Of a list the elements that are understood are acted on, and the entry stays as long as
        there is another one in it.
        """
        check_supervisor(who)
        id_ = params.quarantine_id
        row = await self._reads(lambda reader: reader.quarantined(id_, body_bytes=_BODY_BYTES_MAX))
        if row is None or not who.may_see(row[0].instance):
            raise Refusal(Code.NOT_FOUND, "there is no such entry in quarantine")
        summary, body, _ = row
        if summary.replayed_at is not None:
            return QuarantineReplayed(id=id_, outcome="already_replayed")
        blob = blob_of(body)
        envelope = Envelope(
            received_at=summary.received_at,
            event=summary.event,
            instance=summary.instance,
            body=b"" if blob else body.encode(),
            body_blob=blob,
        )
        found = Found()
        async with self._turn:
            again = self._again[params.dry_run]
            refused = await _entry(again, Entry(summary.journal_seq, envelope), id_, found)
        if refused is None and not found.counts:
            found.add([Difference(what="ignored", id=id_, text=summary.event)])
        return QuarantineReplayed(
            id=id_,
            outcome="replayed" if refused is None else "still_quarantined",
            reason=refused.reason if refused else None,
            detail=refused.detail if refused else None,
            differences=found.differences,
            differences_left_out=found.left_out,
        )

    async def journal(self, who: Principal, params: JournalReplay) -> JournalReplayed:
        """Read a stretch of the journal again and mend what the store says of it.

        Bounded in entries and time; the next call goes on at ``next_seq``. Messages are made where
        they lack and rewritten where they read otherwise now; edits, reactions, states stay.
        """
        if not who.is_at_least("admin"):
            raise Refusal(Code.FORBIDDEN, "this needs the role admin")
        if (params.after_seq is None) == (params.since is None):
            raise Refusal(Code.BAD_REQUEST, "give after_seq or since, and not both")
        found = Found()
        async with self._turn:
            position = params.after_seq
            if position is None:
                position = await self._journal.before(_ms(params.since))
            entries, next_seq = await self._stretch(position, params, found)
        return JournalReplayed(
            next_seq=next_seq,
            entries=entries,
            counts=dict(found.counts),
            differences=found.differences,
            differences_left_out=found.left_out,
        )

    async def _stretch(
        self, position: int, params: JournalReplay, found: Found
    ) -> tuple[int, int | None]:
        """(entries that were read again, where to go on)"""
        last = self._handled()
        until = None if params.until is None else _ms(params.until)
        deadline = trio.current_time() + CALL_S
        done = 0
        while position < last:
            entries = await self._journal.reread(position)
            if not entries:
                break
            while entries:
                size = min(BATCH_ENTRIES, params.limit - done)
                batch, entries = entries[:size], entries[size:]
                inside = [entry for entry in batch if _is_inside(entry, last, until)]
                wanted = [
                    entry
                    for entry in inside
                    if entry.envelope.canary is None and params.wants(entry.envelope)
                ]
                await _entries(self._again[params.dry_run], wanted, found)
                done += len(wanted)
                position = batch[-1].seq
                if len(inside) < len(batch):
                    return done, None
                if done >= params.limit or trio.current_time() > deadline:
                    return done, position if position < last else None
        return done, None


async def _entry(
    again: Again, entry: Entry, quarantine_id: str, found: Found
) -> QuarantineFact | None:
    """Act on a quarantined entry part by part; return what keeps it there, if anything does."""
    parts = await again.parts(entry)
    if isinstance(parts, QuarantineFact):
        return parts
    refused = None
    for number, part in enumerate(parts, 1):
        facts, unread = await again.read(part, entry)
        refused = refused or unread
        replayed = quarantine_id if number == len(parts) and refused is None else None
        if facts or replayed:
            piece = Understood(entry, facts)
            failed = await again.act([piece], found, refresh=False, replayed=replayed)
            refused = refused or failed
    return refused


async def _entries(again: Again, entries: Sequence[Entry], found: Found) -> None:
    """Act on entries once more that the pipeline has handled, in as few transactions as it may."""
    batch: list[Understood] = []
    for entry in entries:
        parts = await again.parts(entry)
        if isinstance(parts, QuarantineFact):
            found.counts["not_understood"] += 1
            continue
        for part in parts:
            facts, unread = await again.read(part, entry)
            if unread is not None:
                found.counts["not_understood"] += 1
            # Who is in a group was told in its order; an old word on it would undo a later one.
            lasting: list[Fact] = [fact for fact in facts if not isinstance(fact, GroupFact)]
            if len(parts) > 1:  # large: each part by itself
                await _mend(again, batch, found)
                batch = []
            batch.append(Understood(entry, lasting))
    await _mend(again, batch, found)


async def _mend(again: Again, batch: list[Understood], found: Found) -> None:
    """One transaction; where it fails one for each half, so that one entry fails alone."""
    if not batch or await again.act(batch, found, refresh=True) is None:
        return
    if len(batch) == 1:
        found.counts["failed"] += 1
        return
    middle = len(batch) // 2
    await _mend(again, batch[:middle], found)
    await _mend(again, batch[middle:], found)


def _is_inside(entry: Entry, last: int, until: int | None) -> bool:
    return entry.seq <= last and (until is None or entry.envelope.received_at <= until)


def _ms(moment: datetime | None) -> int:
    assert moment is not None
    return int(moment.timestamp() * 1000)
