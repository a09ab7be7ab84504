"""A person's traces out of the store, in one transaction, and what clients are told of it."""

from collections.abc import Sequence
from functools import partial

from evorelay.model.erasing import Person, ToldEvent, Traces
from evorelay.model.fact import Chat
from evorelay.model.records import MessageRecord
from evorelay.model.rendering import message_view, ticket_view
from evorelay.model.told import MessageEvent, MessageRemovedEvent, TicketErasedEvent, TicketEvent
from evorelay.model.views import encode_json
from evorelay.protocol.erasing import without_person
from evorelay.relay.draft import Draft
from evorelay.relay.erased import Erased
from evorelay.relay.lookup import person_of
from evorelay.storage.ports import Maintenance, Plan, StoreWriter, Transaction

ALWAYS = 1 << 53
"""Later than any moment (Unix ms)."""
ALIASES_AT_ONCE = 1000


def take_out(draft: Draft, *, person: Person, found: Traces) -> Traces | None:
    """Returns what was taken out, with what came in since ``found``; None while replies wait."""
    found.join(draft.tx.erasing.find(person, ALWAYS, found))
    if found.unfinished:
        return None
    mentions = _remove(draft.tx, person, found)
    for id_, instance in found.tickets:
        draft.tell_erased(id_, instance)
    for message_id, ticket_id, instance in found.elsewhere:
        draft.tell_removed(message_id, ticket_id, instance)
    for row in mentions:
        draft.tell_message("message.updated", row)
    tickets = draft.tx.tickets(found.changed_tickets)
    contacts = draft.tx.contacts({ticket.contact_id for ticket in tickets.values()})
    for ticket in tickets.values():
        draft.tell_ticket("ticket.updated", ticket, contacts[ticket.contact_id])
    return found


def keep_out(
    writer: StoreWriter,
    maintenance: Maintenance,
    erased: Erased,
    epoch: str,
    *,
    compact_bytes_max: int,
) -> int:
    """Have nobody who was erased in a store that was put back from a backup; how many were.

    Call it before the store serves anybody, at every start. It looks through a store once in its
    life (``epoch``), so that a restore that was cut off, or made by hand, brings nobody back.
    """
    if erased.holds_for(epoch):
        return 0
    if count := forget_again(writer, erased):
        maintenance.scrub(compact_bytes_max)
    erased.note_held(epoch)
    return count


def forget_again(writer: StoreWriter, erased: Erased) -> int:
    """Erase anew whoever was erased. Only what was said until the erasure goes; returns how many
    people had anything to erase. Repeating it changes nothing.
    """
    if erased.is_empty:
        return 0
    count = 0
    after = ("", "")
    while page := writer.transact(partial(_aliases, after)):
        for instance, alias, contact in page:
            until = erased.until(instance, [alias])
            if until is not None:
                count += writer.transact(
                    partial(_forget, erased=erased, contact=contact, until=until)
                )
        after = page[-1][:2]
    return count


def _aliases(after: tuple[str, str], tx: Transaction) -> list[tuple[str, str, str]]:
    return tx.erasing.all_aliases(after, ALIASES_AT_ONCE)


def _forget(tx: Transaction, erased: Erased, contact: str, until: int) -> bool:
    person = person_of(tx.erasing, [contact])
    if not person.contacts:
        return False  # went with another of their aliases
    found = tx.erasing.find(person, until)
    if found.keeps_contact:
        found.aliases = _outlived(tx, erased, person, found)
        if found.is_empty and not found.contacts:
            return False
    _remove(tx, person, found)
    return True


def _outlived(
    tx: Transaction, erased: Erased, person: Person, found: Traces
) -> list[tuple[str, str]]:
    """Ids that were erased and that who wrote anew has not shown again."""
    rows = tx.contacts({*person.contacts} - {*found.contacts}).values()
    shown = {
        (row.instance, alias)
        for row in rows
        for alias in Chat(jid=row.jid, phone=row.phone, lid=row.lid).aliases
    }
    return [
        (instance, alias)
        for instance, alias in person.aliases
        if erased.until(instance, [alias]) is not None and (instance, alias) not in shown
    ]


def _remove(tx: Transaction, person: Person, found: Traces) -> list[MessageRecord]:
    """Take it out and write over what was told; the messages of others, as they are now."""
    ids = {id_ for _, id_ in found.whatsapp_ids} | {id_ for _, id_, _ in found.cards if id_}
    mentions = [*tx.messages_by_id(found.mentions).values()]
    for row in mentions:
        without_person(row, person.marks, ids)
    tx.write(Plan(changed_messages=mentions))
    found.changed_tickets = sorted(
        {*found.changed_tickets, *(row.ticket_id for row in mentions if row.ticket_id)}
    )
    tx.erasing.erase(person, found)
    tx.erasing.overwrite_events(_retold(tx, person, found, mentions))
    return mentions


def _retold(
    tx: Transaction, person: Person, found: Traces, mentions: Sequence[MessageRecord]
) -> list[tuple[int, str, str]]:
    """(id, type, data) of each event, so that who comes back to it ends with what is true now."""
    whole = {id_ for id_, _ in found.tickets}
    messages = {row.id: row for row in mentions if row.ticket_id is not None}
    gone = {*found.messages}
    tickets = tx.tickets(found.changed_tickets)
    contacts = tx.contacts({ticket.contact_id for ticket in tickets.values()})

    def now(event: ToldEvent) -> tuple[str, str] | None:
        ticket_id = event.ticket_id or ""
        if ticket_id in whole:
            erased = TicketErasedEvent(type="ticket.erased", ticket_id=ticket_id)
            return erased.type, encode_json(erased).decode()
        if event.message_id in gone:
            removed = MessageRemovedEvent(
                type="message.removed",
                ticket_id=ticket_id,
                message_id=event.message_id or "",
                replaced_by=None,
            )
            return removed.type, encode_json(removed).decode()
        if event.message_id in messages:
            view = message_view(messages[event.message_id])
            told = MessageEvent(type=event.type, ticket_id=view.ticket_id, message=view)
            return told.type, encode_json(told).decode()
        if event.type.startswith("ticket.") and ticket_id in tickets:
            ticket = tickets[ticket_id]
            shown = ticket_view(ticket, contacts[ticket.contact_id])
            updated = TicketEvent(type="ticket.updated", ticket_id=ticket_id, ticket=shown)
            return updated.type, encode_json(updated).decode()
        return None

    told = {event.id: (event.type, now(event)) for event in found.events}
    others = [id_ for id_, (_, data) in told.items() if data is None]
    before = tx.erasing.event_data(others)
    blanked = {id_: person.marks.blanked(data) for id_, data in before.items()}
    return [
        (id_, type_, blanked[id_]) if data is None else (id_, *data)
        for id_, (type_, data) in told.items()
    ]
