"""What a ``TicketQuery`` is in SQL."""

from typing import Any

from evorelay.storage.ports import NOT_WAITING, TicketQuery
from evorelay.storage.sqlite.search import matching

_SEEN = "SELECT inbound FROM seen WHERE ticket_id = t.id AND agent = ?"
_ORDERS = {
    "activity": ("coalesce(t.last_message_at, t.created_at)", "<", "DESC"),
    "waiting": (
        f"iif(t.status = 'closed', {NOT_WAITING}, coalesce(t.waiting_since, {NOT_WAITING}))",
        ">",
        "ASC",
    ),
}
"""What a list is sorted by, how the tickets after one compare with it, and the direction."""


def selection(query: TicketQuery) -> tuple[str, tuple[Any, ...]]:
    """The tail of a SELECT from the tickets ``t``, and its bindings."""
    clauses = ["t.merged_into IS NULL"]
    bindings: list[Any] = []

    def where(clause: str, *values: Any) -> None:
        clauses.append(clause)
        bindings.extend(values)

    if query.instances is not None:
        where(f"t.instance IN ({', '.join('?' * len(query.instances))})", *query.instances)
    if query.status is not None:
        where("t.status = ?", query.status)
    if query.assignee is not None:
        where("t.assignee = ?", query.assignee)
    if query.is_unread and query.agent is None:
        where("t.unread > 0")
    elif query.is_unread:
        where(f"t.inbound > coalesce(({_SEEN}), 0)", query.agent)
    if query.q:
        condition, values = matching(query.q, query.instances)
        where(condition, *values)
    place, comparison, direction = _ORDERS[query.order]
    if query.after is not None:
        where(f"({place}, t.id) {comparison} (?, ?)", *query.after)
    tail = f"WHERE {' AND '.join(clauses)} ORDER BY {place} {direction}, t.id {direction} LIMIT ?"
    return tail, (*bindings, query.limit)
