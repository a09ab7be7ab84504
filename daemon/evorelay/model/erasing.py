"""One person as all that is kept names them, and where that is."""

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct


class Marks:
    """Numbers that betray a person in a text: alone, and not within a longer number."""

    def __init__(self, numbers: Collection[str]) -> None:
        self._pattern = re.compile(
            r"(?<!\d)(?:%s)(?!\d)" % ("|".join(map(re.escape, numbers)) or r"(?!)")
        )
        self._bytes = re.compile(self._pattern.pattern.encode())

    def are_in(self, text: str) -> bool:
        return self._pattern.search(text) is not None

    def are_in_bytes(self, text: bytes) -> bool:
        return self._bytes.search(text) is not None

    def blanked(self, value: Any) -> Any:
        """The text, or whatever JSON holds texts, with zeros where a mark was; as long as before,
        and JSON if it was."""
        if isinstance(value, str):
            return self._pattern.sub(lambda found: "0" * len(found[0]), value)
        if isinstance(value, list):
            return [self.blanked(item) for item in value]
        if isinstance(value, dict):
            return {name: self.blanked(item) for name, item in value.items()}
        return value


class Person(Struct, frozen=True, kw_only=True):
    """Everybody who is this person: a contact in each instance, and those merged into them."""

    contacts: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    """(instance, alias), as ``Chat.aliases`` has them."""
    numbers: tuple[str, ...]
    """What betrays them in a text: their numbers in every spelling, their privacy ids."""

    @property
    def marks(self) -> Marks:
        return Marks(self.numbers)


class ToldEvent(Struct, frozen=True, array_like=True):
    """A stored event that says something of the person."""

    id: int
    type: str
    ticket_id: str | None
    message_id: str | None


class Traces(Struct, kw_only=True):
    """Everything of a person that the store has. ``until`` of the search: older messages only."""

    tickets: list[tuple[str, str]] = []
    """(id, instance) of conversations with this person alone; they go whole."""
    messages: list[str] = []
    """In those, in groups, and history that no ticket has: said by the person, or to them."""
    whatsapp_ids: list[tuple[str, str]] = []
    """(instance, WhatsApp id) of those messages."""
    elsewhere: list[tuple[str, str, str]] = []
    """(message, ticket, instance) of those on other tickets, and these tickets below."""
    changed_tickets: list[str] = []
    mentions: list[str] = []
    """Messages of others that name or quote the person, or to which they reacted: they stay,
    without that."""
    replies: list[str] = []
    """Commands of the outbox."""
    unfinished: int = 0
    """Of those, how many are not done with: then nothing can be erased yet."""
    quarantine: list[str] = []
    early: list[tuple[str, str]] = []
    """(instance, WhatsApp id) of changes whose message never came."""
    events: list[ToldEvent] = []
    blobs: list[str] = []
    """Files of the messages, and what quarantined webhooks name."""
    keeps_contact: bool = False
    """Somebody wrote after ``until``: the person stays, without what is older."""
    seen: tuple[int, int, int] = (0, 0, 0)
    """The newest message's arrival, the newest event's id, and the newest change, as they were."""

    def join(self, newer: "Traces") -> None:
        """Add what was found later."""
        for name in self.__struct_fields__:
            mine = getattr(self, name)
            if isinstance(mine, list):
                mine += [one for one in getattr(newer, name) if one not in mine]
        self.unfinished = newer.unfinished
        self.keeps_contact |= newer.keeps_contact
        self.seen = newer.seen

    @property
    def is_empty(self) -> bool:
        rows = (self.tickets, self.messages, self.mentions, self.replies, self.events)
        return not any((*rows, self.quarantine, self.early))
