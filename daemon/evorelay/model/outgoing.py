"""What an agent wants sent, and what goes to Evolution: the words of the outbox.

An ``OutboxRecord`` keeps an ``Outgoing`` as JSON until it is sent, and for as long as its ``op_id``
must be known again.
"""

from typing import Literal

from msgspec import Struct

OutgoingType = Literal[
    "text", "image", "video", "audio", "document", "sticker", "location", "contact", "reaction"
]


class OutgoingMedia(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of ours: its bytes are in the blob store before anything refers to it."""

    blob: str
    """SHA-256 of the bytes."""
    mimetype: str
    size: int
    filename: str | None = None
    seconds: int | None = None
    width: int | None = None
    height: int | None = None
    waveform: list[int] | None = None
    is_voice: bool = False
    """Audio that is heard as a voice note and not offered as a file."""


class Location(Struct, frozen=True, kw_only=True, omit_defaults=True):
    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class ContactCard(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    phone: str
    """Digits with country code."""
    organization: str | None = None
    email: str | None = None
    url: str | None = None


class Outgoing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reply, whole."""

    type: OutgoingType
    content: str
    """The text or caption, "" for none; a reaction's emoji, "" to take it back."""
    media: OutgoingMedia | None = None
    location: Location | None = None
    contacts: list[ContactCard] = []
    target: str | None = None
    """Our id of the message that is quoted or reacted to."""
    previous: str = ""
    """Of a reaction: what stood there before, to be put back should it fail."""
    delay_ms: int = 0
    """How long the recipient sees "typing" first; Evolution answers after it."""


class Target(Struct, frozen=True, kw_only=True):
    """The message that is quoted or reacted to, as WhatsApp knows it."""

    whatsapp_id: str
    jid: str
    """Of the chat."""
    from_me: bool
    participant: str | None
    """In a group: who wrote it."""
    content: str
    """What it says, in case Evolution keeps no messages."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One attempt's message as it goes to Evolution."""

    number: str
    """Digits with country code; a full JID for groups and privacy ids."""
    outgoing: Outgoing
    target: Target | None = None
    own_id: str | None = None
    """The WhatsApp id we would like it to have; Evolution 2.4 and newer takes it."""
