"""Which ticket a message belongs to, as a pure decision."""

from enum import Enum

from evorelay.model.records import TicketRecord


class Placement(Enum):
    USE = "use"
    """The ticket takes the message as it is."""
    REOPEN = "reopen"
    """The ticket was closed a short while ago; the conversation goes on in it."""
    NEW = "new"


def place(
    latest: TicketRecord | None, *, sent_at: int, is_inbound: bool, reopen_within_ms: int
) -> Placement:
    """Decide by the person's latest ticket and when WhatsApp says the message was sent (Unix ms).

    A message older than the closing arrived late and belongs to the closed ticket. A customer's
    reopens it all the same, unless it is much older: nobody had seen it when the ticket was
    closed, and a ticket reopened for nothing is seen, a message swallowed by a closed one is not.
    """
    if latest is None:
        return Placement.NEW
    if latest.status != "closed":
        return Placement.USE
    closed_at = latest.closed_at or 0
    earliest = closed_at // 1000 * 1000  # WhatsApp tells whole seconds
    if is_inbound:
        earliest -= reopen_within_ms
    if sent_at < earliest:
        return Placement.USE
    if sent_at - closed_at <= reopen_within_ms:
        return Placement.REOPEN
    return Placement.NEW
