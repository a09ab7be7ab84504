"""What changes another message: reactions, edits, deletions.

A change is joined to its message by id alone: the key inside is written from the point of view of
whoever changed it, where ``fromMe`` and ``remoteJid`` are not ours (research: edits and deletes).
"""

from typing import Any

from msgspec.structs import replace

from evorelay.model.change import OURSELVES, THE_OTHER, Edit, Reaction, Revoke
from evorelay.model.fact import ChangeFact, Chat, Fact, PersonFact
from evorelay.protocol.normalise.content import Content, find_content
from evorelay.protocol.normalise.identity import author_of, chat_of, parse_jid
from evorelay.protocol.normalise.names import person_name
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import (
    CLOCK_SKEW_MS,
    cut,
    flag_of,
    moment_of,
    text_of,
    timestamp_of,
    whatsapp_id,
)
from evorelay.protocol.normalise.votes import upsert_votes
from evorelay.protocol.normalise.words import kind_of, words

_EMOJI_CHARS_MAX = 64
# WhatsApp's ProtocolMessage.Type and SecretEncType, by name and number.
_REVOKE = ("REVOKE", 0, "0")
_EDIT = ("MESSAGE_EDIT", 14, "14")
_SECRET_EDIT = ("MESSAGE_EDIT", 2, "2")


def change_facts(
    source: Source, row: dict[str, Any], key: dict[str, Any], content: Content, *, from_me: bool
) -> list[Fact]:
    """A message that changes another one; nothing where only WhatsApp's devices can read it."""
    value = content.value
    if not isinstance(value, dict):
        return [quarantined(Reason.BAD_DATA, "what changes a message is not an object")]
    match content.name:
        case "reactionMessage" | "pollUpdateMessage":
            return _personal(source, row, key, content, from_me=from_me)
        case "protocolMessage":
            return _signed(_protocol(source, value, row.get("messageTimestamp")), key)
        case "editedMessage":
            return _signed(_edited(source, row, key, value), key)
        case "secretEncryptedMessage" if value.get("secretEncType") in _SECRET_EDIT:
            at = row.get("messageTimestamp")
            found = _edit(source, _target(value.get("targetMessageKey")), None, at)
            return _signed(found, key)
    return []


def _signed(facts: list[Fact], key: dict[str, Any]) -> list[Fact]:
    """The changes with who made them: here, unlike in ``messages.edited``, the key around tells."""
    from_me = flag_of(key.get("fromMe"))
    jid = parse_jid(key.get("remoteJid"))
    is_group = jid is not None and jid.domain == "g.us"
    return [
        replace(fact, change=replace(fact.change, by_us=from_me))
        if isinstance(fact, ChangeFact)
        and (isinstance(fact.change, Edit) or (isinstance(fact.change, Revoke) and not is_group))
        else fact
        for fact in facts
    ]


def edited_facts(source: Source, row: Any) -> list[Fact]:
    """``messages.edited`` and ``send.message.update``, whose data is a protocol message.

    Everything that is no edit and no deletion is housekeeping between WhatsApp's devices, secret
    keys included.
    """
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the edit is not an object")]
    if "type" not in row and isinstance(row.get("message"), dict):
        content = find_content(row["message"], row.get("messageType"))
        key = row.get("key")
        if content and isinstance(content.value, dict) and isinstance(key, dict):
            if content.name == "editedMessage":
                return _edited(source, row, key, content.value)
            if content.name == "protocolMessage":
                return _protocol(source, content.value, row.get("messageTimestamp"))
    return _protocol(source, row, None)


def deleted_facts(source: Source, row: Any) -> list[Fact]:
    """``messages.delete``: a bare key, a key with a status, a row of Evolution's database, an id.

    Such a row has an ``id`` of its own, so a ``key`` inside it comes first.
    """
    if isinstance(row, dict):
        named = row.get("keys")
        if isinstance(named, list):  # Baileys' own form
            return [fact for one in named for fact in _revoke(source, _target(one), None)]
        key = row.get("key", row)
        id_ = whatsapp_id(row.get("keyId")) or _target(key)
    else:
        id_ = whatsapp_id(row) if isinstance(row, str) else None
    if id_ is None:
        return [quarantined(Reason.NO_ID, "the deletion names no message")]
    return _revoke(source, id_, None)


