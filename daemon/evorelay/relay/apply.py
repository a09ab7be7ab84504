"""Facts into the store: messages and their statuses, instances, quarantine.

A batch is decided in two steps: look everything up in a handful of bulk queries, then act on the
facts one by one in journal order without touching the database again. Repeating a batch changes
nothing (P2), so a crash between any two instructions is harmless.
"""

from collections import Counter
from hashlib import sha256

from msgspec import Struct

from evorelay.model.envelope import Entry
from evorelay.model.fact import (
    Fact,
    InstanceFact,
    MessageFact,
    QuarantineFact,
    StatusFact,
)
from evorelay.model.records import (
    EarlyStatusRecord,
    InstanceRecord,
    MessageRecord,
    QuarantineRecord,
)
from evorelay.protocol.delivery import OUTBOUND, advance
from evorelay.relay.draft import Draft
from evorelay.relay.people import People
from evorelay.storage.ports import MessageKey

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
        self.outcomes: Counter[tuple[str, str]] = Counter()
        arrivals: set[MessageKey] = set()
        statuses: set[MessageKey] = set()
        messages: list[MessageFact] = []
        for _, facts in batch:
            for fact in facts:
                if isinstance(fact, MessageFact):
                    arrivals.add((fact.instance, fact.whatsapp_id))
                    messages.append(fact)
                elif isinstance(fact, StatusFact):
                    statuses.add((fact.instance, fact.whatsapp_id))
        tx = draft.tx
        self._messages = tx.messages(arrivals | statuses)
        self._early = tx.early_statuses(arrivals | statuses)
        self._early_changed: set[MessageKey] = set()
        self._quarantined: set[tuple[int, str]] = set()
        self._people = People(draft, messages, reopen_within_ms=reopen_within_ms)
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
        ticket = self._people.ticket(fact, self._people.contact(fact))
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
