"""What an agent can have sent (contract §3, §5): the same Structs for REST, RPC and Socket.IO."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from evorelay.model.outgoing import OutgoingType
from evorelay.model.views import Failure, Timestamp
from evorelay.relay.questions import Limit, Line, Text

CONTENT_CHARS_MAX = 65_536
"""WhatsApp's own limit of a text."""
OpId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="The client's own id of this command, unique per instance as long as events "
        "are kept (`retention.events`, 30 days): the same one again is answered with the same "
        "message and nothing is sent twice",
    ),
]
Path = Literal["rpc", "rest", "endpoint", "socketio"]
"""The kind of connection a command comes by; ``endpoint``: those of the servers we replace."""
Degrees = Annotated[float, Meta(ge=-180, le=180)]
Phone = Annotated[str, Meta(pattern=r"^\+?[0-9 ().-]{8,25}$")]
"""As people write it, with country code."""


class Via(Struct, frozen=True, kw_only=True):
    """How a command comes. Nothing that a client says about itself."""

    path: Path
    origin: str | None = None
    """``pid`` of the Socket.IO session: ``message.created`` is not told to the one who sent it."""


class SendMedia(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of ``id`` and ``url``."""

    id: Annotated[
        Text | None, Meta(description="Of `POST /v1/media`, or `media.id` of a message you may see")
    ] = None
    url: Annotated[
        Annotated[str, Meta(max_length=2048)] | None,
        Meta(description="Public http or https address; we fetch it before we answer"),
    ] = None
    filename: Line | None = None
    is_voice: Annotated[bool, Meta(description="Audio as a voice note")] = False


class SendLocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Degrees
    name: Line | None = None
    address: Line | None = None


class SendContact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Line
    phone: Phone
    organization: Line | None = None
    email: Line | None = None
    url: Line | None = None


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reply. ``type`` may be left out where ``media``, ``location`` or ``contacts`` say it."""

    op_id: OpId
    content: Annotated[
        str,
        Meta(
            max_length=CONTENT_CHARS_MAX,
            description="The text, the caption, or a reaction's emoji (empty takes it back)",
        ),
    ] = ""
    type: OutgoingType | None = None
    media: SendMedia | None = None
    location: SendLocation | None = None
    contacts: Annotated[list[SendContact], Meta(max_length=20)] = []
    is_internal: Annotated[
        bool, Meta(description="A note among agents; never leaves the house")
    ] = False
    reply_to: Annotated[
        Text | None, Meta(description="`id` of the message that is quoted or reacted to")
    ] = None
    delay_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=20_000,
            description="Show the recipient `typing` for this long; not with files over 1 MiB",
        ),
    ] = 0


class SendParams(Reply, frozen=True, kw_only=True):
    """A reply in a ticket."""

    ticket_id: Text


class PhoneSendParams(Reply, frozen=True, kw_only=True):
    """A reply to whoever has a phone number, in their ticket, which is opened if there is none.

    Made by the old endpoints, which name no ticket and quote by WhatsApp's id.
    """

    instance: Text
    phone: Text
    """Digits with country code (protocol/phones.py)."""
    quoted: Text | None = None
    """WhatsApp id of the message that is quoted; ``reply_to`` is not given then."""


class MessageRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message_id: Text


OutboxState = Literal["queued", "sending", "unknown", "sent", "failed", "kept"]


class OutboxParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Annotated[
        Literal["waiting", "failed"],
        Meta(description="`waiting`: not sent yet; `failed`: given up, may be retried"),
    ] = "waiting"
    instance: Text | None = None
    cursor: Text | None = None
    limit: Limit = 50


class OutboxView(Struct, frozen=True, kw_only=True):
    """A command and how far it got."""

    id: str
    op_id: str
    instance: str
    ticket_id: str
    message_id: str
    contact: Annotated[str | None, Meta(description="Whom it is for, by name")]
    type: str
    content: Annotated[str, Meta(description="What it says: the text, or a caption")]
    agent: str
    state: Annotated[
        OutboxState,
        Meta(
            description="`sending`: an attempt is under way; `unknown`: whether it was sent is "
            "being found out; `kept`: an internal note"
        ),
    ]
    attempts: int
    created_at: Timestamp
    due_at: Annotated[Timestamp | None, Meta(description="Not tried before then; null: its turn")]
    error: Annotated[Failure | None, Meta(description="What the latest attempt met")]


class LaneView(Struct, frozen=True, kw_only=True):
    """How an instance's replies get on."""

    instance: str
    waiting: int
    parked: Annotated[
        Failure | None, Meta(description="Why nothing is sent at the moment; null: it is")
    ]


class OutboxPage(Struct, frozen=True):
    outbox: list[OutboxView]
    lanes: list[LaneView]
    """Of the caller's instances, those with something waiting or parked."""
    next_cursor: str | None
