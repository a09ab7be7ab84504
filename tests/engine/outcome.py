"""What a store came to, without what arrival alone decides: equal for equal days in any order."""

from typing import Any

from evorelay.model.rendering import message_view, ticket_view
from tests.engine.harness import World


def outcome(world: World) -> Any:
    """Everything clients read, but for ids and what arrival alone decides."""
    names = {row.id: row.whatsapp_id for row in world.messages()}
    reader = world.storage.readers[0]
    tickets = []
    for row in world.tickets():
        found = reader.ticket(row.id)
        assert found is not None
        if row.merged_into is not None:
            assert row.status == "closed"
            assert reader.messages(row.id, before=None, after=None, limit=9) == []
            continue
        ticket = ticket_view(*found)
        assert row.inbound == row.unread
        said = [
            message_view(row)
            for row in reader.messages(row.id, before=None, after=None, limit=1000) or []
        ]
        for one in said:
            one.id = one.ticket_id = ""
            one.received_at = one.created_at
            one.metadata.pop("late", None)
            one.metadata.pop("recovered", None)
        last = names[row.last_message_id] if row.last_message_id else None
        ticket.id = ticket.contact.id = ""
        ticket.version, ticket.created_at = 0, ticket.last_message_at or ticket.created_at
        tickets.append((repr(ticket), last, [repr(one) for one in said]))
    return sorted(tickets)
