"""What an agent can ask and do, whatever protocol the question came through.

REST and the RPC of every dialect call these methods with the same parameter Structs and send the
same results. Permission is decided here: a foreign ticket and an unknown one are alike (P7).
"""

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from evorelay.model.clock import NowMs, utc
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.model.records import QuarantineSummary, TicketRecord
from evorelay.model.views import (
    Ticket,
    instance_view,
    message_view,
    ticket_view,
)
from evorelay.relay.draft import Draft
from evorelay.relay.ledger import Ledger
from evorelay.relay.questions import (
    InstancesPage,
    MessagesPage,
    MessagesParams,
    Moment,
    QuarantinedBody,
    QuarantinedView,
    QuarantinePage,
    QuarantineParams,
    QuarantineRef,
    TicketChange,
    TicketParams,
    TicketRef,
    TicketsPage,
    TicketsParams,
)
from evorelay.relay.reads import Reads
from evorelay.storage.ports import TicketQuery

QUARANTINED_BODY_BYTES_MAX = 1024 * 1024
"""Of what one answer shows of a webhook."""

_DIRECTORY_MAX = 100_000
_SPILLED = re.compile(r'\{"blob":"([0-9a-f]{64})"\}')
"""What relay/apply.py keeps of a webhook whose body is a blob."""


class Desk:
    def __init__(self, reads: Reads, ledger: Ledger, *, now: NowMs) -> None:
        self._reads = reads
        self._ledger = ledger
        self._now = now
        self._directory: OrderedDict[str, str] = OrderedDict()
        """Ticket id -> instance, which never changes; spares subscribers a read each."""

    async def tickets_list(self, who: Principal, params: TicketsParams) -> TicketsPage:
        query = _ticket_query(who, params)
        if query is None:
            return TicketsPage(tickets=[], next_cursor=None)
        rows = await self._reads(lambda reader: reader.tickets(query))
        cursor = None
        if len(rows) == params.limit:
            last = rows[-1][0]
            cursor = _encode_cursor(last.last_message_at or last.created_at, last.id)
        return TicketsPage([ticket_view(*row) for row in rows], cursor)

    async def tickets_get(self, who: Principal, params: TicketRef) -> Ticket:
        row = await self._reads(lambda reader: reader.ticket(params.ticket_id))
        if row is None or not who.may_see(row[0].instance):
            raise _no_such_ticket()
        return ticket_view(*row)

    async def messages_list(self, who: Principal, params: MessagesParams) -> MessagesPage:
        if params.before is not None and params.after is not None:
            raise Refusal(Code.BAD_REQUEST, "give before or after, not both")
        await self.instance_of(who, params.ticket_id)
        rows = await self._reads(
            lambda reader: reader.messages(
                params.ticket_id, before=params.before, after=params.after, limit=params.limit
            )
        )
        if rows is None:
            raise Refusal(Code.BAD_REQUEST, "before / after is not a message of this ticket")
        cursor = None
        if len(rows) == params.limit:
            cursor = rows[-1].id if params.after is not None else rows[0].id
        return MessagesPage([message_view(row) for row in rows], cursor)

    async def media_of(self, who: Principal, media_id: str) -> dict[str, Any]:
        """What a message this principal may see says about a file; refuses any other file."""
        rows = await self._reads(lambda reader: reader.media(media_id))
        for row in rows:
            if row.media is not None and who.may_see(row.instance):
                return row.media
        raise Refusal(Code.NOT_FOUND, "there is no such file")

    async def instances_list(self, who: Principal) -> InstancesPage:
        rows = await self._reads(lambda reader: reader.instances())
        return InstancesPage([instance_view(row) for row in rows if who.may_see(row.name)])

    async def quarantine_list(self, who: Principal, params: QuarantineParams) -> QuarantinePage:
        _check_supervisor(who)
        rows = await self._reads(
            lambda reader: reader.quarantine(before=params.cursor, limit=params.limit)
        )
        views = [
            QuarantinedView(**_quarantined_fields(row)) for row in rows if who.may_see(row.instance)
        ]
        return QuarantinePage(views, rows[-1].id if len(rows) == params.limit else None)

    async def quarantine_get(self, who: Principal, params: QuarantineRef) -> QuarantinedBody:
        """One entry with its body; a foreign one and an unknown one are alike."""
        _check_supervisor(who)
        found = await self._reads(
            lambda reader: reader.quarantined(
                params.quarantine_id, body_bytes=QUARANTINED_BODY_BYTES_MAX
            )
        )
        if found is None or not who.may_see(found[0].instance):
            raise Refusal(Code.NOT_FOUND, "there is no such entry in quarantine")
        row, body, is_cut = found
        spilled = _SPILLED.fullmatch(body)
        return QuarantinedBody(
            **_quarantined_fields(row),
            body="" if spilled else body,
            body_truncated=is_cut,
            body_blob=spilled.group(1) if spilled else None,
        )

    async def claim(self, who: Principal, params: TicketParams) -> Ticket:
        """Take a ticket nobody has; the loser of a race gets a conflict that names the winner."""
        return await self._change(who, params, lambda ticket: _take(who, ticket))

    async def release(self, who: Principal, params: TicketParams) -> Ticket:
        return await self._change(who, params, lambda ticket: _give(who, ticket, None))

    async def close(self, who: Principal, params: TicketParams) -> Ticket:
        now = self._now()
        return await self._change(who, params, lambda ticket: _shut(ticket, now))

    async def reopen(self, who: Principal, params: TicketParams) -> Ticket:
        return await self._change_in_draft(who, params, _reopen)

    async def change(self, who: Principal, params: TicketChange) -> Ticket:
        """Change status and assignee in one step; everything or, when a part is refused, nothing.

        A supervisor may give a ticket to anybody, an agent only take it or give it back.
        """
        now = self._now()

        def apply(draft: Draft, ticket: TicketRecord) -> None:
            if params.status in ("open", "pending"):
                _reopen(draft, ticket)
                ticket.status = params.status
            if params.assignee is not UNSET:
                if params.assignee == who.sub and not who.is_at_least("supervisor"):
                    _take(who, ticket)
                else:
                    _give(who, ticket, params.assignee)
            if params.status == "closed":
                _shut(ticket, now)

        return await self._change_in_draft(who, params, apply)

    async def seen(self, who: Principal, params: TicketParams) -> Ticket:
        """Somebody read the ticket: nothing is unread."""

        def read(ticket: TicketRecord) -> None:
            ticket.unread = 0

        return await self._change(who, params, read)

    async def instance_of(self, who: Principal, ticket_id: str) -> str:
        """The instance of a ticket this principal may see; refuses any other ticket."""
        instance = self._directory.get(ticket_id)
        if instance is None:
            row = await self._reads(lambda reader: reader.ticket(ticket_id))
            if row is None:
                raise _no_such_ticket()
            instance = self._directory[ticket_id] = row[0].instance
            if len(self._directory) > _DIRECTORY_MAX:
                self._directory.popitem(last=False)
        if not who.may_see(instance):
            raise _no_such_ticket()
        return instance

    async def _change(
        self, who: Principal, params: TicketParams, change: Callable[[TicketRecord], None]
    ) -> Ticket:
        return await self._change_in_draft(who, params, lambda _, ticket: change(ticket))

    async def _change_in_draft(
        self,
        who: Principal,
        params: TicketParams,
        change: Callable[[Draft, TicketRecord], None],
    ) -> Ticket:
        """Compare the version, change the ticket, tell everybody; nothing if nothing changed."""

        def work(draft: Draft) -> Ticket:
            ticket = draft.tx.tickets([params.ticket_id]).get(params.ticket_id)
            if ticket is None or not who.may_see(ticket.instance):
                raise _no_such_ticket()
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
            return ticket_view(ticket, contact)

        return await self._ledger.change(work)


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