def edit_of(source: Source, id_: str | None, message: Any, said_at: Any) -> list[Fact]:
    """The edit that made a message say what ``message`` says."""
    content = find_content(message, None) if isinstance(message, dict) else None
    if content and content.name == "protocolMessage" and isinstance(content.value, dict):
        protocol = content.value
        if _target(protocol.get("key")) is None:
            protocol = {**protocol, "key": {"id": id_}}
        return _protocol(source, protocol, said_at)
    return _edit(source, id_, _text(message), said_at)


def pair_facts(source: Source, person: Chat | None) -> list[Fact]:
    """That two ids are one person, where a change is all that says so."""
    if person is None or not (person.phone and person.lid):
        return []
    return [PersonFact(instance=source.instance, person=person, at=source.received_at)]


def _personal(
    source: Source, row: dict[str, Any], key: dict[str, Any], content: Content, *, from_me: bool
) -> list[Fact]:
    """What somebody did to a message, and there is one of each per person."""
    chat = chat_of(key, from_me=from_me, own_phone=source.own_phone)
    author = None
    if chat and not from_me:
        author = author_of(key, source.own_phone) if chat.is_group else chat
    if author is None and not from_me:
        return [quarantined(Reason.NO_CHAT, "nothing says who reacted or voted")]
    if author is None:
        who = OURSELVES
    else:
        who = author.aliases[0] if chat and chat.is_group else THE_OTHER
    if content.name == "pollUpdateMessage":
        name = None if from_me else person_name(row.get("pushName"))
        found = upsert_votes(source, row, content.value, who, author, name)
    else:
        found = _reaction(source, row, content.value, who, author)
    return [*found, *pair_facts(source, author)]


def _reaction(
    source: Source, row: dict[str, Any], value: dict[str, Any], who: str, author: Chat | None
) -> list[Fact]:
    id_ = _target(value.get("key"))
    if id_ is None:
        return [quarantined(Reason.NO_ID, "the reaction names no message")]
    said_at = moment_of(row.get("messageTimestamp"), source.received_at)
    moment = timestamp_of(value.get("senderTimestampMs"))
    reaction = Reaction(
        who=who,
        emoji=(text_of(value.get("text")) or "")[:_EMOJI_CHARS_MAX],
        at=said_at if moment is None else moment_of(moment, source.received_at),
        sender_id=author.jid if author else None,
        sender_name=person_name(row.get("pushName")) if author else None,
    )
    return [ChangeFact(instance=source.instance, whatsapp_id=id_, change=reaction)]


def _edited(
    source: Source, row: dict[str, Any], key: dict[str, Any], value: dict[str, Any]
) -> list[Fact]:
    """1.8's ``editedMessage``: a protocol message inside, or bare the new content."""
    return edit_of(source, _target(key), value.get("message"), row.get("messageTimestamp"))


def _protocol(source: Source, value: dict[str, Any], said_at: Any) -> list[Fact]:
    type_ = value.get("type")
    id_ = _target(value.get("key"))
    if type_ in _EDIT or (type_ is None and value.get("editedMessage")):
        at = value.get("timestampMs") or said_at
        return _edit(source, id_, _text(value.get("editedMessage")), at)
    if type_ in _REVOKE and type_ is not False:
        return _revoke(source, id_, said_at)
    return []


def _edit(source: Source, id_: str | None, text: str | None, said_at: Any) -> list[Fact]:
    if id_ is None:
        return [quarantined(Reason.NO_ID, "the edit names no message")]
    at = timestamp_of(said_at)
    if at is not None and at > source.received_at + CLOCK_SKEW_MS:
        at = None
    change = Edit(content=text, at=at, seen_at=source.received_at)
    return [ChangeFact(instance=source.instance, whatsapp_id=id_, change=change)]


def _revoke(source: Source, id_: str | None, said_at: Any) -> list[Fact]:
    if id_ is None:
        return [quarantined(Reason.NO_ID, "the deletion names no message")]
    change = Revoke(at=moment_of(said_at, source.received_at))
    return [ChangeFact(instance=source.instance, whatsapp_id=id_, change=change)]


def _text(message: Any) -> str | None:
    """What a message says after it was edited; None when it cannot be read."""
    content = find_content(message, None) if isinstance(message, dict) else None
    return None if content is None else cut(words(kind_of(content), content.value))[0]


def _target(key: Any) -> str | None:
    return whatsapp_id(key.get("id")) if isinstance(key, dict) else None
