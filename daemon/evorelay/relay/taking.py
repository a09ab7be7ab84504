"""A command becomes rows: works for the ledger, decided and written in one transaction.

What it makes is seen by every agent at once, as ``pending``; sending it is the lanes'.
"""

from msgspec import Struct
from msgspec.structs import replace

from evorelay.model.change import OURSELVES, Reaction
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import Chat
from evorelay.model.outgoing import Outgoing
from evorelay.model.records import ContactRecord, MessageRecord, OutboxRecord, TicketRecord
from evorelay.model.rendering import message_view
from evorelay.model.views import Message
from evorelay.protocol.changes import apply_change
from evorelay.relay.command_rows import Command, add_twin, message_of, outbox_row
from evorelay.relay.draft import Draft
from evorelay.relay.people import People
from evorelay.relay.permission import no_such_ticket
from evorelay.relay.placing import Tickets
from evorelay.relay.replies import phone_of
from evorelay.relay.same_command import Words, are_said_by, find_first
from evorelay.relay.tickets import check_not_merged


class Taken(Struct, frozen=True):
    view: Message
    row: OutboxRecord | None
    """What is to be sent now; None: nothing, or nothing any more."""
    is_second: bool = False
    """Whether it is answered with the message of the same command by another path."""


def take_in_ticket(draft: Draft, *, command: Command, ticket_id: str) -> Taken | None:
    """Raises ``Refusal``; None where ``outgoing`` is."""
    ticket = draft.tx.tickets([ticket_id]).get(ticket_id)
    if ticket is None or not command.who.may_see(ticket.instance):
        raise no_such_ticket()
    reply = command.reply
    known = _answered(draft, command, ticket.instance, ticket.contact_id, reply.reply_to)
    if known is not None:
        return known
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
    message = message_of(draft, command, outgoing, contact, target)
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
    chat = Chat(jid=f"{digits}@s.whatsapp.net", phone=digits)
    found = draft.tx.messages([(instance, quoted)] if quoted else []).get((instance, quoted or ""))
    target = None if found is None else found.id
    known = _answered(draft, command, instance, _contact_id(draft, instance, chat), target)
    if known is not None:
        return known
    _check_room(command, instance)
    outgoing = command.outgoing
    if outgoing is None:
        return None
    own = {name: row.phone for name, row in draft.tx.instances([instance]).items()}
    people = People(draft, [(instance, chat)], own)
    contact = people.contact(instance, chat)
    if found is not None:
        outgoing = replace(outgoing, target=found.id)
    tickets = Tickets(draft, [contact.id], reopen_within_ms=reopen_within_ms)
    message = message_of(draft, command, outgoing, contact, found)
    tickets.write(message, contact)
    return _write(draft, command, outgoing, contact, message)


def _contact_id(draft: Draft, instance: str, chat: Chat) -> str | None:
    """Of whoever is known by this number; nobody is made."""
    known = draft.tx.contacts_by_alias((instance, alias) for alias in chat.aliases)
    return next((contact.id for contact in known.values()), None)


def _answered(
    draft: Draft, command: Command, instance: str, contact_id: str | None, target: str | None
) -> Taken | None:
    """What it is answered with if it was asked for before, or has come by another path.

    Raises ``Refusal`` where its ``op_id`` was something else's. ``target``: what it quotes.
    """
    words = _words(command, contact_id, target)
    key = (instance, command.reply.op_id)
    row = draft.tx.outbox_by_op([key]).get(key)
    if row is not None:
        # By another path the same thing is put in other words, and its digest differs.
        if row.digest != command.digest and (words is None or not are_said_by(row, words)):
            raise Refusal(
                Code.OP_ID_CONFLICT,
                "this op_id was used for something else; make a new one for each command",
            )
        return Taken(_view(draft, row), None)
    first = None if words is None else find_first(draft, words, command.same_within_ms)
    if first is None:
        return None
    add_twin(draft, command, first)
    return Taken(_view(draft, first), None, is_second=True)


def _words(command: Command, contact_id: str | None, target: str | None) -> Words | None:
    """None for what is never the same command as another one: notes, and anything but texts."""
    outgoing = command.outgoing
    if contact_id is None or outgoing is None or outgoing.type != "text":
        return None
    if command.reply.is_internal:
        return None
    path = command.via.path
    return Words(contact_id=contact_id, content=outgoing.content, target=target, path=path)


def _view(draft: Draft, row: OutboxRecord) -> Message:
    return message_view(draft.tx.messages_by_id([row.message_id])[row.message_id])


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


def _write(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    message: MessageRecord,
) -> Taken:
    draft.add_message(message)
    draft.tell_message("message.created", message, origin=command.via.origin)
    row = outbox_row(draft, command, outgoing, contact, message, id_=message.id)
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
    row = outbox_row(draft, command, outgoing, contact, target, id_=draft.new_id())
    return Taken(message_view(target), row)
