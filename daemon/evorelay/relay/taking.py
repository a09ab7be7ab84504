"""A command becomes rows: works for the ledger, decided and written in one transaction.

What it makes is seen by every agent at once, as ``pending``; sending it is the lanes'.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from evorelay.model.change import OURSELVES, Reaction
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import Chat
from evorelay.model.outgoing import Outgoing
from evorelay.model.principal import Principal
from evorelay.model.records import ContactRecord, MessageRecord, OutboxRecord, TicketRecord
from evorelay.model.rendering import message_view
from evorelay.model.views import Message
from evorelay.protocol.changes import apply_change
from evorelay.relay.attempts import new_own_id
from evorelay.relay.commands import Reply
from evorelay.relay.draft import Draft
from evorelay.relay.people import People
from evorelay.relay.permission import no_such_ticket
from evorelay.relay.placing import Tickets
from evorelay.relay.replies import details_of, label_of, media_of, phone_of
from evorelay.relay.tickets import check_not_merged


class Command(Struct, frozen=True, kw_only=True):
    who: Principal
    reply: Reply
    digest: str
    outgoing: Outgoing | None
    """None: only find out whether it was asked for before, and whether it may be."""
    room: Callable[[str], bool]
    """Whether one more command of an instance may wait."""


class Taken(Struct, frozen=True):
    view: Message
    row: OutboxRecord | None
    """What is to be sent now; None: nothing, or nothing any more."""


def take_in_ticket(draft: Draft, *, command: Command, ticket_id: str) -> Taken | None:
    """Raises ``Refusal``; None where ``outgoing`` is."""
    ticket = draft.tx.tickets([ticket_id]).get(ticket_id)
    if ticket is None or not command.who.may_see(ticket.instance):
        raise no_such_ticket()
    before = _asked_before(draft, command, ticket.instance)
    if before is not None:
        return before
    reply = command.reply
    check_not_merged(draft.tx, ticket)
    if ticket.status == "closed" and not reply.is_internal:
        raise Refusal(Code.TICKET_CLOSED, "the ticket is closed; reopen it first")
    target = _target(draft, reply.reply_to, ticket)
    _check_room(command, ticket.instance)
    outgoing = command.outgoing
    if outgoing is None:
        return None
    contact = draft.tx.contacts([ticket.contact_id])[ticket.contact_id]
    if outgoing.type == "reaction":
        assert target is not None  # relay/replies.py has seen to it
        return _react(draft, command, outgoing, contact, ticket, target)
    tickets = Tickets(draft, [contact.id], reopen_within_ms=0)
    message = _message(draft, command, outgoing, contact, target)
    message.ticket_id = ticket.id
    tickets.show(tickets.by_id(ticket.id) or ticket, message)
    return _write(draft, command, outgoing, contact, message)


def take_for_phone(
    draft: Draft,
    *,
    command: Command,
    instance: str,
    phone: str,
    quoted: str | None,
    reopen_within_ms: int,
) -> Taken | None:
    """The same for whoever has this number: in their ticket, which is opened if there is none.

    The caller has been seen to be allowed. A quoted message that is not here is not quoted.
    """
    digits = phone_of(phone)
    before = _asked_before(draft, command, instance)
    if before is not None:
        return before
    _check_room(command, instance)
    outgoing = command.outgoing
    if outgoing is None:
        return None
    chat = Chat(jid=f"{digits}@s.whatsapp.net", phone=digits)
    own = {name: row.phone for name, row in draft.tx.instances([instance]).items()}
    people = People(draft, [(instance, chat)], own)
    contact = people.contact(instance, chat)
    found = draft.tx.messages([(instance, quoted)] if quoted else []).get((instance, quoted or ""))
    if found is not None:
        outgoing = replace(outgoing, target=found.id)
    tickets = Tickets(draft, [contact.id], reopen_within_ms=reopen_within_ms)
    message = _message(draft, command, outgoing, contact, found)
    tickets.write(message, contact)
    return _write(draft, command, outgoing, contact, message)


def _asked_before(draft: Draft, command: Command, instance: str) -> Taken | None:
    key = (instance, command.reply.op_id)
    row = draft.tx.outbox_by_op([key]).get(key)
    if row is None:
        return None
    if row.digest != command.digest:
        raise Refusal(
            Code.OP_ID_CONFLICT,
            "this op_id was used for something else; make a new one for each command",
        )
    message = draft.tx.messages_by_id([row.message_id])[row.message_id]
    return Taken(message_view(message), None)


def _check_room(command: Command, instance: str) -> None:
    if not command.reply.is_internal and not command.room(instance):
        raise Refusal(
            Code.OUTBOX_FULL, f"too many replies of {instance} wait to be sent; try again later"
        )


def _target(draft: Draft, message_id: str | None, ticket: TicketRecord) -> MessageRecord | None:
    if message_id is None:
        return None
    found = draft.tx.messages_by_id([message_id]).get(message_id)
    if found is None or found.ticket_id != ticket.id:
        raise Refusal(Code.BAD_REQUEST, "reply_to: is not the id of a message of this ticket")
    if found.is_internal or found.deleted_at is not None:
        what = "an internal note" if found.is_internal else "deleted"
        raise Refusal(Code.BAD_REQUEST, f"reply_to: that message is {what}")
    return found


def _message(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    target: MessageRecord | None,
) -> MessageRecord:
    is_internal = command.reply.is_internal
    return MessageRecord(
        id=draft.new_id(),
        ticket_id=None,
        contact_id=contact.id,
        instance=contact.instance,
        direction="out",
        sender="agent",
        sender_id=command.who.sub,
        sender_name=command.who.name,
        type=outgoing.type,
        content=label_of(outgoing),
        status="sent" if is_internal else "pending",
        is_internal=is_internal,
        created_at=draft.now,
        received_at=draft.now,
        whatsapp_id=None,
        reply_to=None if target is None else target.whatsapp_id,
        reactions=[],
        edited_at=None,
        deleted_at=None,
        media=None if outgoing.media is None else media_of(outgoing.media),
        error=None,
        metadata=details_of(outgoing),
        journal_seq=None,
    )


def _write(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    message: MessageRecord,
) -> Taken:
    draft.add_message(message)
    draft.tell_message("message.created", message)
    row = _row(draft, command, outgoing, contact, message, id_=message.id)
    return Taken(message_view(message), None if row.state == "kept" else row)


def _react(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    ticket: TicketRecord,
    target: MessageRecord,
) -> Taken:
    if target.whatsapp_id is None:
        raise Refusal(Code.BAD_REQUEST, "reply_to: that message was not sent yet")
    ours = (item["emoji"] for item in target.reactions if item["who"] == OURSELVES)
    outgoing = replace(outgoing, previous=next(ours, ""))
    apply_change(target, Reaction(who=OURSELVES, emoji=outgoing.content, at=draft.now))
    target.metadata.pop("reaction_error", None)
    draft.change_message(target)
    draft.tell_message("message.updated", target)
    row = _row(draft, command, outgoing, contact, target, id_=draft.new_id())
    return Taken(message_view(target), row)


def _row(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    message: MessageRecord,
    *,
    id_: str,
) -> OutboxRecord:
    assert message.ticket_id is not None  # it was put on one before
    is_internal = command.reply.is_internal
    row = OutboxRecord(
        id=id_,
        instance=contact.instance,
        contact_id=contact.id,
        ticket_id=message.ticket_id,
        message_id=message.id,
        op_id=command.reply.op_id,
        digest=command.digest,
        agent=command.who.sub,
        outgoing=_builtins(outgoing),
        state="kept" if is_internal else "queued",
        attempts=0,
        created_at=draft.now,
        queued_at=draft.now,
        due_at=0,
        ended_at=draft.now if is_internal else None,
        own_id=new_own_id(),
        is_first=not contact.is_group and not _has_written(draft, contact),
    )
    draft.plan.new_outbox.append(row)
    return row


def _has_written(draft: Draft, contact: ContactRecord) -> bool:
    tickets = draft.tx.tickets_of(contact.id)
    return any(ticket.last_inbound_at is not None for ticket in tickets)


def _builtins(outgoing: Outgoing) -> dict[str, Any]:
    known: dict[str, Any] = msgspec.to_builtins(outgoing)
    return known
