"""Erasing one person (LGPD): from the store, from what was told, from the journal, from the disk.

The order makes it safe to repeat after a crash: first it is written down who is erased
(``erased.py``), so that nothing brings them back; then the webhooks as received are written over;
then rows go, and with them the ids by which all else was found; then files nobody else has; and at
last what databases leave in their free space. What cannot be reached is said (``NOT_REACHED``).
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import trio
from msgspec import Meta, Struct

from evorelay.model.clock import NowMs
from evorelay.model.erasing import Person, Traces
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.protocol.erasing import Mentions, numbers_of
from evorelay.protocol.phones import read_phone
from evorelay.relay.blobs import BlobStore
from evorelay.relay.erased import Erased
from evorelay.relay.erasing_webhooks import Webhooks
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.lookup import look_up
from evorelay.relay.questions import Text
from evorelay.relay.reads import Reads
from evorelay.relay.taking_out import ALWAYS, take_out
from evorelay.storage.ports import Maintenance

log = logging.getLogger(__name__)

HANDLED_S = 60.0
SETTLED_MS = 5_000
"""A file this old is not on its way to a row any more (relay/collecting.py has an hour for it)."""
STORE_COMPACT_BYTES = 512 << 20
JOURNAL_COMPACT_BYTES = 256 << 20
"""What is written anew while the daemon runs: agents wait for it, and webhooks for the journal's.
370 MB, which are 1,000,000 messages, took less than 8 s on 2 shared cores (``evorelay erase``)."""
NOT_REACHED = (
    "backups made until now; restoring one erases the person again while erased.json is there",
    "webhooks of before that come late: they stay out of the store, and in the journal until"
    " retention.journal; erase again to take them out",
    "WhatsApp, Evolution's own database, and the phones",
    "log lines: they hold shortened numbers",
    "an edit of a message that never came here; it goes by itself (retention.events)",
)


class ErasePerson(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom, in all instances; exactly one of ``phone`` and ``contact_id``."""

    phone: Annotated[str, Meta(max_length=40)] | None = None
    contact_id: Text | None = None
    dry_run: Annotated[bool, Meta(description="Say what would go, and change nothing")] = False


class Erasure(Struct, kw_only=True):
    """What went, or would go."""

    dry_run: bool
    contacts: int = 0
    tickets: int = 0
    messages: Annotated[
        int, Meta(description="In those tickets, and what they wrote in groups")
    ] = 0
    mentions: Annotated[
        int, Meta(description="Messages of others that stay, without what names the person")
    ] = 0
    replies: Annotated[
        int, Meta(description="Commands of the outbox; those that wait are not sent any more")
    ] = 0
    unfinished: Annotated[
        int,
        Meta(description="Of these, under way or in doubt: refused until they are settled"),
    ] = 0
    quarantined: int = 0
    events: Annotated[int, Meta(description="Written over: channels keep their offsets")] = 0
    journal_entries: Annotated[int, Meta(description="Webhooks as received, written over")] = 0
    files: int = 0
    compacted: Annotated[
        bool,
        Meta(
            description="Whether the databases' free space is clean as well; if not, run it again "
            "while the daemon is stopped"
        ),
    ] = False
    not_reached: tuple[str, ...] = NOT_REACHED


