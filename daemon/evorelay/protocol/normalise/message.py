"""One message of ``messages.upsert`` or ``send.message``: who, when, what."""

import hashlib
import json
from typing import Any

import msgspec
from msgspec import Struct

from evorelay.model.fact import Chat, Fact, IgnoredFact, MediaFact, MessageFact
from evorelay.protocol.normalise.content import Content, find_content
from evorelay.protocol.normalise.identity import author_of, chat_of, is_public
from evorelay.protocol.normalise.kinds import EMPTY_KIND, KINDS, NOT_YET, UNKNOWN_KIND, Kind
from evorelay.protocol.normalise.media import media_of
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.states import delivery_of
from evorelay.protocol.normalise.values import (
    KIB,
    Path,
    clean,
    cut,
    dig,
    flag_of,
    moment_of,
    person_name,
    short_text,
    small_of,
    text_of,
    timestamp_of,
    whatsapp_id,
)

METADATA_BYTES_MAX = 16 * KIB
SEND_EVENT = "send.message"

_encode = msgspec.json.Encoder().encode
# What the context of a message (``contextInfo``) says beside the quoted message.
_CONTEXT: dict[str, Path] = {
    "forwarded": ("isForwarded",),
    "forwarding_score": ("forwardingScore",),
    "mentioned": ("mentionedJid",),
    "ad_title": ("externalAdReply", "title"),
    "ad_url": ("externalAdReply", "sourceUrl"),
    "ad_id": ("externalAdReply", "sourceId"),
    "ad_click_id": ("externalAdReply", "ctwaClid"),
}
_NOT_SAID = (None, False, 0, "")
# Protocol messages that change a message; every other one is housekeeping between devices.
_CHANGES = ("REVOKE", 0, "MESSAGE_EDIT", 14, None)


class Source(Struct, frozen=True):
    """What the envelope says about all of its messages."""

    event: str
    instance: str
    received_at: int
    own_phone: str | None
    """The instance's own number."""


def message_fact(source: Source, row: Any) -> Fact:
    """Read one element of ``data``; at worst the answer is a QuarantineFact."""
    if not isinstance(row, dict):
        return quarantined(Reason.BAD_DATA, "the message is not an object")
    key = row.get("key")
    if not isinstance(key, dict):
        return quarantined(Reason.NO_KEY, "the message has no key: no id, no chat")
    said_from_me = flag_of(key.get("fromMe"))
    from_me = source.event == SEND_EVENT if said_from_me is None else said_from_me
    if is_public(key, from_me=from_me):
        return IgnoredFact(event=source.event)

    message = row.get("message")
    if message is not None and not isinstance(message, dict):
        return quarantined(Reason.BAD_DATA, "the content of the message is not an object")
    message_type = row.get("messageType")
    content = find_content(message or {}, message_type)
    if content is None and (message is None or message or message_type == "unknown"):
        return IgnoredFact(event=source.event)
    if content and content.name in NOT_YET:
        return _change(source, content)

    chat = chat_of(key, from_me=from_me, own_phone=source.own_phone)
    if chat is None:
        return quarantined(Reason.NO_CHAT, "no JID of the message's key can be read")
    message = message or {}
    id_ = whatsapp_id(key.get("id")) or _content_id(source, chat, row)
    if id_ is None:
        return quarantined(Reason.TOO_DEEP, "the message has no id and is nested too deeply")
    kind, text, media, metadata = _read(content, message)
    reply_to = _read_context(metadata, row, content, message)
    return MessageFact(
        instance=source.instance,
        whatsapp_id=id_,
        chat=chat,
        from_me=from_me,
        type=kind.type,
        content=text,
        sent_at=moment_of(row.get("messageTimestamp"), source.received_at),
        sender_id=None if from_me else author_of(key, chat),
        sender_name=None if from_me else person_name(row.get("pushName")),
        status=delivery_of(row.get("status")) if from_me else "received",
        reply_to=reply_to,
        origin=_origin(source.event) if from_me else None,
        media=media,
        metadata=_bounded(metadata) if metadata else metadata,
    )


def _origin(event: str) -> str:
    return "api" if event == SEND_EVENT else "phone"


