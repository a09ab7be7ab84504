"""What clients read: messages, tickets, instances and the events about them (contract §4).

These Structs are also the schemas of ``/openapi.json``: what a client author has to know of a field
is its ``Meta``.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from evorelay.model.clock import utc
from evorelay.model.records import ContactRecord, InstanceRecord, MessageRecord, TicketRecord

Timestamp = Annotated[datetime, Meta(tz=True)]
MESSAGE_TYPES = (
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contact",
    "poll",
    "order",
    "product",
    "payment",
    "event",
    "invite",
    "album",
    "call",
    "unsupported",
)
MessageType = Annotated[
    str,
    Meta(
        description="A later version may add others: show their `content`. Known: "
        + ", ".join(f"`{name}`" for name in MESSAGE_TYPES),
        examples=list(MESSAGE_TYPES),
    ),
]


class Media(Struct, kw_only=True):
    """The file of a message. Any field but the flags may be unknown."""

    id: Annotated[str | None, Meta(description="SHA-256 of the bytes; null when we have none")]
    url: Annotated[str | None, Meta(description="Path on this server, `/media/{id}`")]
    mimetype: str | None
    size: Annotated[int | None, Meta(description="Bytes")]
    filename: str | None
    seconds: int | None
    width: int | None
    height: int | None
    thumbnail: Annotated[str | None, Meta(description="A small JPEG, base64")]
    is_voice: bool
    is_animated: bool
    remote_url: Annotated[
        str | None, Meta(description="Where Evolution says the file is, if it keeps files")
    ]


class Reaction(Struct, kw_only=True):
    emoji: str
    sender_id: str | None
    sender_name: str | None


class Failure(Struct, kw_only=True):
    """Why a message of ours could not be delivered."""

    code: str
    message: str


class Message(Struct, kw_only=True):
    id: str
    ticket_id: str
    instance: str
    direction: Literal["in", "out"]
    sender: Literal["client", "agent", "system"]
    sender_id: Annotated[str | None, Meta(description="The author's WhatsApp JID; null for ours")]
    sender_name: str | None
    type: MessageType
    content: Annotated[
        str, Meta(description="What a person reads: the text, the caption, or a label like [Áudio]")
    ]
    status: Annotated[
        Literal["received", "pending", "sent", "delivered", "read", "played", "failed"],
        Meta(description="`received` for `in`; the others for `out`, and it only moves forward"),
    ]
    is_internal: bool
    created_at: Annotated[Timestamp, Meta(description="When WhatsApp says it was sent")]
    received_at: Annotated[Timestamp, Meta(description="When its webhook arrived here")]
    whatsapp_id: str | None
    reply_to: Annotated[str | None, Meta(description="`whatsapp_id` of the quoted message")]
    reactions: list[Reaction]
    edited_at: Timestamp | None
    deleted_at: Timestamp | None
    media: Media | None
    error: Failure | None
    metadata: Annotated[
        dict[str, Any],
        Meta(
            description="What else WhatsApp said, at most 16 KiB of scalars and lists of them. "
            "`origin` (of `out`): `phone` or `api`. `forwarded`, `mentioned`, `view_once`, "
            "`transcription`; by type `latitude` and `longitude`, `vcard`, `question` and "
            "`options`, `selected_id`, `order_id`, …; `content_cut`, `metadata_cut`: too long "
            "to be kept whole; `whatsapp_type`: the name of a type that is `unsupported`"
        ),
    ]


class Contact(Struct, kw_only=True):
    id: str
    name: str
    phone: Annotated[
        str | None,
        Meta(description="Digits with country code; null for groups and where it is hidden"),
    ]
    jid: str
    lid: Annotated[str | None, Meta(description="WhatsApp's privacy id, `…@lid`")]
    avatar_url: str | None
    is_group: bool


class Ticket(Struct, kw_only=True):
    id: str
    instance: str
    contact: Contact
    status: Literal["open", "pending", "closed"]
    assignee: Annotated[str | None, Meta(description="`sub` of the agent who has it")]
    subject: str | None
    unread: Annotated[int, Meta(description="Messages that came in since somebody read it")]
    last_message_at: Timestamp | None
    last_message: Annotated[
        str | None, Meta(description="The beginning of what that message says, for lists")
    ]
    created_at: Timestamp
    version: Annotated[
        int, Meta(description="Send it along with a change; another one by now is a conflict")
    ]


class Instance(Struct, kw_only=True):
    name: str
    state: Annotated[
        Literal["open", "connecting", "close", "unknown"],
        Meta(description="WhatsApp's connection; `unknown` until a webhook says"),
    ]
    state_since: Timestamp
    reason: Annotated[int | None, Meta(description="WhatsApp's status code of the last change")]
    phone: str | None
    profile_name: str | None
    last_event_at: Timestamp


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
        direction=row.direction,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        sender=row.sender,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        sender_id=row.sender_id,
        sender_name=row.sender_name,
        type=row.type,
        content=row.content,
        status=row.status,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        is_internal=row.is_internal,
        created_at=utc(row.created_at),
        received_at=utc(row.received_at),
        whatsapp_id=row.whatsapp_id,
        reply_to=row.reply_to,
        reactions=msgspec.convert(row.reactions, list[Reaction]) if row.reactions else [],
        edited_at=_moment(row.edited_at),
        deleted_at=_moment(row.deleted_at),
        media=None if row.media is None else msgspec.convert(row.media, Media),
        error=None if row.error is None else msgspec.convert(row.error, Failure),
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
        status=row.status,  # type: ignore[arg-type]  # rows are written by relay/ with no other
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
        state=row.state,  # type: ignore[arg-type]  # rows are written by relay/ with no other
        state_since=utc(row.state_since),
        reason=row.reason,
        phone=row.phone,
        profile_name=row.profile_name,
        last_event_at=utc(row.last_event_at),
    )
