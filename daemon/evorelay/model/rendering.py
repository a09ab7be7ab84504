"""Rows of the store as clients see them (``model/views.py``)."""

from datetime import datetime
from typing import Any

import msgspec

from evorelay.model.clock import utc
from evorelay.model.records import ContactRecord, InstanceRecord, MessageRecord, TicketRecord
from evorelay.model.views import (
    Contact,
    Failure,
    Instance,
    Media,
    Message,
    QrCode,
    Reaction,
    Ticket,
    WebhookRegistration,
)

DELETED_LABEL = "[Mensagem apagada]"
"""What a person reads in place of a message that was deleted for everyone, as on the phone."""
PREVIEW_CHARS = 160
"""Of a message, in lists of tickets."""


def preview(row: MessageRecord) -> str:
    """What a list shows of a message."""
    return DELETED_LABEL if row.deleted_at is not None else row.content[:PREVIEW_CHARS]


def _moment(unix_ms: int | None) -> datetime | None:
    return None if unix_ms is None else utc(unix_ms)


def message_view(row: MessageRecord) -> Message:
    """What clients see of a message that is on a ticket.

    What was deleted for everyone is masked here and not erased from its row: the deletion may come
    before the message, and must win over whatever else is still to come.
    """
    assert row.ticket_id is not None  # those without are reached by nobody
    is_deleted = row.deleted_at is not None
    return Message(
        id=row.id,
        ticket_id=row.ticket_id,
        instance=row.instance,
        direction=row.direction,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        sender=row.sender,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        sender_id=row.sender_id,
        sender_name=row.sender_name,
        type=row.type,
        content=DELETED_LABEL if is_deleted else row.content,
        status=row.status,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        is_internal=row.is_internal,
        created_at=utc(row.created_at),
        received_at=utc(row.received_at),
        whatsapp_id=row.whatsapp_id,
        reply_to=row.reply_to,
        reactions=_reactions(row.reactions) if row.reactions and not is_deleted else [],
        edited_at=_moment(row.edited_at),
        deleted_at=_moment(row.deleted_at),
        media=None if row.media is None or is_deleted else _media(row.media),
        error=None if row.error is None else msgspec.convert(row.error, Failure),
        metadata=_of_no_words(row.metadata) if is_deleted else _metadata(row.metadata),
    )


def _media(stored: dict[str, Any]) -> Media:
    media = msgspec.convert(stored, Media)
    if media.state == "removed":
        media.id = media.url = None  # the row remembers it, so that no repetition brings it back
    elif media.id is not None:
        media.state = "here"
    return media


def _metadata(stored: dict[str, Any]) -> dict[str, Any]:
    if not stored or "votes" not in stored:
        return stored
    votes = [
        {
            "sender_id": vote["sender_id"],
            "sender_name": vote["name"],
            "options": vote["options"],
        }
        for vote in stored["votes"]
        if vote["options"]
    ]
    return {**stored, "votes": votes}


def _of_no_words(metadata: dict[str, Any]) -> dict[str, Any]:
    """What may be told of a deleted message."""
    return {name: metadata[name] for name in ("origin", "late", "history") if name in metadata}


def _reactions(stored: list[dict[str, Any]]) -> list[Reaction]:
    """Without those that were taken back."""
    return msgspec.convert([item for item in stored if item["emoji"]], list[Reaction])


def ticket_view(row: TicketRecord, contact: ContactRecord, *, unread: int | None = None) -> Ticket:
    """``unread``: the reader's own count; None when it is for everybody."""
    return Ticket(
        id=row.id,
        instance=row.instance,
        contact=Contact(
            id=contact.id,
            name=contact.name,
            phone=contact.phone,
            jid=contact.jid,
            lid=contact.lid,
            avatar_url=contact.avatar_url,
            is_group=contact.is_group,
        ),
        status=row.status,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        assignee=row.assignee,
        subject=row.subject,
        unread=0 if row.merged_into else row.unread if unread is None else unread,
        last_message_at=_moment(row.last_message_at),
        last_message=row.last_message,
        created_at=utc(row.created_at),
        version=row.version,
        waiting_since=None if row.status == "closed" else _moment(row.waiting_since),
        merged_into=row.merged_into,
    )


def instance_view(row: InstanceRecord) -> Instance:
    return Instance(
        name=row.name,
        state=row.state,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        state_since=utc(row.state_since),
        reason=row.reason,
        phone=row.phone,
        profile_name=row.profile_name,
        last_event_at=utc(row.last_event_at),
        cause=row.cause,
        qrcode=None if row.qrcode is None else _qrcode(row.qrcode),
        polled_at=_moment(row.polled_at or None),
        suspicion=row.suspicion,
        registration=None if row.registration is None else _registration(row.registration),
    )


def _registration(stored: dict[str, Any]) -> WebhookRegistration:
    return WebhookRegistration(state=stored["state"], detail=stored["detail"], at=utc(stored["at"]))


def _qrcode(stored: dict[str, Any]) -> QrCode:
    return QrCode(
        code=stored["code"],
        pairing_code=stored["pairing_code"],
        image=stored["image"],
        at=utc(stored["at"]),
    )
