"""Who a message is with and who wrote it, from the JIDs in its key.

A chat has up to two names: a phone number (``…@s.whatsapp.net``) and a privacy id (``…@lid``).
Which field holds which depends on the version of Evolution (research: JIDs), and two of them
must not be believed blindly: ``remoteJidAlt`` and ``sender…`` describe the *sender* of the
message, who is ourselves when ``fromMe``. Believing them there would give every customer our
own number or our own LID, and so merge all customers into one.

On the Cloud API Evolution 2.3.6 keeps ``remoteJid`` in one variable per instance, and messages
that arrive together get another customer's (research: wrong or lost data). There the message's id
names its customer, and the id is believed.
"""

import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Any, NamedTuple

from evorelay.model.fact import Chat, phone_key

_PHONE_DOMAIN = "s.whatsapp.net"
_SAME_DOMAIN = {"c.us": _PHONE_DOMAIN, "hosted": _PHONE_DOMAIN, "hosted.lid": "lid"}
_NUMBER = re.compile(r"\+?([0-9]{1,20})(?:[._][0-9]{1,4})?(?::[0-9]{1,5})?", re.ASCII)
_USER = re.compile(r"[\w.+:-]{1,64}", re.ASCII)
_DOMAIN = re.compile(r"[\w.-]{1,64}", re.ASCII)
_JID_CHARS_MAX = 130
_NO_PERSON = frozenset(("g.us", "broadcast", "newsletter", "call", "bot"))
_WAMID = "wamid."
_WAMID_BEGIN_CHARS = 28
"""As far as the longest number reaches: 19 bytes."""


class Jid(NamedTuple):
    user: str
    """Without device and agent suffix."""
    domain: str

    def __str__(self) -> str:
        return f"{self.user}@{self.domain}"

    @property
    def phone(self) -> str | None:
        """Digits with country code; E.164 has at most 15."""
        if self.domain == _PHONE_DOMAIN and self.user.isdigit() and 5 <= len(self.user) <= 15:
            return self.user
        return None

    @property
    def lid(self) -> str | None:
        return str(self) if self.domain == "lid" else None


def parse_jid(value: Any) -> Jid | None:
    """Read a JID, also a bare number (the EVOLUTION channel writes those); None if it is none."""
    if isinstance(value, int) and 0 < value < 10**20:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _JID_CHARS_MAX:
        return None
    user, at, domain = value.strip().partition("@")
    number = _NUMBER.fullmatch(user)
    if number:
        user = number.group(1)
    if not at:
        return Jid(user, _PHONE_DOMAIN) if number else None
    domain = domain.lower()
    if not number and not _USER.fullmatch(user):
        return None
    if not _DOMAIN.fullmatch(domain):
        return None
    return Jid(user, _SAME_DOMAIN.get(domain, domain))


def is_public(key: dict[str, Any]) -> bool:
    """Whether this is a status post or a channel post: nobody's conversation."""
    jid = parse_jid(key.get("remoteJid"))
    return jid is not None and (jid.domain == "newsletter" or str(jid) == "status@broadcast")


def poster_of(key: dict[str, Any], own_phone: str | None) -> Chat | None:
    """Whose status post it is; None for every other kind of post."""
    if str(parse_jid(key.get("remoteJid"))) != "status@broadcast":
        return None
    return author_of(key, own_phone)


def chat_of(key: dict[str, Any], *, from_me: bool, own_phone: str | None) -> Chat | None:
    """The chat of a message's key; None when no JID in it can be read."""
    chat = parse_jid(key.get("remoteJid"))
    if chat and (chat.domain == "g.us" or (chat.domain == "broadcast" and from_me)):
        return Chat(jid=str(chat), is_group=True)  # our broadcast list is a chat, as on the phone
    if chat and chat.domain == "broadcast":  # what a customer's broadcast list sent to us
        sender = parse_jid(key.get("participant"))
        names = [sender, parse_jid(key.get("participantAlt"))]
    else:
        previous = parse_jid(key.get("previousRemoteJid"))
        if chat is None or not is_own(chat, own_phone):
            names = [chat, *_sender_jids(key, from_me=from_me, own_phone=own_phone), previous]
        elif from_me and previous and previous.lid:
            names = [previous]  # 2.3.1-2.3.2 put the sender's number, ours, over the customer's LID
        else:
            names = [chat]  # notes to ourselves
    return person_of([jid for jid in names if jid])


def author_of(key: dict[str, Any], own_phone: str | None) -> Chat | None:
    """Who wrote an inbound message of a group; by their phone's JID, where it is known."""
    author = parse_jid(key.get("participant"))
    known = [author] if author else []
    for name in ("participantAlt", "participantPn", "participantLid"):
        value = key.get(name)
        jid = parse_jid(value) if value else None
        if jid and not is_own(jid, own_phone):
            known.append(jid)
    return person_of(sorted(known, key=lambda jid: jid.phone is None))


def person_of(jids: Sequence[Jid]) -> Chat | None:
    """One person by all these names; None when none of them is a person's.

    Only the first may be neither a phone number nor a privacy id.
    """
    jids = [jid for jid in jids if jid.domain not in _NO_PERSON]
    if not jids:
        return None
    return Chat(
        jid=str(jids[0]),
        phone=next((jid.phone for jid in jids if jid.phone), None),
        lid=next((jid.lid for jid in jids if jid.lid), None),
    )


def is_cloud_id(message_id: str) -> bool:
    """Whether a message went through Meta's Cloud API."""
    return message_id.startswith(_WAMID)


def cloud_phone(message_id: str) -> str | None:
    """The customer's number in a message id of Meta's Cloud API; None in any other id.

    ``wamid.`` and base64 of 1c 18, the number's length, its ASCII digits, 15, … (seen in Meta's
    ids; documented nowhere, hence read to the letter).
    """
    if not is_cloud_id(message_id):
        return None
    begin = message_id[len(_WAMID) :][:_WAMID_BEGIN_CHARS]
    try:
        octets = a2b_base64(begin[: len(begin) // 4 * 4], strict_mode=True)
    except (NotBase64, ValueError):
        return None
    if octets[:2] != b"\x1c\x18" or len(octets) < 9:
        return None
    end = 3 + octets[2]
    digits = octets[3:end]
    if not 5 <= len(digits) <= 15 or not digits.isdigit() or octets[end : end + 1] != b"\x15":
        return None
    return digits.decode()


def _sender_jids(key: dict[str, Any], *, from_me: bool, own_phone: str | None) -> list[Jid]:
    """The sender's other names, as far as they may be taken for the chat's."""
    found = []
    for name in ("remoteJidAlt", "senderPn", "senderLid"):
        value = key.get(name)
        jid = parse_jid(value) if value else None
        if jid is None or is_own(jid, own_phone):
            continue
        if from_me and (own_phone is None or not jid.phone):
            continue  # it may be our own and we could not tell
        if jid.phone or jid.lid:
            found.append(jid)
    return found


def is_own(jid: Jid, own_phone: str | None) -> bool:
    """Whether it is the instance's own number, in any of its spellings."""
    return bool(own_phone and jid.phone and phone_key(jid.phone) == phone_key(own_phone))
