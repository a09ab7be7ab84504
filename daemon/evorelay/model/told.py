"""The events clients are told, as the ``data`` of a publication (contract §4)."""

from msgspec import Struct

from evorelay.model.views import Instance, Message, Ticket


class MessageEvent(Struct, kw_only=True):
    type: str
    ticket_id: str
    message: Message


class MessageRemovedEvent(Struct, kw_only=True):
    """A message turned out to be another one's double: show ``replaced_by`` alone.

    None: there is no other; whoever wrote it was erased.
    """

    type: str
    ticket_id: str
    message_id: str
    replaced_by: str | None


class TicketErasedEvent(Struct, kw_only=True):
    """The person was erased, and all of the ticket with them."""

    type: str
    ticket_id: str


class TicketEvent(Struct, kw_only=True):
    type: str
    ticket_id: str
    ticket: Ticket


class TicketMergedEvent(Struct, kw_only=True):
    """Two tickets were one person's: ``into`` has all the messages, ``ticket_id`` is closed."""

    type: str
    ticket_id: str
    into: str
    ticket: Ticket
    """The one that goes on."""


class TicketUnmergedEvent(Struct, kw_only=True):
    """A merge was undone: ``ticket_id`` has messages that ``origin`` does not have any more."""

    type: str
    ticket_id: str
    origin: str
    ticket: Ticket
    """The one that has them back."""


class InstanceEvent(Struct, kw_only=True):
    type: str
    instance: Instance


class CanaryEvent(Struct, kw_only=True):
    """A test message of ours has come this far (relay/canary.py). No client is told."""

    type: str
    id: str


class SeenEvent(Struct, kw_only=True):
    """An agent has read a ticket. Transient: no offset, never stored."""

    type: str
    ticket_id: str
    user: str
    name: str | None


class TypingEvent(Struct, kw_only=True):
    """Transient: no offset, never stored."""

    type: str
    ticket_id: str
    user: str
    name: str | None
    is_typing: bool