def protocol_fact(event: str, data: Any) -> Fact:
    """``messages.edited`` and ``send.message.update``, whose data is a protocol message.

    Everything that is no edit and no revoke is housekeeping between WhatsApp's devices, secret
    keys included.
    """
    if not isinstance(data, dict):
        return quarantined(Reason.BAD_DATA, "the edit is not an object")
    if data.get("type") in _CHANGES:
        return quarantined(Reason.NOT_YET_SUPPORTED, "an edit or a deletion")
    return IgnoredFact(event=event)


def _change(source: Source, content: Content) -> Fact:
    if content.name == "protocolMessage":
        return protocol_fact(source.event, content.value)
    return quarantined(Reason.NOT_YET_SUPPORTED, f"{content.name} changes another message")


def _read(
    content: Content | None, message: dict[str, Any]
) -> tuple[Kind, str, MediaFact | None, dict[str, Any]]:
    """(kind, what a person reads, attachment, metadata)"""
    if content is None:
        return EMPTY_KIND, EMPTY_KIND.label, None, {}
    kind = KINDS.get(content.name, UNKNOWN_KIND)
    metadata: dict[str, Any] = {}
    if kind is UNKNOWN_KIND:
        metadata["whatsapp_type"] = short_text(content.name, 64)
    for name, path in kind.keep.items():
        value = small_of(dig(content.value, path))
        if value is not None and value is not False:
            metadata[name] = value
    if content.view_once:
        metadata["view_once"] = True
    text, was_cut = cut(_words(kind, content.value))
    if was_cut:
        metadata["content_cut"] = True
    media = None
    if kind.media and isinstance(content.value, dict):
        media = media_of(content.value, content.message, message)
        transcription = short_text(message.get("speechToText"))
        if transcription:
            metadata["transcription"] = transcription
    return kind, text, media, metadata


def _words(kind: Kind, value: Any) -> str:
    if isinstance(value, str) and value:  # a bare text, whatever type was to hold it
        return clean(value)
    for path in kind.text:
        text = text_of(dig(value, path))
        if text:
            return text
    for path in kind.detail:
        text = short_text(dig(value, path))
        if text:
            return f"{kind.label} {text}"
    return kind.label


def _read_context(
    metadata: dict[str, Any],
    row: dict[str, Any],
    content: Content | None,
    message: dict[str, Any],
) -> str | None:
    """Add what ``contextInfo`` says to the metadata; return the id of the quoted message.

    It stands beside the message (2.x), in it (Cloud API) or in the content (1.8, wrapped).
    """
    places = [row, message]
    if content:
        places += [content.message, content.value]
    quoted = None
    for place in places:
        context = place.get("contextInfo") if isinstance(place, dict) else None
        if not isinstance(context, dict):
            continue
        quoted = quoted or whatsapp_id(context.get("stanzaId"))
        for name, path in _CONTEXT.items():
            if path[0] in context:
                value = small_of(dig(context, path))
                if value not in _NOT_SAID:
                    metadata.setdefault(name, value)
    return quoted


def _bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata within ``METADATA_BYTES_MAX`` as JSON; what is largest goes first."""
    if len(_encode(metadata)) <= METADATA_BYTES_MAX:
        return metadata
    kept: dict[str, Any] = {"metadata_cut": True}
    room = METADATA_BYTES_MAX - 64
    for size, name in sorted((len(_encode(value)), name) for name, value in metadata.items()):
        room -= size + len(name) + 4
        if room < 0:
            break
        kept[name] = metadata[name]
    return kept


def _content_id(source: Source, chat: Chat, row: dict[str, Any]) -> str | None:
    """An id for a message that has none, the same for every delivery of it (P2).

    Made from the webhook's own words, so that a replay by a later version finds the same id.
    """
    words = [
        source.instance,
        chat.jid,
        timestamp_of(row.get("messageTimestamp")),
        row.get("message"),
    ]
    try:
        text = json.dumps(words, sort_keys=True)
    except (RecursionError, ValueError):  # ValueError: an integer of more than 4,300 digits
        return None
    return "h:" + hashlib.sha256(text.encode()).hexdigest()
