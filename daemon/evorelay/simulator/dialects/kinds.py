"""The table of message kinds: how each one looks in WhatsApp's protobuf, and in Meta's words.

A new kind is one entry of ``KINDS`` and, if it is not spelled out yet, the function it names. Field
names are WhatsApp's; values are neutral (``protobuf.py``) and become JSON per version later. What
is said is ``Message.text`` wherever the kind has words of its own.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from evorelay.simulator.cast import Message
from evorelay.simulator.dialects import cloud_parts as meta
from evorelay.simulator.dialects import files, structured, talk, wrapped

Data = dict[str, Any]
Builder = Callable[[Message], Data]


class Kind(NamedTuple):
    stored_as: str
    """The type of the message in the relay's contract."""
    phone: Builder
    """``data.message`` through a linked phone, without ``messageContextInfo`` and ``base64``."""
    words: Literal["whole", "within", "beside", "none"] = "none"
    """Whether the text of the message is what one reads, a part of it, a transcription, or not in
    it at all."""
    cloud: Builder | None = None
    """The same through Meta's Cloud API; None where that does not carry it."""
    cloud_type: str | None = None
    """``messageType`` there, when it is not the name of the content."""
    media: str | None = None
    """The kind of file it needs."""
    posted: bool = False
    """The EVOLUTION channel carries it: who feeds that posts WhatsApp's own field names."""
    sendable: bool = False
    """Through the API."""
    is_about: bool = False
    """``Message.quotes`` is what it belongs to, not a quotation."""
    theirs_only: bool = False
    """Nobody of the shop would write it."""


def _words(phone: Builder, **more: Any) -> Kind:
    return Kind("text", phone, "whole", **more)


def _answer(phone: Builder, **more: Any) -> Kind:
    return Kind("text", phone, "whole", theirs_only=True, **more)


def _captioned(stored_as: str, media: str, phone: Builder, **more: Any) -> Kind:
    return Kind(stored_as, phone, "whole", media=media, **more)


def _file(stored_as: str, media: str, phone: Builder, **more: Any) -> Kind:
    return Kind(stored_as, phone, "none", media=media, **more)


KINDS: dict[str, Kind] = {
    "text": _words(talk.text, cloud=meta.text, posted=True, sendable=True),
    "link": _words(talk.link, cloud=meta.text),
    "mention": _words(talk.mention),
    "forwarded": _words(talk.forwarded, cloud=meta.text),
    "from an ad": _answer(talk.from_ad),
    "image": _captioned("image", "image", files.image, cloud=meta.file, posted=True, sendable=True),
    "video": _captioned("video", "video", files.video, cloud=meta.file),
    "gif": _captioned("video", "video", files.gif),
    "round video": _file("video", "video", files.round_video),
    "voice": _file("audio", "audio", files.voice, cloud=meta.file, posted=True, sendable=True),
    "transcribed voice": Kind("audio", files.transcribed_voice, "beside", media="audio"),
    "audio": _file("audio", "audio", files.audio),
    "document": _file(
        "document", "document", files.document, cloud=meta.file, posted=True, sendable=True
    ),
    "captioned document": _captioned(
        "document", "document", files.captioned_document, cloud=meta.file, sendable=True
    ),
    "nameless document": _file("document", "document", files.nameless_document),
    "sticker": _file("sticker", "sticker", files.sticker, cloud=meta.file),
    "moving sticker": _file("sticker", "sticker", files.moving_sticker),
    "lottie sticker": Kind("sticker", wrapped.lottie_sticker),
    "sticker pack": Kind("sticker", structured.sticker_pack),
    "location": Kind("location", structured.location, cloud=meta.location, sendable=True),
    "live location": Kind("location", structured.live_location),
    "contact": Kind("contact", structured.contact, "within", cloud=meta.contact, posted=True),
    "contacts": Kind("contact", structured.contacts),
    "poll": Kind("poll", structured.poll, "within", sendable=True),
    "old poll": Kind("poll", structured.old_poll, "within"),
    "button reply": _answer(
        talk.button_reply, cloud=meta.text, cloud_type="interactiveMessage", posted=True
    ),
    "template reply": _answer(talk.template_reply, cloud=meta.text, cloud_type="buttonMessage"),
    "list reply": _answer(
        talk.list_reply, cloud=meta.text, cloud_type="interactiveMessage", posted=True
    ),
    "flow reply": _answer(talk.flow_reply),
    "buttons": Kind("text", talk.buttons, "within"),
    "list": Kind("text", talk.menu, "within"),
    "template": Kind("text", talk.template, "within"),
    "interactive": Kind("text", talk.interactive, "within"),
    "order": Kind("order", structured.order, "within", theirs_only=True),
    "product": Kind("product", structured.product, "within"),
    "catalogue": Kind("product", structured.catalogue),
    "event": Kind("event", structured.event, "within"),
    "group invite": Kind("invite", structured.group_invite, "within"),
    "album": Kind("album", structured.album),
    "album child": _captioned("image", "image", wrapped.album_child, is_about=True),
    "pin": Kind("unsupported", structured.pin, is_about=True),
    "ephemeral": _words(wrapped.ephemeral_text),
    "ephemeral image": _captioned("image", "image", wrapped.ephemeral_image),
    "view once": _file("image", "image", wrapped.view_once),
    "old view once": _file("image", "image", wrapped.old_view_once),
    "view once voice": _file("audio", "audio", wrapped.view_once_voice),
    "call log": Kind("call", structured.call_log),
    "payment request": Kind("payment", structured.payment_request, "within"),
    "placeholder": Kind("unsupported", structured.placeholder, theirs_only=True),
    "of the future": Kind("unsupported", structured.of_the_future, theirs_only=True),
}
"""Names are ours; ``Message.kind`` is one of them."""
