"""What one webhook says, in our words. The normaliser makes facts, the ledger acts on them."""

from enum import IntEnum
from typing import Any, Literal

from msgspec import Struct

from evorelay.model.change import Change


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
    if len(phone) == 13:
        if phone.startswith("55") and phone[4] == "9" and phone[5] not in "2345":
            return phone[:4] + phone[5:]  # with 2 to 5 behind the 9, the rest is a landline's
        if phone.startswith(("521", "549")):  # Mexico and Argentina: an older mobile prefix
            return phone[:2] + phone[3:]
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
    waveform: list[int] | None = None
    """Of a voice note: at most 64 values of loudness from 0 to 100."""


class MessageFact(Struct, frozen=True, kw_only=True):
    """A message exists: received, typed on the phone, or sent through the API.

    A second fact about the same message may know more (protocol/duplicates.py).
    """

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
    author: Chat | None = None
    """Who wrote it, in a group; a chat of its own as far as identity goes."""
    status: str | None = None
    """One of ours (protocol/delivery.py), None when the webhook names none."""
    reply_to: str | None = None
    """WhatsApp id of the quoted message."""
    origin: str | None = None
    """For ``from_me``: ``phone`` or ``api``."""
    media: MediaFact | None = None
    metadata: dict[str, Any] = {}
    is_history: bool = False
    """Imported: stored without an event, a ticket of its own, or anything unread."""


class ChangeFact(Struct, frozen=True, kw_only=True):
    """Something happened to a message, known yet or not.

    Joined by id alone: the JID may be another alias, or the editor's view of the chat.
    """

    instance: str
    whatsapp_id: str
    """Of the message that is changed."""
    change: Change


class NameRank(IntEnum):
    """How far a name can be trusted; the stronger wins, then the later."""

    NONE = 0
    """Made up here: a phone number, a label."""
    LISTED = 1
    """From an address book or a chat list, without a time of its own."""
    SAID = 2
    """Came with a message of this person, or is the group's own subject."""


class PersonFact(Struct, frozen=True, kw_only=True):
    """Something is known about a person or group: a name, a picture, that two ids are one."""

    instance: str
    person: Chat
    name: str | None = None
    name_rank: NameRank = NameRank.LISTED
    at: int
    """Unix ms: when the name was true; the arrival where nothing says."""
    avatar_url: str | None = None


class Member(Struct, frozen=True, kw_only=True):
    person: Chat
    role: Literal["member", "admin", "superadmin"] = "member"


class GroupFact(Struct, frozen=True, kw_only=True):
    """A group's members, or a change of them."""

    instance: str
    group: Chat
    action: Literal["snapshot", "add", "remove", "promote", "demote"]
    members: tuple[Member, ...]


class InstanceFact(Struct, frozen=True, kw_only=True):
    """A WhatsApp instance's connection changed."""

    instance: str
    state: str
    """``open``, ``connecting`` or ``close``."""
    reason: int | None = None
    """WhatsApp's status code; why in words is ``protocol/connection.py``'s."""
    phone: str | None = None
    profile_name: str | None = None
    is_removed: bool = False
    """The instance does not exist in Evolution any more."""


class QrCodeFact(Struct, frozen=True, kw_only=True):
    """A code to pair the instance with a phone; it lives for less than a minute.

    All fields None: there will be no further one until the instance is asked to connect again.
    """

    instance: str
    code: str | None = None
    """What the picture says."""
    pairing_code: str | None = None
    """To be typed instead of scanned."""
    image: str | None = None
    """``data:image/png;base64,…``"""


class IgnoredFact(Struct, frozen=True, kw_only=True):
    """Understood and of no consequence to any ticket; the journal keeps it for its retention."""

    event: str


class CanaryFact(Struct, frozen=True, kw_only=True):
    """A test message of ours; its one consequence is an event for whoever sent it."""

    id: str


class QuarantineFact(Struct, frozen=True, kw_only=True):
    """Not understood. ``reason`` is a code from protocol/normalise, ``detail`` for a person."""

    reason: str
    detail: str


Fact = (
    MessageFact
    | ChangeFact
    | PersonFact
    | GroupFact
    | InstanceFact
    | QrCodeFact
    | IgnoredFact
    | CanaryFact
    | QuarantineFact
)
