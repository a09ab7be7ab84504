"""Facts into the store: messages and what happens to them, people, instances, quarantine.

A batch is decided in two steps: look everything up in a handful of bulk queries, then act on the
facts one by one in journal order with hardly another look. Repeating a batch changes nothing (P2),
so a crash between any two instructions is harmless; and in whatever order its facts come, the
store ends up saying the same (tests/engine/test_convergence.py).
"""

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from evorelay.model.change import Change, Edit, Revoke, Status
from evorelay.model.envelope import Entry
from evorelay.model.fact import (
    CanaryFact,
    ChangeFact,
    Chat,
    Fact,
    GroupFact,
    InstanceFact,
    MessageFact,
    NameRank,
    PersonFact,
    QrCodeFact,
    QuarantineFact,
)
from evorelay.model.records import ContactRecord, MessageRecord
from evorelay.protocol.changes import News, apply_change
from evorelay.protocol.duplicates import absorb, rewrite
from evorelay.relay.bygone import Bygone
from evorelay.relay.draft import Draft
from evorelay.relay.early import EarlyChanges
from evorelay.relay.echo import Echoes
from evorelay.relay.fetches import Fetches
from evorelay.relay.groups import author_in, change_members
from evorelay.relay.instances import Instances
from evorelay.relay.joining import join
from evorelay.relay.message_rows import message_row
from evorelay.relay.people import People
from evorelay.relay.placing import Tickets
from evorelay.relay.quarantine import Quarantine
from evorelay.storage.ports import MessageKey


class Understood(Struct):
    """What one journal entry says, or one piece of it."""

    entry: Entry
    facts: list[Fact]
    is_whole: bool = True
    """False while more pieces of the entry are to come: the cursor stays before it."""
    arrived: float | None = None
    """When the webhook did (Trio's clock), where its events are measured from it."""


class Applied(Struct):
    """What a batch came to."""

    outcomes: Counter[tuple[str, str]]
    """For metrics: counts by (message type or event, outcome)."""
    has_untold: bool = False
    """Whether clients have to be told about an instance in a moment (relay/instances.py)."""
    settled: list[str] = []
    """Commands of the outbox whose echo came: they were carried out."""
    states: dict[str, str] = {}
    """Of the instances that posted."""
    merged: list[tuple[str, str]] = []
    """(kept, absorbed): contacts that became one."""
    has_fetches: bool = False
    """Whether a file was wished for (relay/fetches.py)."""


def apply_batch(
    draft: Draft,
    *,
    batch: list[Understood],
    journal: str,
    reopen_within_ms: int,
    fetches: Fetches | None = None,
    bygone: Bygone | None = None,
) -> Applied:
    """Act on every fact of the batch and move the journal's cursor past what is whole.

    Entries at or below the stored cursor were handled before and are passed over. ``fetches``:
    where files that lack are wished for, None: nowhere. ``bygone``: what is not taken in any more.
    """
    cursor = draft.tx.cursor(journal)
    fresh = [piece for piece in batch if piece.entry.seq > cursor]
    applied = _Application(draft, fresh, reopen_within_ms, fetches=fetches, bygone=bygone).run()
    whole = [piece.entry.seq for piece in fresh if piece.is_whole]
    if whole:
        draft.plan.cursor = (journal, whole[-1])
    return applied


def apply_facts(
    draft: Draft,
    batch: list[Understood],
    *,
    reopen_within_ms: int,
    refresh: bool,
    bygone: Bygone | None = None,
) -> Applied:
    """Act on what entries say, whenever they came; no cursor moves.

    ``refresh``: a better reading of an old webhook also rewrites what its messages say.
    """
    return _Application(draft, batch, reopen_within_ms, refresh=refresh, bygone=bygone).run()


