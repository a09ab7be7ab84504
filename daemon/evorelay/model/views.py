"""What clients read: messages, tickets, instances and the events about them (contract §4)."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from evorelay.model.clock import utc
from evorelay.model.records import ContactRecord, InstanceRecord, MessageRecord, TicketRecord


class Message(Struct, kw_only=True):
    id: str
    ticket_id: str
    instance: str
    direction: str
    sender: str
    sender_id: str | None
    sender_name: str | None
    type: str
    content: str
    status: str
    is_internal: bool
    created_at: datetime
    received_at: datetime
    whatsapp_id: str | None
    reply_to: str | None
    reactions: list[Any]
    edited_at: datetime | None
    deleted_at: datetime | None
    media: dict[str, Any] | None
    error: dict[str, Any] | None
    metadata: dict[str, Any]


class Contact(Struct, kw_only=True):
    id: str
    name: str
    phone: str | None
    jid: str
    lid: str | None
    avatar_url: str | None
    is_group: bool


class Ticket(Struct, kw_only=True):
    id: str
    instance: str
    contact: Contact
    status: str
    assignee: str | None
    subject: str | None
    unread: int
    last_message_at: datetime | None
    last_message: str | None
    """The beginning of what that message says, for lists."""
    created_at: datetime
    version: int


class Instance(Struct, kw_only=True):
    name: str
    state: str
    state_since: datetime
    reason: int | None
    phone: str | None
    profile_name: str | None
    last_event_at: datetime


class MessageEvent(Struct, kw_only=True):
    type: str
    ticket_id: str
    message: Message


class TicketEvent(Struct, kw_only=True):
    type: str
    ticket_id: str
    ticket: Ticket


class InstanceEvent(Struct, kw_only=True):
    type: str
    instance: Instance


class TypingEvent(Struct, kw_only=True):
    """Transient: no offset, never stored."""

    type: str
    ticket_id: str
    user: str
    name: str | None
    is_typing: bool


encode_json = msgspec.json.Encoder().encode


def _moment(unix_ms: int | None) -> datetime | None:
    return None if unix_ms is None else utc(unix_ms)


def message_view(row: MessageRecord) -> Message:
    return Message(
        id=row.id,
        ticket_id=row.ticket_id,
        instance=row.instance,
        direction=row.direction,
        sender=row.sender,
        sender_id=row.sender_id,
        sender_name=row.sender_name,
        type=row.type,
        content=row.content,
        status=row.status,
        is_internal=row.is_internal,
        created_at=utc(row.created_at),
        received_at=utc(row.received_at),
        whatsapp_id=row.whatsapp_id,
        reply_to=row.reply_to,
        reactions=row.reactions,
        edited_at=_moment(row.edited_at),
        deleted_at=_moment(row.deleted_at),
        media=row.media,
        error=row.error,
        metadata=row.metadata,
    )


def ticket_view(row: TicketRecord, contact: ContactRecord) -> Ticket:
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
        status=row.status,
        assignee=row.assignee,
        subject=row.subject,
        unread=row.unread,
        last_message_at=_moment(row.last_message_at),
        last_message=row.last_message,
        created_at=utc(row.created_at),
        version=row.version,
    )


def instance_view(row: InstanceRecord) -> Instance:
    return Instance(
        name=row.name,
        state=row.state,
        state_since=utc(row.state_since),
        reason=row.reason,
        phone=row.phone,
        profile_name=row.profile_name,
        last_event_at=utc(row.last_event_at),
    )
