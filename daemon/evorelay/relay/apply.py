"""Facts into the store: contacts, tickets, messages, statuses, instances, quarantine.

A batch is decided in two steps: look everything up in a handful of bulk queries, then act on the
facts one by one in journal order without touching the database again. Repeating a batch changes
nothing (P2), so a crash between any two instructions is harmless.
"""

from collections import Counter
from hashlib import sha256

from msgspec import Struct

from evorelay.model.envelope import Entry
from evorelay.model.fact import (
    Chat,
    Fact,
    InstanceFact,
    MessageFact,
    QuarantineFact,
    StatusFact,
)
from evorelay.model.records import (
    AliasRecord,
    ContactRecord,
    EarlyStatusRecord,
    InstanceRecord,
    MessageRecord,
    QuarantineRecord,
    TicketRecord,
)
from evorelay.protocol.delivery import OUTBOUND, advance
from evorelay.protocol.ticketing import Placement, place
from evorelay.relay.draft import Draft
from evorelay.storage.ports import AliasKey, MessageKey

PREVIEW_CHARS = 160

Understood = tuple[Entry, list[Fact]]


class Applied(Struct):
    """What a batch came to, for metrics: counts by (message type or event, outcome)."""

    outcomes: Counter[tuple[str, str]]


def apply_batch(
    draft: Draft, *, batch: list[Understood], journal: str, reopen_within_ms: int
) -> Applied:
    """Act on every fact of the batch and move the journal's cursor past it.

    Entries at or below the stored cursor were handled before and are passed over.
    """
    cursor = draft.tx.cursor(journal)
    fresh = [(entry, facts) for entry, facts in batch if entry.seq > cursor]
    application = _Application(draft, fresh, reopen_within_ms)
    for entry, facts in fresh:
        application.touch_instance(entry)
        for fact in facts:
            application.act(entry, fact)
    application.settle()
    if fresh:
        draft.plan.cursor = (journal, fresh[-1][0].seq)
    return Applied(application.outcomes)


