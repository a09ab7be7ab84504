"""One message of ``messages.upsert``, ``send.message`` or imported history: who, when, what."""

import hashlib
import json
from typing import Any

from msgspec.structs import replace

from evorelay.model.fact import Chat, Fact, MediaFact, MessageFact, PersonFact, phone_key
from evorelay.protocol.normalise.changes import change_facts
from evorelay.protocol.normalise.content import Content, find_content
from evorelay.protocol.normalise.context import read_association, read_context
from evorelay.protocol.normalise.identity import (
    author_of,
    chat_of,
    cloud_phone,
    is_public,
    poster_of,
)
from evorelay.protocol.normalise.kinds import CHANGES, NOISE, UNKNOWN_KIND, Kind
from evorelay.protocol.normalise.media import media_of
from evorelay.protocol.normalise.metadata import bounded
from evorelay.protocol.normalise.names import person_name
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.states import delivery_of
from evorelay.protocol.normalise.values import (
    cut,
    dig,
    flag_of,
    moment_of,
    short_text,
    timestamp_of,
    url_of,
    whatsapp_id,
)
from evorelay.protocol.normalise.words import kept, kind_of, words

SEND_EVENT = "send.message"
_SEEN_ONCE = ("image", "video", "audio")
_TRANSCRIPT_MARK = "[audio] "
"""What Evolution puts before the words it heard."""


def message_facts(source: Source, row: Any) -> list[Fact]:
    """Read one element of ``data``; nothing where it says nothing, at worst a QuarantineFact."""
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the message is not an object")]
    key = row.get("key")
    if not isinstance(key, dict):
        return [quarantined(Reason.NO_KEY, "the message has no key: no id, no chat")]
    said_from_me = flag_of(key.get("fromMe"))
    from_me = source.event == SEND_EVENT if said_from_me is None else said_from_me
    if is_public(key):
        return _post(source, row, key, from_me=from_me)
    message = row.get("message")
    if message is not None and not isinstance(message, dict):
        return [quarantined(Reason.BAD_DATA, "the content of the message is not an object")]
    message_type = row.get("messageType")
    content = None if message is None else find_content(message, message_type)
    message = message or {}
    if content is None and (source.is_history or _is_nothing(message, message_type)):
        return []
    if content and content.name in CHANGES:
        return change_facts(source, row, key, content, from_me=from_me)
    chat = chat_of(key, from_me=from_me, own_phone=source.own_phone)
    return _message(source, row, key, message, content, chat, from_me=from_me)


def _is_nothing(message: dict[str, Any], message_type: Any) -> bool:
    """Whether devices only talked among themselves: nobody wrote, so nobody misses anything.

    What has a type, or nothing at all in it, was somebody's message and may yet come whole.
    """
    if message_type == "unknown" or (isinstance(message_type, str) and message_type in NOISE):
        return True
    return bool(message) and not isinstance(message_type, str)


def _post(source: Source, row: dict[str, Any], key: dict[str, Any], *, from_me: bool) -> list[Fact]:
    """A post to everybody: nothing, or where that is wanted a status post under who posted it."""
    poster = poster_of(key, source.own_phone)
    message = row.get("message")
    if not source.store_status_posts or from_me or poster is None or not isinstance(message, dict):
        return []
    content = find_content(message, row.get("messageType"))
    if content is None or content.name in CHANGES:
        return []
    facts = _message(source, row, key, message, content, poster, from_me=False)
    return [
        replace(fact, is_history=True, metadata=fact.metadata | {"status_post": True})
        for fact in facts
        if isinstance(fact, MessageFact)
    ]