def _shut(ticket: TicketRecord, now: int) -> None:
    if ticket.status != "closed":
        ticket.status, ticket.closed_at = "closed", now


def _reopen(draft: Draft, ticket: TicketRecord) -> None:
    if ticket.status == "closed":
        latest = draft.tx.latest_tickets([ticket.contact_id])[ticket.contact_id]
        if latest.status != "closed":
            raise Refusal(Code.TICKET_OPEN, f"this person has an open ticket already: {latest.id}")
        ticket.status, ticket.closed_at = "open", None


def _check_supervisor(who: Principal) -> None:
    if not who.is_at_least("supervisor"):
        raise Refusal(Code.FORBIDDEN, "this needs the role supervisor")


def _quarantined_fields(row: QuarantineSummary) -> dict[str, Any]:
    return {
        "id": row.id,
        "seq": row.journal_seq,
        "received_at": utc(row.received_at),
        "event": row.event,
        "instance": row.instance,
        "reason": row.reason,
        "detail": row.detail,
    }


def _no_such_ticket() -> Refusal:
    return Refusal(Code.NOT_FOUND, "there is no such ticket")


def _ticket_query(who: Principal, params: TicketsParams) -> TicketQuery | None:
    """The query a principal may ask; None when its answer is empty."""
    if who.role is None:
        return None
    if params.instance is not None:
        if not who.may_see(params.instance):
            return None
        instances: tuple[str, ...] | None = (params.instance,)
    elif who.sees_all:
        instances = None
    else:
        instances = tuple(sorted(who.instances))
        if not instances:
            return None
    return TicketQuery(
        instances=instances,
        status=params.status,
        assignee=params.assignee,
        q=params.q,
        before=_decode_cursor(params.cursor) if params.cursor else None,
        limit=params.limit,
    )


def _encode_cursor(activity: int, ticket_id: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((activity, ticket_id))).decode()


def _decode_cursor(cursor: str) -> tuple[int, str]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[Moment, str])
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise Refusal(
            Code.BAD_REQUEST, "cursor is not a next_cursor of an earlier answer"
        ) from None
