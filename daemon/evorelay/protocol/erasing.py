"""What betrays a person in a text, and texts of others without it: pure decisions of an erasure."""

import re
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from evorelay.model.erasing import Marks
from evorelay.model.records import MessageRecord

_NAMED_IDS = re.compile(rb'"(?:id|keyId|stanzaId|messageId)"\s*:\s*"([^"\\]{1,128})"')
"""Where webhooks name a message by its WhatsApp id."""

_NUMBER = re.compile(r"\d{8,}(?:-\d{8,})?")
"""A phone number, a privacy id, a group's id of either kind."""


def spellings(phone: str) -> list[str]:
    """A number as WhatsApp's ids spell it, with and without the mobile digit."""
    found = [phone]
    if phone.startswith("55"):
        if len(phone) == 12:
            found.append(phone[:4] + "9" + phone[4:])
        elif len(phone) == 13 and phone[4] == "9":
            found.append(phone[:4] + phone[5:])
    for country, prefix in (("52", "1"), ("54", "9")):
        if phone.startswith(country + prefix) and len(phone) == 13:
            found.append(country + phone[3:])
        elif phone.startswith(country) and len(phone) == 12:
            found.append(country + prefix + phone[2:])
    return found


def numbers_of(aliases: Iterable[str], phones: Iterable[str]) -> tuple[str, ...]:
    """Digits to look for, the longest first. An id that is no number betrays nobody."""
    found: set[str] = set()
    for phone in phones:
        found.update(spellings(phone))
    for alias in aliases:
        kind, _, value = alias.partition(":")
        if kind == "phone":
            found.update(spellings(value))
        else:
            found.add(value.partition("@")[0])
    numbers = (number for number in found if _NUMBER.fullmatch(number))
    return tuple(sorted(numbers, key=lambda number: (-len(number), number)))


class Mentions:
    """Tells of a raw webhook whether it says anything of a person."""

    def __init__(self, marks: Marks, whatsapp_ids: Iterable[str]) -> None:
        self._marks = marks
        self._ids = {id_.encode() for id_ in whatsapp_ids}

    def are_in(self, body: bytes) -> bool:
        if self._marks.are_in_bytes(body):
            return True
        return bool(self._ids) and not self._ids.isdisjoint(_NAMED_IDS.findall(body))


def ids_named(body: bytes) -> set[str]:
    """WhatsApp ids of the messages that a webhook is about, as far as they can be told."""
    return {id_.decode("utf-8", "replace") for id_ in _NAMED_IDS.findall(body)}


def without_person(message: MessageRecord, marks: Marks, whatsapp_ids: Collection[str]) -> None:
    """Change a message of somebody else: without the person's reactions and votes, what of theirs
    it quotes, and their numbers wherever it names them."""

    def is_theirs(item: Any) -> bool:
        return marks.are_in(str(item))

    if message.type == "contact":
        _without_cards(message, marks)
    metadata = dict(message.metadata)
    if message.reply_to in whatsapp_ids:
        metadata.pop("quoted", None)
    if "votes" in metadata:
        metadata["votes"] = [vote for vote in metadata["votes"] if not is_theirs(vote)]
    message.reactions = [one for one in message.reactions if not is_theirs(one)]
    message.metadata = marks.blanked(metadata)
    for name in ("content", "edits", "media", "error"):
        setattr(message, name, marks.blanked(getattr(message, name)))


def _without_cards(message: MessageRecord, marks: Marks) -> None:
    """Take out the person's contact cards: the name says who it is, with no number beside it."""
    metadata = dict(message.metadata)
    cards = metadata.get("contacts")
    cards = cards if isinstance(cards, list) else []
    written = metadata.get("vcards") or [metadata.get("vcard")]
    if not isinstance(written, list) or len(written) != len(cards):
        written = [None] * len(cards)
    pairs = [
        (card, text)
        for card, text in zip(cards, written, strict=True)
        if not marks.are_in(msgspec.json.encode([card, text]).decode())
    ]
    if len(pairs) == len(cards):
        return
    metadata["contacts"] = [card for card, _ in pairs]
    metadata.pop("vcard", None)
    if "vcards" in metadata:
        metadata["vcards"] = [text for _, text in pairs if text]
    names = [card.get("name") or next(iter(card.get("phones", [])), None) for card, _ in pairs]
    label, end, _ = message.content.partition("]")
    said = f"{label}{end} {', '.join(filter(None, names))}" if end else ""
    message.content = said.strip()
    message.metadata = metadata
