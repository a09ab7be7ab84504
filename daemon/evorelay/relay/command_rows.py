"""The rows a command becomes: its message, and what the outbox keeps of it.

The message looks as if its webhook had made it, so that its echo, which joins it, changes nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from evorelay.model.outgoing import Outgoing
from evorelay.model.principal import Principal
from evorelay.model.records import ContactRecord, MessageRecord, OutboxRecord
from evorelay.relay.attempts import new_own_id
from evorelay.relay.commands import Reply, Via
from evorelay.relay.draft import Draft
from evorelay.relay.replies import details_of, label_of, media_of


class Command(Struct, frozen=True, kw_only=True):
    who: Principal
    via: Via
    reply: Reply
    digest: str
    outgoing: Outgoing | None
    """None: only find out whether it was asked for before, and whether it may be."""
    room: Callable[[str], bool]
    """Whether one more command of an instance may wait."""
    same_within_ms: int
    """How long the same words by another path are the same command (relay/same_command.py)."""


def message_of(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    target: MessageRecord | None,
) -> MessageRecord:
    """Not on a ticket yet."""
    is_internal = command.reply.is_internal
    return MessageRecord(
        id=draft.new_id(),
        ticket_id=None,
        contact_id=contact.id,
        instance=contact.instance,
        direction="out",
        sender="agent",
        sender_id=command.who.sub,
        sender_name=command.who.name,
        type=outgoing.type,
        content=label_of(outgoing),
        status="sent" if is_internal else "pending",
        is_internal=is_internal,
        created_at=draft.now,
        received_at=draft.now,
        whatsapp_id=None,
        reply_to=None if target is None else target.whatsapp_id,
        reactions=[],
        edited_at=None,
        deleted_at=None,
        media=None if outgoing.media is None else media_of(outgoing.media),
        error=None,
        metadata=details_of(outgoing),
        journal_seq=None,
    )


def outbox_row(
    draft: Draft,
    command: Command,
    outgoing: Outgoing,
    contact: ContactRecord,
    message: MessageRecord,
    *,
    id_: str,
) -> OutboxRecord:
    """Of a command that makes ``message``, or reacts to it; added to the draft's plan."""
    assert message.ticket_id is not None  # it was put on one before
    is_internal = command.reply.is_internal
    row = OutboxRecord(
        id=id_,
        instance=contact.instance,
        contact_id=contact.id,
        ticket_id=message.ticket_id,
        message_id=message.id,
        op_id=command.reply.op_id,
        digest=command.digest,
        agent=command.who.sub,
        outgoing=_builtins(outgoing),
        state="kept" if is_internal else "queued",
        attempts=0,
        created_at=draft.now,
        queued_at=draft.now,
        due_at=0,
        ended_at=draft.now if is_internal else None,
        own_id=new_own_id(),
        is_first=not contact.is_group and not _has_written(draft, contact),
        path=command.via.path,
    )
    draft.plan.new_outbox.append(row)
    return row


def add_twin(draft: Draft, command: Command, first: OutboxRecord) -> None:
    """Keep the ``op_id`` of a command that ``first`` has carried out, or will: asked for again,
    it is answered with the same message. Nothing is ever sent for this row."""
    draft.plan.new_outbox.append(
        OutboxRecord(
            id=draft.new_id(),
            instance=first.instance,
            contact_id=first.contact_id,
            ticket_id=first.ticket_id,
            message_id=first.message_id,
            op_id=command.reply.op_id,
            digest=command.digest,
            agent=command.who.sub,
            outgoing=first.outgoing,
            state="kept",
            attempts=0,
            created_at=draft.now,
            queued_at=draft.now,
            due_at=0,
            ended_at=draft.now,
            path=command.via.path,
        )
    )


def _has_written(draft: Draft, contact: ContactRecord) -> bool:
    tickets = draft.tx.tickets_of(contact.id)
    return any(ticket.last_inbound_at is not None for ticket in tickets)


def _builtins(outgoing: Outgoing) -> dict[str, Any]:
    known: dict[str, Any] = msgspec.to_builtins(outgoing)
    return known