class _Application:
    """The state of one batch: rows by the keys facts name them by."""

    def __init__(
        self,
        draft: Draft,
        batch: list[Understood],
        reopen_within_ms: int,
        *,
        refresh: bool = False,
        fetches: Fetches | None = None,
        bygone: Bygone | None = None,
    ) -> None:
        self._draft = draft
        self._refresh = refresh
        self._outcomes: Counter[tuple[str, str]] = Counter()
        if bygone is not None:
            batch = [replace(piece, facts=self._left(piece, bygone)) for piece in batch]
        self._batch = batch
        facts = [fact for piece in batch for fact in piece.facts]
        keys = {
            (fact.instance, fact.whatsapp_id)
            for fact in facts
            if isinstance(fact, MessageFact | ChangeFact)
        }
        tx = draft.tx
        self._instances = Instances(draft, {piece.entry.envelope.instance for piece in batch})
        persons = [person for fact in facts for person in _persons(fact)]
        self._people = People(draft, persons, self._instances.phones())
        # After people, because two of them may have become one, with one ticket.
        self._messages = tx.messages(keys)
        self._early = EarlyChanges(draft, keys)
        self._tickets = Tickets(draft, self._people.known_ids(), reopen_within_ms=reopen_within_ms)
        self._quarantine = Quarantine(draft)
        self._echoes = Echoes(draft)
        self._fetches = fetches
        self._has_fetches = False

    def _left(self, piece: Understood, bygone: Bygone) -> list[Fact]:
        left = []
        for fact in piece.facts:
            kept = bygone.left(fact)
            if kept is not None:
                left.append(kept)
            elif isinstance(fact, MessageFact):
                self._count(fact.type, "expired")
        return left

    def run(self) -> Applied:
        self._tell_learned()
        for piece in self._batch:
            self._draft.arrived = piece.arrived
            self._instances.touch(piece.entry.envelope)
            for fact in piece.facts:
                self._act(piece.entry, fact)
        self._early.settle()
        return Applied(
            self._outcomes,
            self._instances.settle(),
            self._echoes.claimed,
            self._instances.states(),
            self._draft.merged_people,
            self._has_fetches,
        )

    def _act(self, entry: Entry, fact: Fact) -> None:
        event, received_at = entry.envelope.event, entry.envelope.received_at
        match fact:
            case MessageFact():
                self._message(entry, fact)
                return
            case ChangeFact():
                is_news = self._change((fact.instance, fact.whatsapp_id), fact.change)
                self._count(event, "received" if is_news else "duplicate")
                return
            case QuarantineFact():
                self._quarantine.keep(entry, fact)
                self._count(event, "quarantined")
                return
            case CanaryFact():
                self._draft.tell_canary(fact.id)
                return
            case PersonFact():
                self._person(fact)
            case GroupFact():
                change_members(self._draft, self._people, fact)
            case InstanceFact():
                self._instances.connection(fact, received_at)
            case QrCodeFact():
                self._instances.qrcode(fact, received_at)
        self._count(event, "received")

    def _message(self, entry: Entry, fact: MessageFact) -> None:
        key = (fact.instance, fact.whatsapp_id)
        is_said = not (fact.from_me or fact.chat.is_group or fact.is_history)
        contact = self._people.contact(
            fact.instance,
            fact.chat,
            name=fact.sender_name if is_said else None,
            rank=NameRank.SAID,
            at=fact.sent_at,
        )
        author = author_in(self._draft, self._people, fact, contact)
        self._tell_learned()
        message = message_row(
            self._draft.new_id(),
            fact,
            contact_id=contact.id,
            received_at=entry.envelope.received_at,
            seq=entry.seq,
        )
        if author is not None and author.name_rank and message.sender_name is None:
            message.sender_name = author.name
        known = self._messages.get(key) or self._echoed(message, fact)
        if known is not None:
            self._again(known, message, fact, contact)
            return
        self._messages[key] = message
        for change in self._early.take(key):
            apply_change(message, change)
        self._draft.add_message(message)
        if fact.is_history:
            self._tickets.join(message, contact)
            self._count(fact.type, "received")
            return
        self._arrive(message, contact, fact.chat)
        self._count(fact.type, "sent" if fact.from_me else "received")

    def _echoed(self, echo: MessageRecord, fact: MessageFact) -> MessageRecord | None:
        """The message of ours whose echo this is, known by its WhatsApp id from now on."""
        mine = self._echoes.claim(fact, echo.contact_id, echo.received_at)
        if mine is None:
            return None
        row, message = mine
        whatsapp_id = fact.whatsapp_id
        join(
            self._draft,
            row,
            message,
            whatsapp_id,
            known="echoed",
            early=self._early,
            tickets=self._tickets,
        )
        self._messages[fact.instance, whatsapp_id] = message
        return message

    def _arrive(self, message: MessageRecord, contact: ContactRecord, chat: Chat) -> None:
        self._tickets.arrive(message, contact, self._people.believable(message.instance, chat))
        self._wish_for_file(message)
        self._draft.tell_message("message.created", message)

    def _again(
        self, known: MessageRecord, again: MessageRecord, fact: MessageFact, contact: ContactRecord
    ) -> None:
        """A webhook about a message that is here: it may know more, or be the first live one."""
        self._count(fact.type, "duplicate")
        sent_at = known.created_at
        # Only the webhook a row was made from may rewrite it: of several the order is unknown.
        is_its_own = self._refresh and again.journal_seq == known.journal_seq
        is_changed = rewrite(known, again) if is_its_own else absorb(known, again)
        if fact.from_me and fact.status is not None:
            is_changed |= bool(apply_change(known, Status(fact.status)))
        if "history" in known.metadata and not fact.is_history:
            del known.metadata["history"]
            self._draft.change_message(known)
            self._arrive(known, contact, fact.chat)
        elif is_changed:
            self._changed(known)
        if known.created_at != sent_at and known.ticket_id is not None:
            self._draft.plan.recounted.add(known.ticket_id)

    def _change(self, key: MessageKey, change: Change) -> bool:
        known = self._messages.get(key)
        if known is not None:
            news = apply_change(known, change)
            if news is News.SHOWN:
                self._changed(known, may_show=isinstance(change, Edit | Revoke))
            elif news is News.KEPT:
                self._draft.change_message(known)
            return bool(news)
        return self._early.keep(key, change)

    def _changed(self, message: MessageRecord, *, may_show: bool = True) -> None:
        self._draft.change_message(message)
        self._wish_for_file(message)
        self._draft.tell_message("message.updated", message)
        if may_show:
            self._tickets.changed(message)

    def _wish_for_file(self, message: MessageRecord) -> None:
        if self._fetches is not None:
            self._has_fetches |= self._fetches.enqueue(self._draft, message)

    def _person(self, fact: PersonFact) -> None:
        contact = self._people.contact(
            fact.instance, fact.person, name=fact.name, rank=fact.name_rank, at=fact.at
        )
        is_newer = contact.avatar_url is None or not self._refresh
        if fact.avatar_url is not None and fact.avatar_url != contact.avatar_url and is_newer:
            # Not told: the address changes with every message, the picture hardly ever.
            contact.avatar_url = fact.avatar_url
            self._draft.change_contact(contact)
        self._tell_learned()

    def _tell_learned(self) -> None:
        for contact in self._people.take_learned():
            ticket = self._tickets.latest(contact)
            if ticket is not None and ticket.status != "closed":
                self._draft.tell_ticket("ticket.updated", ticket, contact)

    def _count(self, type_: str, outcome: str) -> None:
        self._outcomes[type_, outcome] += 1


def _persons(fact: Fact) -> Iterator[tuple[str, Chat]]:
    """Everybody a fact names, with whatever ids it names them by."""
    match fact:
        case MessageFact():
            yield fact.instance, fact.chat
            if fact.author is not None:
                yield fact.instance, fact.author
        case PersonFact():
            yield fact.instance, fact.person
        case GroupFact():
            yield fact.instance, fact.group
            for member in fact.members:
                yield fact.instance, member.person