class Eraser:
    """``handled``: up to which seq the pipeline is through; ``forget``: what else has tickets,
    events and commands in memory."""

    def __init__(
        self,
        ledger: Ledger,
        reads: Reads,
        journal: Journal,
        blobs: BlobStore,
        maintenance: Maintenance,
        erased: Erased,
        *,
        handled: Callable[[], int],
        forget: Callable[[Traces], None],
        now: NowMs,
        compact_bytes_max: tuple[int, int] = (STORE_COMPACT_BYTES, JOURNAL_COMPACT_BYTES),
        settled_ms: int = SETTLED_MS,
        handled_s: float = HANDLED_S,
    ) -> None:
        self._ledger = ledger
        self._reads = reads
        self._journal = journal
        self._blobs = blobs
        self._webhooks = Webhooks(ledger, journal, blobs, erased, handled)
        self._maintenance = maintenance
        self._erased = erased
        self._handled = handled
        self._forget = forget
        self._now = now
        self._compact_bytes_max = compact_bytes_max
        self._settled_ms = settled_ms
        self._handled_s = handled_s
        self._turn = trio.Lock()

    async def erase(self, who: Principal, params: ErasePerson) -> Erasure:
        """Erase a person; everything of it is done and durable on return, and may be repeated.

        Raises ``Refusal`` (FORBIDDEN, BAD_REQUEST, NOT_FOUND, REPLIES_UNFINISHED, UNAVAILABLE) and
        what store and journal raise. Cancelling stops between two steps: repeat it then.
        """
        if not who.is_at_least("admin"):
            raise Refusal(Code.FORBIDDEN, "this needs the role admin")
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            raise Refusal(Code.UNAVAILABLE, "another erasure is under way; try again") from None
        try:
            erasure = await self._erase(params)
        finally:
            self._turn.release()
        if not params.dry_run:
            log.warning(
                "%s erased a person",
                who.sub,
                extra={"contacts": erasure.contacts, "messages": erasure.messages},
            )
        return erasure

    async def _erase(self, params: ErasePerson) -> Erasure:
        person = await self._person(params)
        await self._wait_for_pipeline()
        found = await self._find(person)
        result = Erasure(dry_run=params.dry_run, contacts=len(person.contacts))
        mentions = Mentions(person.marks, [id_ for _, id_ in found.whatsapp_ids])
        if params.dry_run or not (person.contacts or not found.is_empty):
            entries = await self._webhooks.mentioning(mentions)
            result.journal_entries = len(entries)
            if not (person.contacts or entries) and found.is_empty:
                if not params.dry_run and self._were_erased(person):
                    return await self.finish(result)
                raise Refusal(Code.NOT_FOUND, "nothing is kept of such a person")
            if params.dry_run:
                _count(result, found)
                result.files = len({*found.blobs})
                return result
        if found.unfinished:
            raise _unfinished(found.unfinished)
        await trio.to_thread.run_sync(self._erased.add, person.aliases, self._now())
        await trio.to_thread.run_sync(self._erased.owe, found.blobs)
        handled = await self._journal_entries(0, mentions, result)
        taken = await self._rows(person, found, result)
        await trio.to_thread.run_sync(self._erased.owe, taken.blobs)
        mentions = Mentions(person.marks, [id_ for _, id_ in taken.whatsapp_ids])
        await self._journal_entries(handled, mentions, result)
        return await self.finish(result)

    async def finish(self, result: Erasure) -> Erasure:
        """What comes last, and what one that was cut off behind its rows has left to do: files that
        nothing names any more, and what databases keep in their free space."""
        result.files = await self._files({*self._erased.owed})
        await trio.to_thread.run_sync(self._erased.settle)
        result.compacted = await self._scrub()
        return result

    def _were_erased(self, person: Person) -> bool:
        return any(
            self._erased.until(instance, [alias]) is not None for instance, alias in person.aliases
        )

    async def _person(self, params: ErasePerson) -> Person:
        if (params.phone is None) == (params.contact_id is None):
            raise Refusal(Code.BAD_REQUEST, "give exactly one of phone and contact_id")
        phone = None
        if params.phone is not None:
            try:
                phone = read_phone(params.phone)
            except ValueError as error:
                raise Refusal(Code.BAD_REQUEST, f"phone: {error}") from None
        instances = await self._reads(lambda reader: reader.instances())
        person = await self._reads(
            lambda reader: look_up(
                reader.erasing,
                phone=phone,
                contact=params.contact_id,
                instance=None,
                instances=[row.name for row in instances],
            )
        )
        own = {mark for row in instances if row.phone for mark in numbers_of([], [row.phone])}
        if params.contact_id is not None and not person.contacts:
            raise Refusal(Code.NOT_FOUND, "there is no such contact")
        if own.intersection(person.numbers):
            raise Refusal(Code.BAD_REQUEST, "this is the number of one of our own instances")
        return person

    async def _wait_for_pipeline(self) -> None:
        """What has arrived is in the store before it is looked for there."""
        head = self._journal.head
        deadline = trio.current_time() + self._handled_s
        while self._handled() < head and trio.current_time() < deadline:  # noqa: ASYNC110 -- the cursor belongs to another task
            await trio.sleep(0.02)
        if self._handled() >= head:
            return
        raise Refusal(
            Code.UNAVAILABLE,
            "webhooks that came in are not handled yet; have the daemon run, and try again",
        )

    async def _find(self, person: Person) -> Traces:
        found = await self._reads(lambda reader: reader.erasing.find(person, ALWAYS))
        bodies = await self._reads(lambda reader: reader.quarantined_bodies())
        mentions = Mentions(person.marks, [id_ for _, id_ in found.whatsapp_ids])
        hit = [body for body in bodies if await self._webhooks.is_in_blob(mentions, body)]
        if hit:
            ids = await self._reads(lambda reader: reader.erasing.quarantined_in(hit))
            found.quarantine += [id_ for id_ in ids if id_ not in found.quarantine]
            found.blobs += hit
        return found

    async def _rows(self, person: Person, found: Traces, result: Erasure) -> Traces:
        """Take rows out in one transaction, with what came in since they were found."""
        while await self._ledger.maintain(lambda: self._maintenance.note_quarantined_blobs(50)):
            pass
        taken = await self._ledger.change(partial(take_out, person=person, found=found))
        if taken is None:
            raise _unfinished(1)
        self._forget(taken)
        _count(result, taken)
        return taken

    async def _journal_entries(self, after: int, mentions: Mentions, result: Erasure) -> int:
        """Write over webhooks as received; up to which seq."""
        last = self._handled()
        entries = await self._webhooks.mentioning(mentions, after=after, replace=True)
        result.journal_entries += len(entries)
        return last

    async def _files(self, blobs: set[str]) -> int:
        """Remove those that nothing else refers to, neither a row nor the journal."""
        if not blobs:
            return 0
        before = time.time_ns() // 1_000_000  # the files' clock
        await trio.sleep(self._settled_ms / 1000)
        names = [*blobs]
        free = blobs - await self._reads(lambda reader: reader.referred(names))
        free = await self._webhooks.none_names(free)
        count, _ = await self._blobs.remove([*free], before)
        return count

    async def _scrub(self) -> bool:
        """Clean the free space of the databases, where they are small enough; whether they were."""
        store, journal = self._compact_bytes_max
        is_journal_clean = await self._journal.scrub(journal)
        return bool(
            await self._ledger.maintain(lambda: self._maintenance.scrub(store)) and is_journal_clean
        )


def _count(result: Erasure, found: Traces) -> None:
    result.tickets += len(found.tickets)
    result.messages += len(found.messages)
    result.mentions += len(found.mentions)
    result.replies += len(found.replies)
    result.unfinished = found.unfinished
    result.quarantined += len(found.quarantine)
    result.events += len(found.events)


def _unfinished(count: int) -> Refusal:
    return Refusal(
        Code.REPLIES_UNFINISHED,
        f"replies to this person are under way ({count}), or nobody knows yet whether they went;"
        " wait until they are sent, or have failed",
    )
