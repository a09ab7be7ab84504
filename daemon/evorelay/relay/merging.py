"""Contacts that turn out to be one person become one, and so do their open tickets."""

import logging
from itertools import combinations

from evorelay.model.records import ContactRecord, MergeRecord, SeenRecord, TicketRecord
from evorelay.protocol.people import become_one, keeps
from evorelay.relay.draft import Draft
from evorelay.storage.ports import Plan

log = logging.getLogger(__name__)


def merge_contacts(draft: Draft, contacts: list[ContactRecord]) -> ContactRecord | None:
    """Merge them all at once, in the store; the one that stays is returned.

    None, and nothing happens, when somebody has undone a merge of two of them before.
    """
    tx = draft.tx
    if any(tx.are_kept_apart(one.id, other.id) for one, other in combinations(contacts, 2)):
        return None
    latest = tx.latest_tickets([contact.id for contact in contacts])
    open_tickets = {key: row for key, row in latest.items() if row.status != "closed"}
    kept, *absorbed = sorted(contacts, key=lambda row: keeps(row, open_tickets.get(row.id)))
    ticket = open_tickets.get(kept.id)
    for contact in absorbed:
        ticket = _absorb(draft, kept, contact, ticket, open_tickets.get(contact.id))
    return kept


def _absorb(
    draft: Draft,
    kept: ContactRecord,
    absorbed: ContactRecord,
    kept_ticket: TicketRecord | None,
    absorbed_ticket: TicketRecord | None,
) -> TicketRecord | None:
    """Return the kept ticket as it is then."""
    tx = draft.tx
    # Written here and now, not with the draft: whatever the batch looks up next sees one person.
    plan = Plan(changed_contacts=[kept])
    # ``keeps`` prefers a contact with an open ticket, so there is one to take the messages.
    has_two = kept_ticket is not None and absorbed_ticket is not None
    tx.merge(
        MergeRecord(
            id=draft.new_id(),
            instance=kept.instance,
            at=draft.now,
            kept_contact=kept.id,
            absorbed_contact=absorbed.id,
            kept_ticket=kept_ticket.id if kept_ticket and has_two else None,
            absorbed_ticket=absorbed_ticket.id if absorbed_ticket and has_two else None,
            absorbed_status=absorbed_ticket.status if absorbed_ticket and has_two else None,
            aliases=[row.alias for row in tx.aliases([absorbed.id])],
            tickets=[row.id for row in tx.tickets_of(absorbed.id)],
            undone_at=None,
        )
    )
    draft.merged_people.append((kept.id, absorbed.id))
    become_one(kept, absorbed)
    # As Tickets.join does: the latest one, closed or not.
    home = tx.latest_tickets([kept.id]).get(kept.id)
    if home is not None:
        plan.adopted.append((kept.id, home.id))
    if kept_ticket is not None and absorbed_ticket is not None:
        plan.seen.extend(_seen_together(draft, kept_ticket, absorbed_ticket))
        kept_ticket = _joined(draft, kept_ticket, absorbed_ticket)
        plan.changed_tickets.append(kept_ticket)
        log.info(
            "two tickets turned out to be one person's",
            extra={
                "instance": kept.instance,
                "ticket": kept_ticket.id,
                "merged": absorbed_ticket.id,
            },
        )
        draft.tell_merged(absorbed_ticket.id, kept_ticket, kept)
        shell = tx.tickets([absorbed_ticket.id])[absorbed_ticket.id]
        draft.tell_ticket("ticket.updated", shell, kept)
        draft.tell_ticket("ticket.updated", kept_ticket, kept)
    tx.write(plan)
    return kept_ticket


def _joined(draft: Draft, kept: TicketRecord, absorbed: TicketRecord) -> TicketRecord:
    """The kept ticket, which has the other's messages in the store already and counts them too."""
    ticket = draft.tx.recounted([kept.id])[kept.id]
    ticket.unread += absorbed.unread
    if absorbed.status == "open":
        ticket.status = "open"
    ticket.subject = ticket.subject or absorbed.subject
    ticket.version += 1
    return ticket


def _seen_together(draft: Draft, kept: TicketRecord, absorbed: TicketRecord) -> list[SeenRecord]:
    """Each agent's unread messages of both tickets are the kept one's, for this agent."""
    tickets = {ticket.id: ticket for ticket in (kept, absorbed)}
    marks = {(row.agent, row.ticket_id): row.inbound for row in draft.tx.seen(tickets)}
    return [
        SeenRecord(
            ticket_id=kept.id,
            agent=agent,
            inbound=sum(marks.get((agent, ticket_id), 0) for ticket_id in tickets),
        )
        for agent in sorted({agent for agent, _ in marks})
    ]
