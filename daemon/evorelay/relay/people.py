"""Whose message it is: contacts, and which of their tickets takes it."""

from collections.abc import Iterable

from evorelay.model.fact import Chat, MessageFact
from evorelay.model.records import AliasRecord, ContactRecord, TicketRecord
from evorelay.protocol.ticketing import Placement, place
from evorelay.relay.draft import Draft


class People:
    """The contacts and tickets behind one batch of messages, looked up together."""

    def __init__(
        self, draft: Draft, messages: Iterable[MessageFact], *, reopen_within_ms: int
    ) -> None:
        self._draft = draft
        self._reopen_within_ms = reopen_within_ms
        self._contacts = draft.tx.contacts_by_alias(
            {(fact.instance, alias) for fact in messages for alias in fact.chat.aliases}
        )
        self._tickets = draft.tx.latest_tickets({row.id for row in self._contacts.values()})

    def contact(self, fact: MessageFact) -> ContactRecord:
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

    def ticket(self, fact: MessageFact, contact: ContactRecord) -> TicketRecord:
        """The ticket a message of this contact belongs to: the open one, or one reopened or new."""
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
