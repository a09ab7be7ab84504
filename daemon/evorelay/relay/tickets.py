"""Decisions of agents about a ticket, each in one transaction and told to everybody.

Permission is decided here; whatever protocol a decision came through, it has the same rules.
"""

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import ticket_channel
from evorelay.model.principal import Principal
from evorelay.model.records import SeenRecord, TicketRecord
from evorelay.model.rendering import ticket_view
from evorelay.model.told import SeenEvent
from evorelay.model.views import Ticket, encode_json
from evorelay.relay.draft import Draft
from evorelay.relay.hub import Hub
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import no_such_ticket
from evorelay.relay.questions import TicketChange, TicketParams, TicketRef
from evorelay.storage.ports import Transaction


class TicketDesk:
    """Every answer is the ticket as it is now, with ``unread`` as the caller counts it."""

    def __init__(self, ledger: Ledger, hub: Hub) -> None:
        self._ledger = ledger
        self._hub = hub

    async def claim(self, who: Principal, params: TicketParams) -> Ticket:
        """Take a ticket nobody has; the loser of a race gets a conflict that names the winner."""
        return await self._change(who, params, lambda _, ticket: _take(who, ticket))

    async def release(self, who: Principal, params: TicketParams) -> Ticket:
        return await self._change(who, params, lambda _, ticket: _give(who, ticket, None))

    async def close(self, who: Principal, params: TicketParams) -> Ticket:
        return await self._change(who, params, _shut)

    async def reopen(self, who: Principal, params: TicketParams) -> Ticket:
        return await self._change(who, params, _reopen)

    async def update(self, who: Principal, params: TicketChange) -> Ticket:
        """Change what is given in one step; everything or, when a part is refused, nothing.

        A supervisor may give a ticket to anybody, an agent only take it or give it back.
        """

        def apply(draft: Draft, ticket: TicketRecord) -> None:
            if params.status in ("open", "pending"):
                _reopen(draft, ticket)
                ticket.status = params.status
            if params.assignee is not UNSET:
                if params.assignee == who.sub and not who.is_at_least("supervisor"):
                    _take(who, ticket)
                else:
                    _give(who, ticket, params.assignee)
            if params.subject is not UNSET:
                ticket.subject = params.subject
            if params.status == "closed":
                _shut(draft, ticket)

        return await self._change(who, params, apply)

    async def seen(self, who: Principal, params: TicketRef) -> Ticket:
        """The caller has read the ticket: nothing in it is unread, for them and for the team.

        The version stays, for reading must not make anybody's claim a conflict. Whoever watches
        the ticket is told once who has read it; that is not stored.
        """

        def work(draft: Draft) -> Ticket:
            ticket = _ticket(draft.tx, who, params.ticket_id)
            contact = draft.tx.contacts([ticket.contact_id])[ticket.contact_id]
            mark = SeenRecord(ticket_id=ticket.id, agent=who.sub, inbound=ticket.inbound)
            if mark not in draft.tx.seen([ticket.id]):
                draft.plan.seen.append(mark)
            if ticket.unread:
                ticket.unread = 0
                draft.change_ticket(ticket)
                draft.tell_ticket("ticket.updated", ticket, contact)
            return ticket_view(ticket, contact, unread=0)

        answer = await self._ledger.change(work)
        event = SeenEvent(type="seen", ticket_id=answer.id, user=who.sub, name=who.name)
        self._hub.publish_transient(ticket_channel(answer.id), encode_json(event))
        return answer

    async def _change(
        self, who: Principal, params: TicketParams, change: Callable[[Draft, TicketRecord], None]
    ) -> Ticket:
        """Compare the version, change the ticket, tell everybody; nothing if nothing changed."""

        def work(draft: Draft) -> Ticket:
            ticket = _ticket(draft.tx, who, params.ticket_id)
            if params.version not in (None, ticket.version):
                raise Refusal(
                    Code.VERSION_CONFLICT,
                    f"the ticket is at version {ticket.version} by now; read it again",
                )
            contact = draft.tx.contacts([ticket.contact_id])[ticket.contact_id]
            before = msgspec.structs.astuple(ticket)
            change(draft, ticket)
            if msgspec.structs.astuple(ticket) != before:
                ticket.version += 1
                draft.change_ticket(ticket)
                draft.tell_ticket("ticket.updated", ticket, contact)
            return ticket_view(ticket, contact, unread=_unread(draft.tx, ticket, who.sub))

        return await self._ledger.change(work)


def _ticket(tx: Transaction, who: Principal, ticket_id: str) -> TicketRecord:
    """The ticket, if the caller may change it; refuses any other, and one merged into another."""
    ticket = tx.tickets([ticket_id]).get(ticket_id)
    if ticket is None or not who.may_see(ticket.instance):
        raise no_such_ticket()
    check_not_merged(tx, ticket)
    return ticket


def check_not_merged(tx: Transaction, ticket: TicketRecord) -> None:
    """Raise ``Refusal`` that names the ticket which goes on in its place."""
    if ticket.merged_into is not None:
        raise Refusal(
            Code.TICKET_CLOSED,
            f"it was one person with two tickets: go on with {following(tx, ticket).id}",
        )


def following(tx: Transaction, ticket: TicketRecord) -> TicketRecord:
    """The ticket that has this one's messages now, itself if it was not merged."""
    while ticket.merged_into is not None:
        ticket = tx.tickets([ticket.merged_into])[ticket.merged_into]
    return ticket


def _unread(tx: Transaction, ticket: TicketRecord, agent: str) -> int:
    seen = next((row.inbound for row in tx.seen([ticket.id]) if row.agent == agent), 0)
    return max(0, ticket.inbound - seen)


def _take(who: Principal, ticket: TicketRecord) -> None:
    if ticket.status == "closed":
        raise Refusal(Code.TICKET_CLOSED, "the ticket is closed; reopen it first")
    if ticket.assignee not in (None, who.sub):
        raise Refusal(Code.VERSION_CONFLICT, f"{ticket.assignee} has the ticket already")
    ticket.assignee = who.sub


def _give(who: Principal, ticket: TicketRecord, assignee: str | None) -> None:
    """Hand a ticket over, or back to nobody; whose it is not needs a supervisor for either."""
    is_own = assignee is None and ticket.assignee in (None, who.sub)
    if not is_own and not who.is_at_least("supervisor"):
        owner = ticket.assignee or "nobody"
        raise Refusal(Code.FORBIDDEN, f"{owner} has the ticket; a supervisor may reassign it")
    ticket.assignee = assignee


def _shut(draft: Draft, ticket: TicketRecord) -> None:
    if ticket.status != "closed":
        ticket.status, ticket.closed_at = "closed", draft.now


def _reopen(draft: Draft, ticket: TicketRecord) -> None:
    if ticket.status == "closed":
        latest = draft.tx.latest_tickets([ticket.contact_id])[ticket.contact_id]
        if latest.status != "closed":
            raise Refusal(Code.TICKET_OPEN, f"this person has an open ticket already: {latest.id}")
        ticket.status, ticket.closed_at = "open", None