class _Application:
    """The state of one batch: rows by the keys facts name them by."""

    def __init__(self, draft: Draft, batch: list[Understood], reopen_within_ms: int) -> None:
        self._draft = draft
        self._reopen_within_ms = reopen_within_ms
        self.outcomes: Counter[tuple[str, str]] = Counter()
        arrivals: set[MessageKey] = set()
        statuses: set[MessageKey] = set()
        aliases: set[AliasKey] = set()
        for _, facts in batch:
            for fact in facts:
                if isinstance(fact, MessageFact):
                    arrivals.add((fact.instance, fact.whatsapp_id))
                    aliases.update((fact.instance, alias) for alias in fact.chat.aliases)
                elif isinstance(fact, StatusFact):
                    statuses.add((fact.instance, fact.whatsapp_id))
        tx = draft.tx
        self._messages = tx.messages(arrivals | statuses)
        self._early = tx.early_statuses(arrivals | statuses)
        self._early_changed: set[MessageKey] = set()
        self._quarantined: set[tuple[int, str]] = set()
        self._contacts = tx.contacts_by_alias(aliases)
        self._tickets = tx.latest_tickets({row.id for row in self._contacts.values()})
        self._instances = tx.instances({entry.envelope.instance for entry, _ in batch})

    def act(self, entry: Entry, fact: Fact) -> None:
        match fact:
            case MessageFact():
                self._message(entry, fact)
            case StatusFact():
                self._status(entry, fact)
            case InstanceFact():
                self._instance(fact)
                self._count(entry.envelope.event, "received")
            case QuarantineFact():
                self._quarantine(entry, fact)
            case _:
                self._count(entry.envelope.event, "received")

    def touch_instance(self, entry: Entry) -> None:
        """Know every instance that posts, and when it was heard of last."""
        name = entry.envelope.instance
        if not name:
            return
        received_at = entry.envelope.received_at
        known = self._instances.get(name)
        if known is None:
            known = InstanceRecord(
                name=name,
                state="unknown",
                state_since=received_at,
                reason=None,
                phone=None,
                profile_name=None,
                last_event_at=received_at,
                created_at=received_at,
            )
            self._instances[name] = known
        known.last_event_at = max(known.last_event_at, received_at)
        self._draft.put_instance(known)

    def settle(self) -> None:
        """Write what is left of early statuses: new ones kept, used ones removed."""
        for key in self._early_changed:
            if key in self._early:
                self._draft.plan.early_statuses.append(
                    EarlyStatusRecord(
                        instance=key[0],
                        whatsapp_id=key[1],
                        status=self._early[key],
                        at=self._draft.now,
                    )
                )
            else:
                self._draft.plan.settled_early.append(key)

    def _message(self, entry: Entry, fact: MessageFact) -> None:
        key = (fact.instance, fact.whatsapp_id)
        known = self._messages.get(key)
        if known is not None:
            self._count(fact.type, "duplicate")
            if fact.from_me:
                self._advance(known, _sent_status(fact))
            return
        contact = self._contact(fact)
        ticket = self._ticket(fact, contact)
        message = _message_record(self._draft.new_id(), ticket.id, entry, fact)
        early = self._early.pop(key, None)
        if early is not None:
            message.status = advance(message.status, early)
            self._early_changed.add(key)
        self._messages[key] = message
        self._draft.add_message(message)
        if message.direction == "in":
            ticket.unread += 1
        if message.created_at >= (ticket.last_message_at or 0):
            ticket.last_message_at = message.created_at
            ticket.last_message = message.content[:PREVIEW_CHARS]
        self._draft.change_ticket(ticket)
        self._draft.tell_message("message.created", message)
        self._count(fact.type, "sent" if fact.from_me else "received")

    def _status(self, entry: Entry, fact: StatusFact) -> None:
        key = (fact.instance, fact.whatsapp_id)
        known = self._messages.get(key)
        if known is not None:
            changed = self._advance(known, fact.status)
            self._count(entry.envelope.event, "received" if changed else "duplicate")
            return
        if fact.status in OUTBOUND:
            self._early[key] = advance(self._early.get(key, fact.status), fact.status)
            self._early_changed.add(key)
        self._count(entry.envelope.event, "received")

    def _advance(self, message: MessageRecord, reported: str) -> bool:
        status = advance(message.status, reported)
        if status == message.status:
            return False
        message.status = status
        self._draft.change_message(message)
        self._draft.tell_message("message.updated", message)
        return True

    def _contact(self, fact: MessageFact) -> ContactRecord:
        """The person or group behind a chat, made at first sight, better known every time."""
        aliases = [(fact.instance, alias) for alias in fact.chat.aliases]
        contact = next(
            (self._contacts[alias] for alias in aliases if alias in self._contacts), None
        )
        name = None if fact.from_me or fact.chat.is_group else fact.sender_name
        if contact is None:
            contact = _contact_record(self._draft.new_id(), fact, name, self._draft.now)
            self._draft.add_contact(contact)
        elif self._learn(contact, fact, name):
            self._draft.change_contact(contact)
            ticket = self._tickets.get(contact.id)
            if ticket is not None and ticket.status != "closed":
                self._draft.tell_ticket("ticket.updated", ticket, contact)
        for alias in aliases:
            if alias not in self._contacts:
                self._contacts[alias] = contact
                self._draft.plan.aliases.append(
                    AliasRecord(instance=alias[0], alias=alias[1], contact_id=contact.id)
                )
        return contact

    def _learn(self, contact: ContactRecord, fact: MessageFact, name: str | None) -> bool:
        """Take over what was not known, whether there was any; a name never degrades to nothing.

        A privacy id that is another contact's stays there until the two are merged.
        """
        chat = fact.chat
        before = (contact.name, contact.phone, contact.lid)
        contact.name = name or contact.name
        if contact.phone is None and chat.phone is not None:
            contact.phone = chat.phone
            contact.jid = _jid(chat)
        if contact.lid is None and chat.lid is not None:
            owner = self._contacts.get((fact.instance, "lid:" + chat.lid), contact)
            contact.lid = chat.lid if owner is contact else None
        return before != (contact.name, contact.phone, contact.lid)

    def _ticket(self, fact: MessageFact, contact: ContactRecord) -> TicketRecord:
        latest = self._tickets.get(contact.id)
        placement = place(latest, sent_at=fact.sent_at, reopen_within_ms=self._reopen_within_ms)
        if latest is None or placement is Placement.NEW:
            ticket = TicketRecord(
                id=self._draft.new_id(),
                instance=fact.instance,
                contact_id=contact.id,
                status="open",
                assignee=None,
                subject=None,
                unread=0,
                last_message_at=None,
                last_message=None,
                created_at=self._draft.now,
                closed_at=None,
                version=1,
            )
            self._tickets[contact.id] = ticket
            self._draft.add_ticket(ticket)
            self._draft.tell_ticket("ticket.created", ticket, contact)
            return ticket
        if placement is Placement.REOPEN:
            latest.status = "open"
            latest.closed_at = None
            latest.version += 1
            self._draft.change_ticket(latest)
            self._draft.tell_ticket("ticket.updated", latest, contact)
        return latest

    def _instance(self, fact: InstanceFact) -> None:
        instance = self._instances.get(fact.instance)
        if instance is None:
            return
        instance.phone = fact.phone or instance.phone
        instance.profile_name = fact.profile_name or instance.profile_name
        instance.reason = fact.reason
        if instance.state != fact.state:
            # Told on change only: Evolution repeats "connecting" 112 times a second (measured).
            instance.state = fact.state
            instance.state_since = instance.last_event_at
            self._draft.tell_instance(instance)

    def _quarantine(self, entry: Entry, fact: QuarantineFact) -> None:
        """Keep the webhook once per reason: a row holds all of it, and every element may be odd."""
        envelope = entry.envelope
        self._count(envelope.event, "quarantined")
        if (entry.seq, fact.reason) in self._quarantined:
            return
        self._quarantined.add((entry.seq, fact.reason))
        body = envelope.body.decode("utf-8", "replace")
        if envelope.body_blob is not None:
            body = f'{{"blob":"{envelope.body_blob}"}}'
        self._draft.plan.quarantined.append(
            QuarantineRecord(
                id=self._draft.new_id(),
                journal_seq=entry.seq,
                received_at=envelope.received_at,
                event=envelope.event,
                instance=envelope.instance,
                reason=fact.reason,
                detail=fact.detail,
                body=body,
                digest=_digest(envelope.event, envelope.instance, fact.reason, body),
            )
        )

    def _count(self, type_: str, outcome: str) -> None:
        self.outcomes[type_, outcome] += 1


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def _contact_record(id_: str, fact: MessageFact, name: str | None, now: int) -> ContactRecord:
    chat = fact.chat
    return ContactRecord(
        id=id_,
        instance=fact.instance,
        name=name or chat.phone or chat.jid.partition("@")[0],
        phone=chat.phone,
        jid=_jid(chat),
        lid=chat.lid,
        avatar_url=None,
        is_group=chat.is_group,
        created_at=now,
    )


