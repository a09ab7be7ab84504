"""What can happen to a message after it was sent. Kept as JSON while the message is not here yet.

Changes come in any order, twice, and before their message, so each says when it happened and none
says "after": ``protocol/changes.py`` ends in the same state whatever the order (P2).
"""

from msgspec import Struct

OURSELVES = "me"
"""``who`` of our side, and of the customer in a chat of two."""
THE_OTHER = "them"


class Status(Struct, frozen=True, tag="status", tag_field="is"):
    """The message got this far (protocol/delivery.py)."""

    status: str


class Edit(Struct, frozen=True, kw_only=True, tag="edit", tag_field="is"):
    content: str | None
    """The new text or caption; None when it cannot be read (``secretEncryptedMessage``)."""
    at: int | None
    """Unix ms, as WhatsApp says. None when the webhook does not: then any edit with a time wins."""
    seen_at: int
    """Unix ms, the webhook's arrival."""
    by_us: bool | None = None
    """Whose message it must be, where the webhook says who edited: nobody edits another's."""


class Revoke(Struct, frozen=True, tag="revoke", tag_field="is"):
    """Deleted for everyone."""

    at: int
    """Unix ms; the webhook's arrival where nothing says."""
    by_us: bool | None = None
    """As in ``Edit``; None in groups, where admins delete what others wrote."""


class Reaction(Struct, frozen=True, kw_only=True, tag="reaction", tag_field="is"):
    who: str
    """Whose it is, for there is one per person: ``me``, ``them``, or in a group an alias."""
    emoji: str
    """Empty: taken back."""
    at: int
    """Unix ms."""
    sender_id: str | None = None
    """The JID as in ``Message.sender_id``."""
    sender_name: str | None = None


class Vote(Struct, frozen=True, kw_only=True, tag="vote", tag_field="is"):
    """One person's answer to a poll, whole: options that are not in it were taken back."""

    who: str
    """As in ``Reaction``."""
    options: tuple[str, ...]
    at: int
    """Unix ms."""
    name: str | None = None
    sender_id: str | None = None
    """As in ``Reaction``."""


Change = Status | Edit | Revoke | Reaction | Vote
