"""One message as Evolution's Baileys channel words it: content, type, and the row around both."""

import base64
from typing import Any, NamedTuple

from evorelay.simulator.cast import Group, Instance, Message
from evorelay.simulator.dialects.keys import message_key, sent_key
from evorelay.simulator.dialects.kinds import KINDS
from evorelay.simulator.dialects.parts import context_of_devices, empty_context
from evorelay.simulator.dialects.protobuf import Choice, Long, as_json
from evorelay.simulator.dialects.traits import Traits

Data = dict[str, Any]

BESIDE = "messageContextInfo"
_CAPTIONED = "documentWithCaptionMessage"
_WITHOUT_CONTEXT = frozenset(
    ("reactionMessage", "pollUpdateMessage", "pollCreationMessage", "pollCreationMessageV3")
)


class _Content(NamedTuple):
    """``data.message``, still neutral, and what was lifted out of it."""

    message: Data
    context: Data | None = None
    has_context: bool = False
    """``data.contextInfo`` is there, if only as null."""
    was_folded: bool = False


def upsert_row(
    traits: Traits, instance: Instance, message: Message, content: Data | None = None
) -> Data:
    """``messages.upsert``. ``content``: what no ``Kind`` describes, a reaction for instance."""
    made = _folded(traits, content or content_of(instance, message))
    row = _row(
        traits,
        instance,
        message,
        made._replace(message=_with_devices(made)),
        key=message_key(traits, instance, message),
        status="DELIVERY_ACK" if message.author else "SERVER_ACK",
        said_name=_said_name(traits, instance, message),
    )
    _add_file(row["message"], message)
    return row


def send_row(
    traits: Traits, instance: Instance, message: Message, content: Data | None = None
) -> Data:
    """``send.message``."""
    neutral = content or content_of(instance, message)
    if traits.is_v1 and "conversation" in neutral:
        neutral = {"extendedTextMessage": {"text": neutral["conversation"]}}
    made = _folded(traits, neutral)
    if traits.other_name and name_of(made.message) not in _WITHOUT_CONTEXT:
        context = _settings(message) | (made.context or {})
        made = made._replace(context=context, has_context=True)
    row = _row(
        traits,
        instance,
        message,
        made,
        key=sent_key(message),
        status="PENDING",
        said_name=traits.sent_name,
    )
    if traits.is_v1:
        # The one place where 1.8.2 forwards a Long as it is.
        row["messageTimestamp"] = {"low": row["messageTimestamp"], "high": 0, "unsigned": True}
    _add_file(row["message"], message)
    return row


def history_row(traits: Traits, instance: Instance, message: Message, status: str) -> Data:
    """One row of ``messages.set``: without devices and files, in 1.8 with a status at its end."""
    row = _row(
        traits,
        instance,
        message,
        _folded(traits, content_of(instance, message)),
        key=message_key(traits, instance, message),
        status=status,
        said_name=_said_name(traits, instance, message),
    )
    if traits.is_v1:
        del row["source"]
        row["status"] = None if message.author else status
    return row


def content_of(instance: Instance, message: Message, *, with_quote: bool = True) -> Data:
    """Neutral ``data.message`` with what it quotes."""
    content = KINDS[message.kind].phone(message)
    quoted = message.quotes
    if quoted is None or not with_quote or KINDS[message.kind].is_about:
        return content
    address = quoted.named if quoted.author else None
    context = empty_context() | {
        "stanzaId": quoted.id,
        "participant": address.primary if address else instance.jid,
        "quotedMessage": content_of(instance, quoted, with_quote=False),
    }
    if "conversation" in content:
        return {"extendedTextMessage": {"text": content["conversation"], "contextInfo": context}}
    return _with_context(content, context)


def name_of(content: Data) -> str:
    """``messageType``: the first key that is content."""
    return next((name for name in content if name != BESIDE), "unknown")


