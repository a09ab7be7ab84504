"""What clients read: messages, tickets, instances and the events about them (contract §4).

These Structs are also the schemas of ``/openapi.json``: what a client author has to know of a field
is its ``Meta``.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

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
    state: Annotated[
        Literal["here", "pending", "failed", "absent", "removed"],
        Meta(
            description="`pending`: the file is being fetched, a `message.updated` follows; "
            "`failed`: it could not be had; `absent`: nobody tried; `removed`: it was here for as "
            "long as files are kept"
        ),
    ] = "absent"
    waveform: Annotated[
        list[int] | None, Meta(description="Of a voice note: loudness from 0 to 100, in order")
    ] = None


class Reaction(Struct, kw_only=True):
    emoji: str
    sender_id: Annotated[str | None, Meta(description="The author's WhatsApp JID; null for ours")]
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
    sender_id: Annotated[
        str | None,
        Meta(
            description="The author's WhatsApp JID; of a reply written here the agent's `sub`; "
            "null for what we sent in another way"
        ),
    ]
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
    deleted_at: Annotated[
        Timestamp | None,
        Meta(description="Deleted for everyone: `content` is a label then and `media` null"),
    ]
    media: Media | None
    error: Failure | None
    metadata: Annotated[
        dict[str, Any],
        Meta(
            description="What else WhatsApp said, at most 16 KiB of scalars and lists of them. "
            "`origin` (of `out`): `phone` or `api`; absent for replies written here. "
            "`forwarded`, `mentioned`, `view_once`, "
            "`transcription`, `quoted` (what is replied to, in short), `late` (later messages were "
            "here already), `history` (imported), `unconfirmed` (`sent` is assumed), "
            "`votes` of a poll (`sender_id`, null for ours, `sender_name`, `options`); "
            "`reaction_error`: why our reaction could not be sent; `recovered`: Evolution had "
            "dropped its webhook; by type `latitude` and `longitude`, `vcard`, `question` and "
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
    unread: Annotated[
        int,
        Meta(
            description="Messages that came in: in an answer, since the caller read the ticket; in "
            "an event, which goes to everybody, since anybody did"
        ),
    ]
    last_message_at: Timestamp | None
    last_message: Annotated[
        str | None, Meta(description="The beginning of what that message says, for lists")
    ]
    created_at: Timestamp
    version: Annotated[
        int, Meta(description="Send it along with a change; another one by now is a conflict")
    ]
    waiting_since: Annotated[
        Timestamp | None,
        Meta(description="The customer's first message that nobody has answered; null: none"),
    ]
    merged_into: Annotated[
        str | None,
        Meta(description="The ticket that has its messages now: both were one person's"),
    ]


class QrCode(Struct, kw_only=True):
    """To link the instance to a phone. Each one lives for less than a minute."""

    code: Annotated[str | None, Meta(description="What the picture says")]
    pairing_code: Annotated[str | None, Meta(description="To be typed instead of scanned")]
    image: Annotated[str | None, Meta(description="`data:image/png;base64,…`")]
    at: Annotated[Timestamp, Meta(description="When it arrived")]


class WebhookRegistration(Struct, kw_only=True):
    """Our webhook as Evolution has it."""

    state: Annotated[
        Literal["ok", "missing", "wrong"],
        Meta(description="Not `ok`: this instance's webhooks do not come, or not all of them"),
    ]
    detail: Annotated[str, Meta(description="What is wrong and what to do; may be empty")]
    at: Annotated[Timestamp, Meta(description="When it was looked at")]


class Instance(Struct, kw_only=True):
    name: str
    state: Annotated[
        Literal["open", "connecting", "close", "unknown"],
        Meta(description="WhatsApp's connection; `unknown` until a webhook or Evolution says"),
    ]
    state_since: Timestamp
    reason: Annotated[int | None, Meta(description="WhatsApp's status code of the last change")]
    phone: str | None
    profile_name: str | None
    last_event_at: Timestamp
    cause: Annotated[
        str | None,
        Meta(
            description="Why it is not open, where WhatsApp says: `logged_out`, `banned`, "
            "`replaced`, `connection_lost`, `restart_required`, `not_loaded` by Evolution, "
            "`removed`, …"
        ),
    ]
    qrcode: Annotated[QrCode | None, Meta(description="While it can be paired with a phone")]
    polled_at: Annotated[
        Timestamp | None, Meta(description="When Evolution was last asked how it is; null: never")
    ]
    suspicion: Annotated[
        str | None,
        Meta(description="Why its `state` may not be true, in a sentence; null: it is believed"),
    ]
    registration: Annotated[WebhookRegistration | None, Meta(description="null: not looked at yet")]


encode_json = msgspec.json.Encoder().encode
