"""A command's message gets its WhatsApp id: from Evolution's answer, from the echo, or by looking.

Whichever of them comes first; the others then find it done. Where the echo was stored as a message
of its own before anybody knew whose it was, the two become one (P2).
"""

import logging

import msgspec

from evorelay.model.change import Edit, Reaction, Revoke, Status
from evorelay.model.fact import Chat
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.protocol.changes import apply_change
from evorelay.protocol.duplicates import absorb
from evorelay.relay.draft import Draft
from evorelay.relay.early import EarlyChanges
from evorelay.relay.merging import merge_contacts
from evorelay.relay.people import People
from evorelay.relay.placing import Tickets

log = logging.getLogger(__name__)

FIRST_LOOK_MS = 60_000
"""A send that stays silent for this long is asked about (relay/silent_sends.py)."""


def join(
    draft: Draft,
    row: OutboxRecord,
    message: MessageRecord,
    whatsapp_id: str,
    *,
    early: EarlyChanges,
    tickets: Tickets,
) -> None:
    """The command was carried out, and this is the message's WhatsApp id, which no row has yet."""
    message.whatsapp_id = whatsapp_id
    row.state, row.error = "sent", None
    row.ended_at, row.due_at = draft.now, draft.now + FIRST_LOOK_MS
    draft.plan.changed_outbox.append(row)
    if message.status in ("pending", "failed"):
        message.status, message.error = "sent", None
        # Evolution took it; what WhatsApp says of it, an error included, counts for more.
        message.metadata["unconfirmed"] = True
    for change in early.take((message.instance, whatsapp_id)):
        apply_change(message, change)
    tickets.answered(message)
    draft.change_message(message)
    draft.tell_message("message.updated", message)


def join_by_answer(
    draft: Draft, row: OutboxRecord, message: MessageRecord, whatsapp_id: str, jid: str | None
) -> None:
    """Like ``join``, whatever the store knows of that WhatsApp id already."""
    if message.whatsapp_id == whatsapp_id:
        return  # the echo was faster
    key = (message.instance, whatsapp_id)
    _learn(draft, row, jid)
    other = draft.tx.messages([key]).get(key)
    message = draft.tx.messages_by_id([message.id])[message.id]  # a merge may have moved it
    if message.whatsapp_id is not None:
        _give_back(draft, message)
    early = EarlyChanges(draft, [key])
    tickets = Tickets(draft, [message.contact_id], reopen_within_ms=0)
    if other is not None:
        _take_over(draft, message, other)
    join(draft, row, message, whatsapp_id, early=early, tickets=tickets)
    early.settle()


def _learn(draft: Draft, row: OutboxRecord, jid: str | None) -> None:
    """Evolution may answer with another id of the same person: a privacy id, another spelling."""
    contact = draft.tx.contacts([row.contact_id])[row.contact_id]
    user, _, domain = (jid or "").partition("@")
    if contact.is_group or contact.phone is None or domain != "lid" or not user.isdigit():
        return
    lid = f"{user}@lid"
    person = Chat(jid=contact.jid, phone=contact.phone, lid=lid)
    own = {name: found.phone for name, found in draft.tx.instances([row.instance]).items()}
    People(draft, [(row.instance, person)], own)


def _take_over(draft: Draft, message: MessageRecord, double: MessageRecord) -> None:
    """The double is the same WhatsApp message: what happened to it happened to ours."""
    if double.contact_id != message.contact_id:
        people = draft.tx.contacts([message.contact_id, double.contact_id])
        standing = [row for row in people.values() if row.merged_into is None]
        if len(standing) == 2 and not any(row.is_group for row in standing):
            merge_contacts(draft, standing)
            double = draft.tx.messages_by_id([double.id])[double.id]
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