def source_of(message_id: str) -> str:
    """Evolution guesses the device from the id's pattern (research/evolution.md §3.1)."""
    if len(message_id) == 20 and message_id.startswith("3A"):
        return "ios"
    if len(message_id) == 32:
        return "android"
    return "web" if len(message_id) == 22 else "unknown"


def _with_context(content: Data, context: Data) -> Data:
    """Inside a wrapper it stands with the content that the wrapper holds."""
    name = name_of(content)
    inner = content[name]
    if _is_wrapper(inner):
        return content | {name: inner | {"message": _with_context(inner["message"], context)}}
    return content | {name: inner | {"contextInfo": inner.get("contextInfo", {}) | context}}


def _row(
    traits: Traits,
    instance: Instance,
    message: Message,
    content: _Content,
    *,
    key: Data,
    status: str,
    said_name: str | None,
) -> Data:
    row: Data = {"key": key, "pushName": said_name}
    if not traits.is_v1:
        row["status"] = status
    row["message"] = as_json(content.message, traits.form)
    if content.has_context:
        row["contextInfo"] = as_json(content.context, traits.form)
    row["messageType"] = name_of(content.message)
    row["messageTimestamp"] = message.sent_ms // 1000
    row |= {"owner": instance.name} if traits.is_v1 else {"instanceId": instance.id}
    return row | {"source": source_of(message.id)}


def _folded(traits: Traits, content: Data) -> _Content:
    """2.x makes every text a ``conversation`` and takes documents out of their wrapper."""
    content = dict(content)
    if not traits.is_v1:
        extended = content.pop("extendedTextMessage", None)
        if extended is not None:
            context = _folded_quote(traits, extended.get("contextInfo"))
            message = {"conversation": extended["text"], **content}
            return _Content(message, context, context is not None, was_folded=True)
        captioned = content.pop(_CAPTIONED, None)
        if captioned is not None:
            return _Content(content | captioned["message"], was_folded=True)
    name = name_of(content)
    inner = content.get(name)
    if not isinstance(inner, dict) or _is_wrapper(inner) or name in _WITHOUT_CONTEXT:
        return _Content(content)
    context = _folded_quote(traits, inner.get("contextInfo"))
    if context is not None:
        content[name] = inner | {"contextInfo": context}
    return _Content(content, context, has_context=True)


def _folded_quote(traits: Traits, context: Data | None) -> Data | None:
    if context is None or "quotedMessage" not in context:
        return context
    return context | {"quotedMessage": _folded(traits, context["quotedMessage"]).message}


def _with_devices(made: _Content) -> Data:
    content = dict(made.message)
    own = content.pop(BESIDE, None)
    name = name_of(content)
    if own is None and _is_wrapper(content.get(name)) and name != _CAPTIONED:
        return content
    beside = {BESIDE: context_of_devices() | (own or {})}
    return beside | content if made.was_folded else content | beside


def _add_file(content: Data, message: Message) -> None:
    """``base64`` stands beside a file at the top; never beside one in a wrapper."""
    media = message.media
    name = name_of(content)
    if media is None or not media.content:
        return
    if name == _CAPTIONED or not _is_wrapper(content[name]):
        content["base64"] = base64.b64encode(media.content).decode()


def _said_name(traits: Traits, instance: Instance, message: Message) -> str | None:
    author = message.author
    if author is None:
        return traits.sent_name or instance.profile
    if not message.is_nameless:
        return author.name
    address = message.named
    assert address is not None
    return address.primary.partition("@")[0] if isinstance(message.chat, Group) else None


def _settings(message: Message) -> Data:
    return empty_context() | {
        "ephemeralSettingTimestamp": Long(message.sent_ms // 1000 - 172_800, unsigned=False),
        "disappearingMode": {"initiator": Choice(0, "CHANGED_IN_CHAT")},
    }


def _is_wrapper(inner: Any) -> bool:
    return isinstance(inner, dict) and "message" in inner and isinstance(inner["message"], dict)