def _message(
    source: Source,
    row: dict[str, Any],
    key: dict[str, Any],
    message: dict[str, Any],
    content: Content | None,
    chat: Chat | None,
    *,
    from_me: bool,
) -> list[Fact]:
    id_ = whatsapp_id(key.get("id"))
    by_id = None if from_me or id_ is None else cloud_phone(id_)
    is_corrected = by_id is not None and not _is_by(chat, by_id)
    if is_corrected:
        # Only the JID is wrong then: the name comes from the same call of Meta's as the message.
        chat = Chat(jid=f"{by_id}@s.whatsapp.net", phone=by_id)
    if chat is None:
        return [quarantined(Reason.NO_CHAT, "no JID of the message's key can be read")]
    id_ = id_ or _content_id(source, chat, row)
    if id_ is None:
        return [quarantined(Reason.TOO_DEEP, "the message has no id and is nested too deeply")]
    kind = kind_of(content)
    text, media, metadata = _read(kind, content, message)
    if is_corrected:
        metadata["chat_corrected"] = True
    for place in (message, content.message) if media and content else ():
        read_association(metadata, place)
    reply_to = read_context(metadata, row, content, message)
    author = author_of(key, source.own_phone) if chat.is_group and not from_me else None
    fact = MessageFact(
        instance=source.instance,
        whatsapp_id=id_,
        chat=chat,
        from_me=from_me,
        type=kind.type,
        content=text,
        sent_at=moment_of(row.get("messageTimestamp"), source.received_at),
        sender_id=None if from_me else _sender_id(chat, author),
        sender_name=None if from_me else person_name(row.get("pushName")),
        author=author,
        status=_status(source, row, from_me=from_me),
        reply_to=reply_to,
        origin=_origin(source.event) if from_me else None,
        media=media,
        metadata=bounded(metadata) if metadata else metadata,
        is_history=source.is_history,
    )
    picture = url_of(key.get("profilePicUrl")) if "profilePicUrl" in key else None
    if picture is None:
        return [fact]
    person = PersonFact(
        instance=source.instance, person=chat, at=source.received_at, avatar_url=picture
    )
    return [fact, person]


def _is_by(chat: Chat | None, phone: str) -> bool:
    if chat is None or chat.is_group:
        return chat is not None
    return chat.phone is not None and phone_key(chat.phone) == phone_key(phone)


def _sender_id(chat: Chat, author: Chat | None) -> str | None:
    if chat.is_group:
        return author.jid if author else None
    return chat.jid


def _status(source: Source, row: dict[str, Any], *, from_me: bool) -> str | None:
    if not from_me:
        return "received"
    status = delivery_of(row.get("status"))
    # What is in the history was sent; 1.8 often says no more.
    return "sent" if status is None and source.is_history else status


def _origin(event: str) -> str:
    return "api" if event == SEND_EVENT else "phone"


def _read(
    kind: Kind, content: Content | None, message: dict[str, Any]
) -> tuple[str, MediaFact | None, dict[str, Any]]:
    """(what a person reads, attachment, metadata)"""
    if content is None:
        return kind.label, None, {"placeholder": True}
    metadata = kept(kind, content.value) if kind.keep else {}
    if kind is UNKNOWN_KIND:
        metadata["whatsapp_type"] = short_text(content.name, 64)
    text, was_cut = cut(words(kind, content.value))
    if was_cut:
        metadata["content_cut"] = True
    media = None
    for path in kind.media:
        file = dig(content.value, path)
        if isinstance(file, dict):
            media = media_of(file, content.message, message)
            break
    # Businesses wrap their buttons in the same way, to be read as often as one likes.
    if kind.type in _SEEN_ONCE and (content.view_once or dig(content.value, ("viewOnce",)) is True):
        metadata["view_once"] = True
    if media is not None:
        transcription = short_text(message.get("speechToText"))
        if transcription:
            metadata["transcription"] = transcription.removeprefix(_TRANSCRIPT_MARK)
    return text, media, metadata


def _content_id(source: Source, chat: Chat, row: dict[str, Any]) -> str | None:
    """An id for a message that has none, the same for every delivery of it (P2).

    Made from the webhook's own words, so that a replay by a later version finds the same id.
    """
    words_ = [
        source.instance,
        chat.jid,
        timestamp_of(row.get("messageTimestamp")),
        row.get("message"),
    ]
    try:
        text = json.dumps(words_, sort_keys=True)
    except (RecursionError, ValueError):  # ValueError: an integer of more than 4,300 digits
        return None
    return "h:" + hashlib.sha256(text.encode()).hexdigest()
