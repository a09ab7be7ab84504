"""Contact cards (vCard 2.1 and 3.0) as far as WhatsApp writes them: a name and phone numbers."""

import re
from typing import Any

from evorelay.protocol.normalise.names import person_name
from evorelay.protocol.normalise.values import SMALL_CHARS_MAX, SMALL_ITEMS_MAX, clean

_PHONES_MAX = 10
_PHONE_CHARS_MAX = 40
_FULL_NAME = re.compile(r"^(?:[\w-]+\.)?FN(?:;[^:\r\n]*)?:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_TEL = re.compile(r"^(?:[\w-]+\.)?TEL((?:;[^:\r\n]*)?):([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_WAID = re.compile(r";waid=([0-9]{5,20})", re.IGNORECASE | re.ASCII)


def card_of(contact: Any) -> dict[str, Any] | None:
    """``{"name", "phones"}`` of one ``contactMessage``; None where nothing can be read.

    A phone is the digits WhatsApp knows it by (``waid``), else as it was typed.
    """
    if not isinstance(contact, dict):
        return None
    written = contact.get("vcard")
    vcard = clean(written[:SMALL_CHARS_MAX]) if isinstance(written, str) else ""
    name = person_name(contact.get("displayName"))
    if name is None and (found := _FULL_NAME.search(vcard)):
        name = person_name(found[1].replace("\\,", ",").replace("\\;", ";"))
    phones: list[str] = []
    for parameters, typed in _TEL.findall(vcard):
        known = _WAID.search(parameters)
        phone = known[1] if known else " ".join(typed.split())[:_PHONE_CHARS_MAX]
        if phone and phone not in phones and len(phones) < _PHONES_MAX:
            phones.append(phone)
    return {"name": name, "phones": phones} if name or phones else None


def cards_of(contacts: Any) -> list[dict[str, Any]] | None:
    if not isinstance(contacts, list):
        contacts = [contacts]
    return [card for item in contacts[:SMALL_ITEMS_MAX] if (card := card_of(item))] or None


def names_of(contacts: Any) -> str | None:
    """Whose cards these are, to be read: names, or numbers where there is no name."""
    cards = cards_of(contacts) or []
    return ", ".join(card["name"] or card["phones"][0] for card in cards) or None
