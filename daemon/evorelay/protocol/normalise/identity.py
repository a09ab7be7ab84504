"""Who a message is with and who wrote it, from the JIDs in its key.

A chat has up to two names: a phone number (``…@s.whatsapp.net``) and a privacy id (``…@lid``).
Which field holds which depends on the version of Evolution (research: JIDs), and two of them
must not be believed blindly: ``remoteJidAlt`` and ``sender…`` describe the *sender* of the
message, who is ourselves when ``fromMe``. Believing them there would give every customer our
own number or our own LID, and so merge all customers into one.
"""

import re
from typing import Any, NamedTuple

from evorelay.model.fact import Chat, phone_key

_PHONE_DOMAIN = "s.whatsapp.net"
_SAME_DOMAIN = {"c.us": _PHONE_DOMAIN, "hosted": _PHONE_DOMAIN, "hosted.lid": "lid"}
_NUMBER = re.compile(r"\+?([0-9]{1,20})(?:[._][0-9]{1,4})?(?::[0-9]{1,5})?", re.ASCII)
_USER = re.compile(r"[\w.+:-]{1,64}", re.ASCII)
_DOMAIN = re.compile(r"[\w.-]{1,64}", re.ASCII)
_JID_CHARS_MAX = 130


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


def is_public(key: dict[str, Any], *, from_me: bool) -> bool:
    """Whether this is a status post, a channel post or our own broadcast: nobody's conversation."""
    jid = parse_jid(key.get("remoteJid"))
    if jid is None:
        return False
    if jid.domain == "broadcast":
        return jid.user == "status" or from_me
    return jid.domain == "newsletter"


def chat_of(key: dict[str, Any], *, from_me: bool, own_phone: str | None) -> Chat | None:
    """The chat of a message's key; None when no JID in it can be read."""
    chat = parse_jid(key.get("remoteJid"))
    if chat and chat.domain == "g.us":
        return Chat(jid=str(chat), is_group=True)
    if chat and chat.domain == "broadcast":  # what a customer's broadcast list sent to us
        sender = parse_jid(key.get("participant"))
        names = [sender, parse_jid(key.get("participantAlt"))]
    else:
        previous = parse_jid(key.get("previousRemoteJid"))
        if chat and previous and previous.lid and from_me and _is_own(chat, own_phone):
            chat = None  # 2.3.1-2.3.2 put the sender's number, ours, over the customer's LID
        names = [chat, *_sender_jids(key, from_me=from_me, own_phone=own_phone), previous]
    known = [jid for jid in names if jid]
    if not known:
        return None
    return Chat(
        jid=str(known[0]),
        phone=next((jid.phone for jid in known if jid.phone), None),
        lid=next((jid.lid for jid in known if jid.lid), None),
    )


def author_of(key: dict[str, Any], chat: Chat) -> str | None:
    """JID of the person who wrote an inbound message; in a group their phone's, where known."""
    if not chat.is_group:
        return chat.jid
    known = [jid for name in _PARTICIPANTS if (jid := parse_jid(key.get(name)))]
    best = next((jid for jid in known if jid.phone), known[0] if known else None)
    return str(best) if best else None


_PARTICIPANTS = ("participant", "participantAlt", "participantPn")


def _sender_jids(key: dict[str, Any], *, from_me: bool, own_phone: str | None) -> list[Jid]:
    """The sender's other names, as far as they may be taken for the chat's."""
    found = []
    for name in ("remoteJidAlt", "senderPn", "senderLid"):
        value = key.get(name)
        jid = parse_jid(value) if value else None
        if jid is None or _is_own(jid, own_phone):
            continue
        if from_me and (own_phone is None or not jid.phone):
            continue  # it may be our own and we could not tell
        if jid.phone or jid.lid:
            found.append(jid)
    return found


def _is_own(jid: Jid, own_phone: str | None) -> bool:
    return bool(own_phone and jid.phone and phone_key(jid.phone) == phone_key(own_phone))