def _jid(chat: Chat) -> str:
    """How to address a chat: by phone number where it is known, whichever webhook came first."""
    if chat.phone is not None and not chat.is_group:
        return f"{chat.phone}@s.whatsapp.net"
    return chat.jid


def _sent_status(fact: MessageFact) -> str:
    """The status of a message of ours; that there is a webhook says at least that it was sent."""
    return fact.status if fact.status in OUTBOUND else "sent"


def _message_record(id_: str, ticket_id: str, entry: Entry, fact: MessageFact) -> MessageRecord:
    metadata = dict(fact.metadata)
    if fact.origin is not None:
        metadata["origin"] = fact.origin
    media = None
    if fact.media is not None:
        media = {
            "id": fact.media.blob,
            "url": f"/media/{fact.media.blob}" if fact.media.blob else None,
            "mimetype": fact.media.mimetype,
            "size": fact.media.size,
            "filename": fact.media.filename,
            "seconds": fact.media.seconds,
            "width": fact.media.width,
            "height": fact.media.height,
            "thumbnail": fact.media.thumbnail,
            "is_voice": fact.media.is_voice,
            "is_animated": fact.media.is_animated,
            "remote_url": fact.media.remote_url,
        }
    return MessageRecord(
        id=id_,
        ticket_id=ticket_id,
        instance=fact.instance,
        direction="out" if fact.from_me else "in",
        sender="agent" if fact.from_me else "client",
        sender_id=fact.sender_id,
        sender_name=fact.sender_name,
        type=fact.type,
        content=fact.content,
        status=_sent_status(fact) if fact.from_me else "received",
        is_internal=False,
        created_at=fact.sent_at,
        received_at=entry.envelope.received_at,
        whatsapp_id=fact.whatsapp_id,
        reply_to=fact.reply_to,
        reactions=[],
        edited_at=None,
        deleted_at=None,
        media=media,
        error=None,
        metadata=metadata,
        journal_seq=entry.seq,
    )
