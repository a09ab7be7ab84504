"""One person as all that is kept names them, and where that is."""

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct

_BETWEEN = " ().-+\u00a0" + "".join(map(chr, range(0x2010, 0x2016)))
"""What people write between the digits of a number."""
_BETWEEN_BYTES = bytes({*_BETWEEN.encode()} - {*b"0123456789"})
_AS_TEXT = ("conversation", "text", "caption", "content")
"""Where JSON holds words of people, so that digits alone may lack their country code."""
_WITHOUT_COUNTRY = {"55": (12, 13), "1": (11,), "52": (12,), "54": (12,)}
"""Length of whole numbers, by the country code that people leave out in these countries."""
_PHONE_DIGITS_MAX = 13
"""Longer ones are ids: nobody writes them down in groups."""


class Marks:
    """Numbers that betray a person in a text: alone, and not within a longer number. Phone numbers
    also as people write them, ``+55 (21) 97777-6666`` or without the country code."""

    def __init__(self, numbers: Collection[str]) -> None:
        self._digits = [
            (_national(number) or number).replace("-", "").encode() for number in numbers
        ]
        self._pattern = re.compile(_pattern_of(numbers, f"[{re.escape(_BETWEEN)}]{{0,3}}"))
        encoded = "|".join(re.escape(one.encode().decode("latin-1")) for one in _BETWEEN)
        self._bytes = re.compile(_pattern_of(numbers, f"(?:{encoded}){{0,3}}").encode("latin-1"))

    def are_in(self, text: str) -> bool:
        return self._may_be_in(text.encode("utf-8", "replace")) and (
            self._pattern.search(text) is not None
        )

    def are_in_bytes(self, text: bytes) -> bool:
        return self._may_be_in(text) and self._bytes.search(text) is not None

    def _may_be_in(self, text: bytes) -> bool:
        """Quick, and right where it says no: a store has millions of texts."""
        squeezed = text.translate(None, _BETWEEN_BYTES)
        return any(digits in squeezed for digits in self._digits)

    def blanked(self, value: Any) -> Any:
        """The text, or whatever JSON holds texts, with zeros where a mark was; as long as before,
        and JSON if it was."""
        if isinstance(value, str):
            if not self.are_in(value):
                return value
            return self._pattern.sub(lambda found: re.sub("[0-9]", "0", found[0]), value)
        if isinstance(value, list):
            return [self.blanked(item) for item in value]
        if isinstance(value, dict):
            return {name: self.blanked(item) for name, item in value.items()}
        return value


def _national(number: str) -> str | None:
    for country, lengths in _WITHOUT_COUNTRY.items():
        if number.startswith(country) and len(number) in lengths:
            return number[len(country) :]
    return None


def _pattern_of(numbers: Collection[str], between: str) -> str:
    """``between``: what may stand between two digits, as a pattern."""
    ways = []
    for number in numbers:
        if "-" in number or len(number) > _PHONE_DIGITS_MAX:
            ways.append(f"(?<![0-9]){re.escape(number)}")
            continue
        ways.append(f"(?<![0-9])(?:00)?{between.join(number)}")
        if national := _national(number):
            ways += _national_ways(national, between)
    return f"(?:{'|'.join(ways) or '(?!)'})(?![0-9])"


def _national_ways(digits: str, between: str) -> list[str]:
    """Not behind another country's code, and not where ids are written: another country's whole
    number may have the same digits (Peru's 51 9… are those of Porto Alegre)."""
    another = "".join(
        rf"(?<!\+[0-9]{{{count}}}{gap})" for count in (1, 2, 3) for gap in ("[ .(-]", r" \(")
    )
    alone = f"{digits}(?![0-9])"
    ways = [f"(?<![0-9+]){another}0?(?!{alone}){between.join(digits)}"]
    if not (len(digits) == 10 and "14" <= digits[:2] <= "19"):  # else it may be a time in seconds
        words = "|".join(f'(?<="{name}":{gap}")' for name in _AS_TEXT for gap in ("", " "))
        ways.append(
            rf'(?<![0-9+=/])(?<!phone:){another}(?:(?<!")|{words}|(?={digits}[^"]))0?{digits}'
            "(?!@|:[0-9]+@)"
        )
    return ways


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
    contacts: list[str] = []
    """Those that go: everybody who is the person; of one who wrote anew, who is older than that."""
    aliases: list[tuple[str, str]] = []
    """(instance, alias) that go although their contact stays."""
    mentions: list[str] = []
    """Messages of others that name or quote the person, or to which they reacted: they stay,
    without that."""
    cards: list[tuple[str, str | None, str]] = []
    """(instance, WhatsApp id, ticket or "") of mentions that are contact cards of the person."""
    replies: list[str] = []
    """Commands of the outbox."""
    unfinished: int = 0
    """Of those, how many WhatsApp has or may have without our knowing: under way, or in doubt. Then
    nothing can be erased yet. What only waits goes like the others."""
    quarantine: list[str] = []
    early: list[tuple[str, str]] = []
    """(instance, WhatsApp id) of changes whose message never came."""
    events: list[ToldEvent] = []
    blobs: list[str] = []
    """Files of the messages, and what quarantined webhooks name."""
    keeps_contact: bool = False
    """They wrote after ``until``: that stays, and whom it is from; what is older goes."""
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
        return not any((*rows, self.quarantine, self.early, self.aliases))
