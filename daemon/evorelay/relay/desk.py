"""What an agent can ask, whatever protocol the question came through.

REST and the RPC of every dialect call these methods with the same parameter Structs and send the
same results. Permission is decided here: a foreign ticket and an unknown one are alike (P7). What
can be done is in ``tickets`` and ``merges``.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from evorelay.model.clock import utc
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.model.records import QuarantineSummary
from evorelay.model.rendering import instance_view, message_view, ticket_view
from evorelay.model.views import Message, Ticket, encode_json
from evorelay.relay.hub import Hub
from evorelay.relay.ledger import Ledger
from evorelay.relay.merges import Merges
from evorelay.relay.permission import check_supervisor, no_such_ticket
from evorelay.relay.quarantine import blob_of
from evorelay.relay.questions import (
    InstancesPage,
    MessagesPage,
    MessagesParams,
    NoParams,
    Participant,
    Participants,
    QuarantinedBody,
    QuarantinedView,
    QuarantinePage,
    QuarantineParams,
    QuarantineRef,
    TicketRef,
    TicketsPage,
    TicketsParams,
    person_fields,
)
from evorelay.relay.reads import Reads
from evorelay.relay.ticket_pages import next_cursor, ticket_query
from evorelay.relay.tickets import TicketDesk

QUARANTINED_BODY_BYTES_MAX = 1024 * 1024
"""Of what one answer shows of a webhook."""
PAGE_BYTES_MAX = 1024 * 1024
"""Of messages in one answer. 200 long ones would be 13 MiB, and several times that in memory while
a client is slow to read them (measured)."""
PARTICIPANTS_MAX = 2048
"""Of a group; WhatsApp allows 1,024, and whoever wrote there once is kept until it says more."""

_DIRECTORY_MAX = 100_000


class Desk:
    def __init__(self, reads: Reads, ledger: Ledger, hub: Hub) -> None:
        self._reads = reads
        self.tickets = TicketDesk(ledger, hub)
        self.merges = Merges(reads, ledger)
        self._directory: OrderedDict[str, str] = OrderedDict()
        """Ticket id -> instance, which never changes; spares subscribers a read each."""

    async def tickets_list(self, who: Principal, params: TicketsParams) -> TicketsPage:
        query = ticket_query(who, params)
        rows = await self._reads(lambda reader: reader.tickets(query))
        cursor = next_cursor(query, [ticket for ticket, _ in rows])
        return TicketsPage([ticket_view(*row) for row in rows], cursor)

    async def tickets_get(self, who: Principal, params: TicketRef) -> Ticket:
        """Also one that was merged into another: closed, empty, and naming the one that goes on."""
        row = await self._reads(lambda reader: reader.ticket(params.ticket_id, agent=who.sub))
        if row is None or not who.may_see(row[0].instance):
            raise no_such_ticket()
        return ticket_view(*row)

    async def participants(self, who: Principal, params: TicketRef) -> Participants:
        await self.instance_of(who, params.ticket_id)
        rows = await self._reads(
            lambda reader: reader.participants(params.ticket_id, PARTICIPANTS_MAX)
        )
        return Participants(
            [
                Participant(**person_fields(row), role=role)  # type: ignore[arg-type]  # rows are written by relay/ with no other
                for row, role in rows
            ]
        )

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
        views = [message_view(row) for row in rows]
        forward = params.after is not None
        page = _that_fit(views) if forward else _that_fit(views[::-1])[::-1]
        cursor = None
        if len(page) < len(views) or len(rows) == params.limit:
            cursor = page[-1].id if forward else page[0].id
        return MessagesPage(list(page), cursor)

    async def media_of(self, who: Principal, media_id: str) -> dict[str, Any]:
        """What a message this principal may see says about a file; refuses any other file."""
        rows = await self._reads(lambda reader: reader.media(media_id))
        seen = [row.media for row in rows if row.media is not None and who.may_see(row.instance)]
        for media in seen:
            if media.get("state") != "removed":
                return media
        if seen:
            raise Refusal(
                Code.MEDIA_REMOVED, "the file was removed: it was older than retention.media"
            )
        raise Refusal(Code.NOT_FOUND, "there is no such file")

    async def instances_list(self, who: Principal, params: NoParams) -> InstancesPage:
        rows = await self._reads(lambda reader: reader.instances())
        return InstancesPage([instance_view(row) for row in rows if who.may_see(row.name)])

    async def quarantine_list(self, who: Principal, params: QuarantineParams) -> QuarantinePage:
        check_supervisor(who)
        rows = await self._reads(
            lambda reader: reader.quarantine(
                before=params.cursor, limit=params.limit, with_replayed=params.replayed
            )
        )
        views = [
            QuarantinedView(**_quarantined_fields(row)) for row in rows if who.may_see(row.instance)
        ]
        return QuarantinePage(views, rows[-1].id if len(rows) == params.limit else None)

    async def quarantine_get(self, who: Principal, params: QuarantineRef) -> QuarantinedBody:
        """One entry with its body; a foreign one and an unknown one are alike."""
        check_supervisor(who)
        found = await self._reads(
            lambda reader: reader.quarantined(
                params.quarantine_id, body_bytes=QUARANTINED_BODY_BYTES_MAX
            )
        )
        if found is None or not who.may_see(found[0].instance):
            raise Refusal(Code.NOT_FOUND, "there is no such entry in quarantine")
        row, body, is_cut = found
        blob = blob_of(body)
        return QuarantinedBody(
            **_quarantined_fields(row),
            body="" if blob else body,
            body_truncated=is_cut,
            body_blob=blob,
        )

    def forget(self, ticket_ids: Iterable[str]) -> None:
        """Tickets that are no more."""
        for ticket_id in ticket_ids:
            self._directory.pop(ticket_id, None)

    async def instance_of(self, who: Principal, ticket_id: str) -> str:
        """The instance of a ticket this principal may see; refuses any other ticket."""
        instance = self._directory.get(ticket_id)
        if instance is None:
            row = await self._reads(lambda reader: reader.ticket(ticket_id))
            if row is None:
                raise no_such_ticket()
            instance = self._directory[ticket_id] = row[0].instance
            if len(self._directory) > _DIRECTORY_MAX:
                self._directory.popitem(last=False)
        if not who.may_see(instance):
            raise no_such_ticket()
        return instance


def _that_fit(messages: Sequence[Message]) -> Sequence[Message]:
    """The first of them that go into one answer, and one at least."""
    size = 0
    for index, message in enumerate(messages):
        size += len(encode_json(message))
        if index and size > PAGE_BYTES_MAX:
            return messages[:index]
    return messages


def _quarantined_fields(row: QuarantineSummary) -> dict[str, Any]:
    return {
        "id": row.id,
        "seq": row.journal_seq,
        "received_at": utc(row.received_at),
        "event": row.event,
        "instance": row.instance,
        "reason": row.reason,
        "detail": row.detail,
        "replayed_at": None if row.replayed_at is None else utc(row.replayed_at),
    }
