"""What one webhook says, in our words. The normaliser makes facts, the ledger acts on them."""

from typing import Any

from msgspec import Struct


class Chat(Struct, frozen=True, kw_only=True):
    """Whom a message belongs to, as far as this webhook knows.

    At least one of ``phone``, ``lid`` and ``jid`` is set. ``phone`` is digits with country code.
    """

    jid: str
    """The chat's JID as WhatsApp wrote it, device suffix removed."""
    phone: str | None = None
    lid: str | None = None
    """The privacy id with its domain, ``222222222222222@lid``."""
    is_group: bool = False

    @property
    def aliases(self) -> tuple[str, ...]:
        """Keys under which this person may be known already, the strongest first.

        A Brazilian number is known by country code, area code and its last 8 digits, because
        WhatsApp's ids come with and without the ninth digit (research: JIDs).
        """
        keys = []
        if self.phone:
            keys.append("phone:" + phone_key(self.phone))
        if self.lid:
            keys.append("lid:" + self.lid)
        if not keys:
            keys.append("jid:" + self.jid)
        return tuple(keys)


def phone_key(phone: str) -> str:
    """The form under which two spellings of one number are equal."""
    if phone.startswith("55") and len(phone) == 13 and phone[4] == "9":
        return phone[:4] + phone[5:]
    return phone


class MediaFact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A media attachment. ``blob`` is the SHA-256 of the bytes when the webhook carried them."""

    mimetype: str | None = None
    blob: str | None = None
    base64: str | None = None
    """The bytes as they stood in the webhook, when they were small enough to stay there."""
    remote_url: str | None = None
    size: int | None = None
    filename: str | None = None
    seconds: int | None = None
    width: int | None = None
    height: int | None = None
    thumbnail: str | None = None
    """A small JPEG, base64."""
    is_voice: bool = False
    is_animated: bool = False


class MessageFact(Struct, frozen=True, kw_only=True):
    """A message exists: received, typed on the phone, or sent through the API."""

    instance: str
    whatsapp_id: str
    chat: Chat
    from_me: bool
    type: str
    content: str
    sent_at: int
    """Unix ms, as WhatsApp says; the arrival time where WhatsApp's is nonsense."""
    sender_id: str | None = None
    """Who wrote it: the participant's JID in a group, else the chat's."""
    sender_name: str | None = None
    status: str | None = None
    """One of ours (protocol/delivery.py), None when the webhook names none."""
    reply_to: str | None = None
    """WhatsApp id of the quoted message."""
    origin: str | None = None
    """For ``from_me``: ``phone`` or ``api``."""
    media: MediaFact | None = None
    metadata: dict[str, Any] = {}


class StatusFact(Struct, frozen=True, kw_only=True):
    """A message's delivery state changed. Joined by id alone: the JID may be another alias."""

    instance: str
    whatsapp_id: str
    status: str


class InstanceFact(Struct, frozen=True, kw_only=True):
    """A WhatsApp instance's connection changed."""

    instance: str
    state: str
    """``open``, ``connecting`` or ``close``."""
    reason: int | None = None
    phone: str | None = None
    profile_name: str | None = None


class IgnoredFact(Struct, frozen=True, kw_only=True):
    """Understood and of no consequence to any ticket; the journal keeps it for its retention."""

    event: str


class QuarantineFact(Struct, frozen=True, kw_only=True):
    """Not understood. ``reason`` is a code from protocol/normalise, ``detail`` for a person."""

    reason: str
    detail: str


Fact = MessageFact | StatusFact | InstanceFact | IgnoredFact | QuarantineFact
