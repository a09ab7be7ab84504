"""What failed is sent after all, because an agent says so: a work for the ledger."""

from msgspec.structs import replace

from evorelay.model.change import OURSELVES, Reaction
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.model.records import MessageRecord, OutboxRecord, TicketRecord
from evorelay.model.rendering import message_view
from evorelay.protocol.changes import apply_change
from evorelay.relay.attempts import new_own_id
from evorelay.relay.draft import Draft
from evorelay.relay.placing import Tickets
from evorelay.relay.taking import Taken


def retry(draft: Draft, *, who: Principal, message_id: str) -> Taken:
    """Have a command that failed sent after all. Raises ``Refusal``."""
    message = draft.tx.messages_by_id([message_id]).get(message_id)
    if message is None or not who.may_see(message.instance):
        raise Refusal(Code.NOT_FOUND, "there is no such message")
    ticket = draft.tx.tickets([message.ticket_id or ""]).get(message.ticket_id or "")
    if ticket is None or ticket.status == "closed":
        raise Refusal(Code.TICKET_CLOSED, "the ticket is closed; reopen it first")
    # What is "kept" was only answered with this message: nothing is sent for it.
    rows = [row for row in draft.tx.outbox_of([message_id]) if row.state != "kept"]
    rows.sort(key=lambda row: row.queued_at)
    if message.status == "failed":
        rows = [row for row in rows if row.outgoing["type"] != "reaction"]
    else:
        rows = [row for row in rows if row.state == "failed"]
    if not rows:
        raise Refusal(Code.NOT_FAILED, "it did not fail, or was not sent from here")
    row = rows[-1]
    if row.outgoing["type"] == "reaction" and _is_replaced(draft, row):
        raise Refusal(Code.NOT_FAILED, "a later reaction has taken its place")
    if row.state == "sent":
        return _send_successor(draft, row, message, ticket)
    _queue_again(row, draft.now)
    draft.plan.changed_outbox.append(row)
    if row.outgoing["type"] == "reaction":
        emoji = row.outgoing["content"]
        apply_change(message, Reaction(who=OURSELVES, emoji=emoji, at=draft.now))
        message.metadata.pop("reaction_error", None)
    else:
        # The one way back: an agent says so (protocol/delivery.py knows only WhatsApp's word).
        message.status, message.error = "pending", None
    draft.change_message(message)
    draft.tell_message("message.updated", message)
    return Taken(message_view(message), row)


def _is_replaced(draft: Draft, row: OutboxRecord) -> bool:
    """Whether another reaction to the same message came after it."""
    return any(
        other.outgoing["type"] == "reaction" and other.created_at > row.created_at
        for other in draft.tx.outbox_of([row.message_id])
    )


def _queue_again(row: OutboxRecord, now: int) -> None:
    row.state, row.attempts, row.error = "queued", 0, None
    row.queued_at, row.due_at, row.ended_at = now, 0, None


def _send_successor(
    draft: Draft, row: OutboxRecord, message: MessageRecord, ticket: TicketRecord
) -> Taken:
    """WhatsApp gave the message up under an id that is its for good: another one is sent."""
    if message.metadata.get("retried_as"):
        raise Refusal(
            Code.NOT_FAILED, f"it was retried already, as {message.metadata['retried_as']}"
        )
    new_id = draft.new_id()
    successor = replace(
        message,
        id=new_id,
        ticket_id=ticket.id,
        status="pending",
        error=None,
        whatsapp_id=None,
        created_at=draft.now,
        received_at=draft.now,
        reactions=[],
        edits=[],
        metadata={name: value for name, value in message.metadata.items() if name != "unconfirmed"},
    )
    message.metadata["retried_as"] = new_id
    draft.change_message(message)
    draft.tell_message("message.updated", message)
    again = replace(
        row,
        id=new_id,
        message_id=new_id,
        op_id=f"retry:{new_id}",
        own_id=new_own_id(),
        doubt_since=None,
        tries=[],
    )
    _queue_again(again, draft.now)
    draft.plan.new_outbox.append(again)
    draft.add_message(successor)
    Tickets(draft, [ticket.contact_id], reopen_within_ms=0).show(ticket, successor)
    draft.tell_message("message.created", successor)
    return Taken(message_view(successor), again)
