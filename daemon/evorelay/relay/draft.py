"""A draft: what one transaction has loaded, what it changed, and which events it will tell."""

from collections.abc import Collection, Iterable

import msgspec

from evorelay.model.ids import (
    ALL_INSTANCES,
    CANARY_CHANNEL,
    NewId,
    inbox_channel,
    instance_channel,
    ticket_channel,
)
from evorelay.model.records import (
    ContactRecord,
    EventRecord,
    InstanceRecord,
    MessageRecord,
    TicketRecord,
)
from evorelay.model.rendering import instance_view, message_view, ticket_view
from evorelay.model.told import (
    CanaryEvent,
    InstanceEvent,
    MessageEvent,
    MessageRemovedEvent,
    TicketErasedEvent,
    TicketEvent,
    TicketMergedEvent,
    TicketUnmergedEvent,
)
from evorelay.model.views import encode_json
from evorelay.storage.ports import Plan, Transaction


class Draft:
    """Deciding code looks rows up through ``tx``, changes them, and tells the draft about it.

    A row is written once, in its last state, however often it was changed.
    """

    def __init__(self, tx: Transaction, *, new_id: NewId, now: int) -> None:
        self.tx = tx
        self.new_id = new_id
        self.now = now
        self.plan = Plan()
        self._new: set[str] = set()
        self._changed_messages: dict[str, MessageRecord] = {}
        self._changed_tickets: dict[str, TicketRecord] = {}
        self._changed_contacts: dict[str, ContactRecord] = {}
        self._instances: dict[str, InstanceRecord] = {}
        self.merged_people: list[tuple[str, str]] = []
        """(kept contact, absorbed contact), in this order."""
        self.arrived: float | None = None
        """When the webhook that is acted on did (Trio's clock); its events are measured from it."""
        self._told: list[tuple[str, msgspec.Struct, tuple[str, ...], str | None, float | None]] = []

    def add_contact(self, contact: ContactRecord) -> None:
        self._new.add(contact.id)
        self.plan.new_contacts.append(contact)

    def add_ticket(self, ticket: TicketRecord) -> None:
        self._new.add(ticket.id)
        self.plan.new_tickets.append(ticket)

    def add_message(self, message: MessageRecord) -> None:
        self._new.add(message.id)
        self.plan.new_messages.append(message)

    def change_contact(self, contact: ContactRecord) -> None:
        if contact.id not in self._new:
            self._changed_contacts[contact.id] = contact

    def change_ticket(self, ticket: TicketRecord) -> None:
        if ticket.id not in self._new:
            self._changed_tickets[ticket.id] = ticket

    def change_message(self, message: MessageRecord) -> None:
        if message.id not in self._new:
            self._changed_messages[message.id] = message

    def remove_message(self, double: MessageRecord, *, of: MessageRecord) -> None:
        """Drop a row that turned out to be another one's double, and say so."""
        self._changed_messages.pop(double.id, None)
        self.plan.removed_messages.append(double.id)
        if double.ticket_id is not None:
            event = MessageRemovedEvent(
                type="message.removed",
                ticket_id=double.ticket_id,
                message_id=double.id,
                replaced_by=of.id,
            )
            channels = _ticket_channels(double.ticket_id, double.instance)
            self._tell("message.removed", event, channels)

    def tell_removed(self, message_id: str, ticket_id: str, instance: str) -> None:
        """A message is gone that nothing replaces."""
        event = MessageRemovedEvent(
            type="message.removed", ticket_id=ticket_id, message_id=message_id, replaced_by=None
        )
        self._tell("message.removed", event, _ticket_channels(ticket_id, instance))

    def tell_erased(self, ticket_id: str, instance: str) -> None:
        event = TicketErasedEvent(type="ticket.erased", ticket_id=ticket_id)
        self._tell("ticket.erased", event, _ticket_channels(ticket_id, instance))

    @property
    def changed_contacts(self) -> Collection[ContactRecord]:
        """As they will be. Until the draft is finished ``tx`` has them as they were."""
        return self._changed_contacts.values()

    @property
    def changed_tickets(self) -> Collection[TicketRecord]:
        return self._changed_tickets.values()

    @property
    def changed_messages(self) -> Collection[MessageRecord]:
        return self._changed_messages.values()

    @property
    def merged(self) -> list[TicketMergedEvent]:
        """The merges of tickets that will be told."""
        return [event for _, event, *_ in self._told if isinstance(event, TicketMergedEvent)]

    def put_instance(self, instance: InstanceRecord) -> None:
        self._instances[instance.name] = instance

    def tell_message(
        self, type_: str, message: MessageRecord, *, origin: str | None = None
    ) -> None:
        """The event carries the message as it is now; later changes have events of their own.

        ``origin``: the client session whose command this is, where that one is not told.
        """
        if message.ticket_id is None:
            return  # imported history that no ticket has: there is nobody to tell
        event = MessageEvent(type=type_, ticket_id=message.ticket_id, message=message_view(message))
        channels = _ticket_channels(message.ticket_id, message.instance)
        self._tell(type_, event, channels, origin)

    def tell_ticket(self, type_: str, ticket: TicketRecord, contact: ContactRecord) -> None:
        event = TicketEvent(type=type_, ticket_id=ticket.id, ticket=ticket_view(ticket, contact))
        self._tell(type_, event, _ticket_channels(ticket.id, ticket.instance))

    def tell_merged(self, absorbed_id: str, kept: TicketRecord, contact: ContactRecord) -> None:
        """On both tickets' channels: whoever looks at the one is led to the other."""
        event = TicketMergedEvent(
            type="ticket.merged",
            ticket_id=absorbed_id,
            into=kept.id,
            ticket=ticket_view(kept, contact),
        )
        channels = _ticket_channels(kept.id, kept.instance)
        self._tell("ticket.merged", event, (ticket_channel(absorbed_id), *channels))

    def tell_unmerged(self, ticket: TicketRecord, origin: str, contact: ContactRecord) -> None:
        """On both tickets' channels: whoever looks at either has to load its messages again."""
        event = TicketUnmergedEvent(
            type="ticket.unmerged",
            ticket_id=ticket.id,
            origin=origin,
            ticket=ticket_view(ticket, contact),
        )
        channels = _ticket_channels(ticket.id, ticket.instance)
        self._tell("ticket.unmerged", event, (ticket_channel(origin), *channels))

    def tell_instance(self, instance: InstanceRecord) -> None:
        event = InstanceEvent(type="instance.updated", instance=instance_view(instance))
        channels = (instance_channel(instance.name), instance_channel(ALL_INSTANCES))
        self._tell("instance.updated", event, channels)

    def tell_canary(self, id_: str) -> None:
        self._tell("canary", CanaryEvent(type="canary", id=id_), (CANARY_CHANNEL,))

    def _tell(
        self,
        type_: str,
        event: msgspec.Struct,
        channels: tuple[str, ...],
        origin: str | None = None,
    ) -> None:
        self._told.append((type_, event, channels, origin, self.arrived))

    def finish(self) -> list[EventRecord]:
        """Give every event its offsets, write the plan, and return the events to publish."""
        plan = self.plan
        plan.changed_contacts.extend(self._changed_contacts.values())
        plan.changed_tickets.extend(self._changed_tickets.values())
        plan.changed_messages.extend(self._changed_messages.values())
        plan.instances.extend(self._instances.values())
        plan.events.extend(self._numbered())
        self.tx.write(plan)
        return plan.events

    def _numbered(self) -> Iterable[EventRecord]:
        if not self._told:
            return
        heads = self.tx.heads({channel for told in self._told for channel in told[2]})
        for type_, event, channels, origin, arrived in self._told:
            positions = []
            for channel in channels:
                heads[channel] = offset = heads.get(channel, 0) + 1
                positions.append((channel, offset))
            yield EventRecord(
                at=self.now,
                type=type_,
                data=encode_json(event).decode(),
                positions=positions,
                origin=origin,
                arrived=arrived,
            )


def _ticket_channels(ticket_id: str, instance: str) -> tuple[str, ...]:
    return (ticket_channel(ticket_id), inbox_channel(instance))
