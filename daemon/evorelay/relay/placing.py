"""Which ticket takes a message, and what a ticket says of the messages it has."""

from collections import defaultdict
from collections.abc import Iterable

from evorelay.model.fact import Chat
from evorelay.model.records import ContactRecord, MessageRecord, TicketRecord
from evorelay.model.rendering import preview
from evorelay.protocol.people import move_to
from evorelay.protocol.ticketing import Placement, place
from evorelay.relay.draft import Draft


class Tickets:
    """The tickets of one batch, one object each."""

    def __init__(self, draft: Draft, contact_ids: Iterable[str], *, reopen_within_ms: int) -> None:
        self._draft = draft
        self._reopen_within_ms = reopen_within_ms
        self._latest = draft.tx.latest_tickets(contact_ids)
        self._by_id = {ticket.id: ticket for ticket in self._latest.values()}
        self._arrived: dict[str, list[int]] = defaultdict(list)
        """Ticket -> when the inbound messages of this batch were sent; the store has the others."""

    def latest(self, contact: ContactRecord) -> TicketRecord | None:
        return self._latest.get(contact.id)

    def by_id(self, ticket_id: str) -> TicketRecord | None:
        """Any ticket; a query of its own unless the batch is about it anyway."""
        if ticket_id not in self._by_id:
            self._by_id.update(self._draft.tx.tickets([ticket_id]))
        return self._by_id.get(ticket_id)

    def arrive(self, message: MessageRecord, contact: ContactRecord, chat: Chat) -> None:
        """Put a new message on its ticket: the open one, or one reopened or made for it."""
        ticket = self._place(message, contact)
        message.ticket_id = ticket.id
        if message.created_at < (ticket.last_message_at or 0):
            message.metadata["late"] = True
        if message.direction == "in":
            ticket.inbound += 1
            ticket.unread += 1
            is_news = move_to(contact, chat, message.created_at)
            self._draft.change_contact(contact)
            if is_news:
                self._draft.tell_ticket("ticket.updated", ticket, contact)
        self._wait(ticket, message)
        self.show(ticket, message)

    def write(self, message: MessageRecord, contact: ContactRecord) -> None:
        """Put what an agent wrote on the ticket; the customer waits until it is sent."""
        ticket = self._place(message, contact)
        message.ticket_id = ticket.id
        self.show(ticket, message)

    def show(self, ticket: TicketRecord, message: MessageRecord) -> None:
        """Have lists show the message, if it is the ticket's latest."""
        if message.created_at >= (ticket.last_message_at or 0):
            ticket.last_message_at = message.created_at
            ticket.last_message_id = message.id
            ticket.last_message = preview(message)
        self._draft.change_ticket(ticket)

    def answered(self, message: MessageRecord) -> None:
        """What an agent wrote was sent."""
        ticket = self.by_id(message.ticket_id) if message.ticket_id else None
        if ticket is not None:
            self._wait(ticket, message)
            self._draft.change_ticket(ticket)

    def join(self, message: MessageRecord, contact: ContactRecord) -> None:
        """Imported history: on the person's ticket if there is one, and nobody is told."""
        ticket = self._latest.get(contact.id)
        message.ticket_id = None if ticket is None else ticket.id

    def changed(self, message: MessageRecord) -> None:
        """A message says something else now; its ticket's list entry follows."""
        ticket = self.by_id(message.ticket_id) if message.ticket_id else None
        if ticket is not None and ticket.last_message_id == message.id:
            ticket.last_message = preview(message)
            self._draft.change_ticket(ticket)

    def _place(self, message: MessageRecord, contact: ContactRecord) -> TicketRecord:
        latest = self._latest.get(contact.id)
        placement = place(
            latest,
            sent_at=message.created_at,
            is_inbound=message.direction == "in",
            reopen_within_ms=self._reopen_within_ms,
        )
        if latest is None or placement is Placement.NEW:
            return self._open(contact)
        if placement is Placement.REOPEN:
            latest.status = "open"
            latest.closed_at = None
            latest.version += 1
            self._draft.change_ticket(latest)
            self._draft.tell_ticket("ticket.updated", latest, contact)
        return latest

    def _open(self, contact: ContactRecord) -> TicketRecord:
        ticket = TicketRecord(
            id=self._draft.new_id(),
            instance=contact.instance,
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
        self._latest[contact.id] = self._by_id[ticket.id] = ticket
        self._draft.add_ticket(ticket)
        self._draft.tell_ticket("ticket.created", ticket, contact)
        self._draft.plan.adopted.append((contact.id, ticket.id))
        return ticket

    def _wait(self, ticket: TicketRecord, message: MessageRecord) -> None:
        """Keep ``waiting_since`` the first inbound message that is later than the last reply.

        Also when messages and replies come out of order: then the store is asked.
        """
        at = message.created_at
        if message.direction == "in":
            self._arrived[ticket.id].append(at)
            ticket.last_inbound_at = max(at, ticket.last_inbound_at or 0)
            if at > (ticket.last_reply_at or 0):
                ticket.waiting_since = min(at, ticket.waiting_since or at)
            return
        if at <= (ticket.last_reply_at or 0):
            return
        ticket.last_reply_at = at
        if ticket.waiting_since is None or ticket.waiting_since > at:
            return
        ticket.waiting_since = None
        if (ticket.last_inbound_at or 0) > at:
            later = [sent for sent in self._arrived[ticket.id] if sent > at]
            stored = self._draft.tx.first_inbound_after(ticket.id, at)
            ticket.waiting_since = min([*later, *([] if stored is None else [stored])])
