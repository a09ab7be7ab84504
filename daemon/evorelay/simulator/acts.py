"""What people do besides sending messages, before any Evolution has put it into its words."""

from typing import Literal

from msgspec import Struct

from evorelay.simulator.cast import Address, Group, Message, Person


class Reaction(Struct, frozen=True, kw_only=True):
    id: str
    """A reaction is sent as a message of its own."""
    target: Message
    author: Person | None
    """None: our side."""
    emoji: str
    """Empty: taken back."""
    at_ms: int
    through_api: bool = False
    address: Address | None = None


class Receipt(Struct, frozen=True, kw_only=True):
    """How far a message came; of the customer's own: that we read it on the phone."""

    target: Message
    status: str
    """As ``messages.update`` names it."""
    at_ms: int


class Edit(Struct, frozen=True, kw_only=True):
    id: str
    """Versions before 2 and encrypted edits send it as a message of its own."""
    target: Message
    text: str
    at_ms: int
    through_api: bool = False
    is_encrypted: bool = False
    """``secretEncryptedMessage``: that it was edited is all that anybody can read."""


class Revoke(Struct, frozen=True, kw_only=True):
    """Deleted for everyone, by its author, in a group also by an admin."""

    target: Message
    at_ms: int
    through_api: bool = False
    by: Person | None = None
    """In a group: who."""


class Vote(Struct, frozen=True, kw_only=True):
    """An answer to a poll, whole: what it does not name was taken back."""

    id: str
    poll: Message
    voter: Person
    address: Address
    options: tuple[str, ...]
    at_ms: int


Change = Receipt | Reaction | Edit | Revoke | Vote


class Call(Struct, frozen=True, kw_only=True):
    id: str
    caller: Person
    is_video: bool
    outcome: Literal["timeout", "reject", "accept", "terminate"]
    address: Address


class Membership(Struct, frozen=True, kw_only=True):
    """Somebody joined a group, left it, or got another role there."""

    group: Group
    person: Person
    action: Literal["add", "remove", "promote", "demote"]
    author: Person
