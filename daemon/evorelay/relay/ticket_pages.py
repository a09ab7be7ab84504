"""Lists of tickets: what a principal may ask, and where the next page begins."""

import base64
import binascii

import msgspec

from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.model.records import TicketRecord
from evorelay.relay.permission import visible_instances
from evorelay.relay.questions import Moment, TicketsParams
from evorelay.storage.ports import TicketQuery


def ticket_query(who: Principal, params: TicketsParams) -> TicketQuery:
    return TicketQuery(
        instances=visible_instances(who, params.instance),
        status=params.status,
        assignee=params.assignee,
        q=params.q,
        agent=who.sub,
        is_unread=params.unread,
        order=params.sort,
        after=_decode_cursor(params.cursor) if params.cursor else None,
        limit=params.limit,
    )


def next_cursor(query: TicketQuery, tickets: list[TicketRecord]) -> str | None:
    """What asks for the tickets after these; None when there is none."""
    if len(tickets) < query.limit:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(query.place(tickets[-1]))).decode()


def _decode_cursor(cursor: str) -> tuple[int, str]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[Moment, str])
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise Refusal(
            Code.BAD_REQUEST, "cursor is not a next_cursor of an earlier answer"
        ) from None
