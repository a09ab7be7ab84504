"""A command's message gets its WhatsApp id: from Evolution's answer, from the echo, or by looking.

Whichever of them comes first; the others then find it done. Where the echo was stored as a message
of its own before anybody knew whose it was, the two become one (P2).
"""

import logging
from typing import Literal

import msgspec

from evorelay.model.change import Edit, Reaction, Revoke, Status
from evorelay.model.fact import Chat, phone_key
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.protocol.changes import apply_change
from evorelay.protocol.duplicates import absorb
from evorelay.relay import tries
from evorelay.relay.draft import Draft
from evorelay.relay.early import EarlyChanges
from evorelay.relay.merging import merge_contacts
from evorelay.relay.people import People
from evorelay.relay.placing import Tickets

log = logging.getLogger(__name__)

Known = Literal["answered", "echoed", "listed"]
_KNOWN: dict[Known, str | None] = {
    "answered": None,
    "echoed": "Evolution posted it before it answered, or did not answer",
    "listed": "found in Evolution's list of messages",
}
"""How it became known, where that is not by the answer; for the trace."""
FIRST_LOOK_MS = 60_000
"""A send that stays silent for this long is asked about (relay/silent_sends.py)."""


def join(
    draft: Draft,
    row: OutboxRecord,
    message: MessageRecord,
    whatsapp_id: str,
    *,
    known: Known,
    early: EarlyChanges,
    tickets: Tickets,
) -> None:
    """The command was carried out, and this is the message's WhatsApp id, which no row has yet."""
    message.whatsapp_id = whatsapp_id
    carried_out(draft, row, known, ask_at=draft.now + FIRST_LOOK_MS)
    if message.status in ("pending", "failed"):
        message.status, message.error = "sent", None
        # Evolution took it; what WhatsApp says of it, an error included, counts for more.
        message.metadata["unconfirmed"] = True
    for change in early.take((message.instance, whatsapp_id)):
        apply_change(message, change)
    tickets.answered(message)
    draft.change_message(message)
    draft.tell_message("message.updated", message)


def carried_out(draft: Draft, row: OutboxRecord, known: Known, *, ask_at: int = 0) -> None:
    """The command is done. ``ask_at``: when to ask what became of it (Unix ms), 0 for never."""
    tries.ended(row, draft.now, "accepted", _KNOWN[known])
    row.state, row.error = "sent", None
    row.ended_at, row.due_at = draft.now, ask_at
    draft.plan.changed_outbox.append(row)


def join_by_answer(
    draft: Draft,
    outbox_id: str,
    whatsapp_id: str,
    jid: str | None,
    *,
    known: Known,
    is_sure: bool = True,
) -> None:
    """Like ``join``, whatever the store knows of that WhatsApp id already.

    ``jid``: whom Evolution says it went to. Contacts are made one only where it ``is_sure`` that
    the id is this command's.
    """
    row, message = _load(draft, outbox_id)
    if message.whatsapp_id == whatsapp_id:
        return  # the echo was faster
    key = (message.instance, whatsapp_id)
    other = draft.tx.messages([key]).get(key)
    if is_sure:
        _learn(draft, row, jid)
        if other is not None and _is_double(draft, other):
            _unite(draft, message, other)
        # Two people may be one now: nothing read before is as it was.
        row, message = _load(draft, outbox_id)
        other = draft.tx.messages([key]).get(key)
    if other is not None and not _is_double(draft, other):
        _go_without(draft, row, message, whatsapp_id, known)
        return
    if message.whatsapp_id is not None:
        _give_back(draft, message)
    early = EarlyChanges(draft, [key])
    tickets = Tickets(draft, [message.contact_id], reopen_within_ms=0)
    if other is not None:
        _take_over(draft, message, other)
    join(draft, row, message, whatsapp_id, known=known, early=early, tickets=tickets)
    early.settle()


def _load(draft: Draft, outbox_id: str) -> tuple[OutboxRecord, MessageRecord]:
    row = draft.tx.outbox([outbox_id])[outbox_id]
    return row, draft.tx.messages_by_id([row.message_id])[row.message_id]


def _learn(draft: Draft, row: OutboxRecord, jid: str | None) -> None:
    """Evolution may answer with another id of the same person: a privacy id."""
    contact = draft.tx.contacts([row.contact_id])[row.contact_id]
    user, _, domain = (jid or "").partition("@")
    if contact.is_group or contact.phone is None or domain != "lid" or not user.isdigit():
        return
    person = Chat(jid=contact.jid, phone=contact.phone, lid=f"{user}@lid")
    own = {name: found.phone for name, found in draft.tx.instances([row.instance]).items()}
    People(draft, [(row.instance, person)], own)


def _is_double(draft: Draft, other: MessageRecord) -> bool:
    """Whether a stored message can be what we sent, stored before anybody knew whose it was."""
    return other.direction == "out" and not draft.tx.outbox_of([other.id])


def _unite(draft: Draft, message: MessageRecord, double: MessageRecord) -> None:
    """One WhatsApp message, so one person; unless both have numbers that say otherwise, for
    Evolution is known to name a wrong chat (evolution-live.md)."""
    if double.contact_id == message.contact_id:
        return
    people = draft.tx.contacts([message.contact_id, double.contact_id])
    standing = [row for row in people.values() if row.merged_into is None and not row.is_group]
    phones = {phone_key(row.phone) for row in standing if row.phone}
    if len(standing) == 2 and len(phones) < 2:
        merge_contacts(draft, standing)


def _go_without(
    draft: Draft, row: OutboxRecord, message: MessageRecord, whatsapp_id: str, known: Known
) -> None:
    """Evolution took it, but names an id that is another message's: neither may be lost."""
    log.warning("Evolution gave two messages one id", extra={"instance": row.instance})
    carried_out(draft, row, known)
    message.status, message.error = "sent", None
    message.metadata["unconfirmed"] = True
    message.metadata["shared_id"] = whatsapp_id
    Tickets(draft, [message.contact_id], reopen_within_ms=0).answered(message)
    draft.change_message(message)
    draft.tell_message("message.updated", message)


def _take_over(draft: Draft, message: MessageRecord, double: MessageRecord) -> None:
    """The double is the same WhatsApp message: what happened to it happened to ours."""
    absorb(message, double)
    message.metadata.pop("unconfirmed", None)
    apply_change(message, Status(double.status))
    for edit in double.edits:
        apply_change(message, msgspec.convert(edit, Edit))
    for reaction in double.reactions:
        apply_change(message, msgspec.convert(reaction, Reaction))
    if double.deleted_at is not None:
        apply_change(message, Revoke(double.deleted_at))
    draft.remove_message(double, of=message)
    draft.plan.recounted.update(filter(None, (double.ticket_id, message.ticket_id)))


def _give_back(draft: Draft, message: MessageRecord) -> None:
    """The echo of somebody else's message, who sent the same words at the same moment, was taken
    for ours: it gets a row of its own."""
    log.info("an echo was another sender's", extra={"instance": message.instance})
    own = msgspec.structs.replace(
        message,
        id=draft.new_id(),
        sender_id=None,
        sender_name=None,
        metadata={**message.metadata, "origin": "api"},
    )
    message.edits, message.reactions, message.status = [], [], "pending"
    message.edited_at = message.deleted_at = None
    draft.add_message(own)
    draft.tell_message("message.created", own)
