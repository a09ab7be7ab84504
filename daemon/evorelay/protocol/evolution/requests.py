"""Replies as the calls that send them, in the words of 1.x and of 2.x (research/evolution.md §4.1).

A file is put last into its body, see ``request.Request``.
"""

from collections.abc import Callable
from typing import Any, Final

from evorelay.config import MIB
from evorelay.model.outgoing import ContactCard, Delivery, Outgoing, OutgoingMedia, Target
from evorelay.protocol.evolution.request import Request
from evorelay.protocol.evolution.version import Server

BASE64_MAX: Final = MIB
"""Base64 of some MB made 2.3.1 and newer fail with "Maximum call stack size exceeded" (#1885)."""

Body = dict[str, Any]


def send_request(server: Server, delivery: Delivery) -> Request:
    """The one call that sends a reply."""
    if delivery.outgoing.type == "reaction":
        return _reaction(server, delivery)
    action, part = _PARTS[delivery.outgoing.type](delivery.outgoing)
    if server.generation == 1:
        return _v1(delivery, action, part)
    return _v2(server, delivery, action, part)


def _v1(delivery: Delivery, action: str, part: Body) -> Request:
    outgoing = delivery.outgoing
    options: Body = {}  # always there: 1.8 reads ``options.encoding`` of audio without looking
    if outgoing.delay_ms:
        options |= {"delay": outgoing.delay_ms, "presence": "composing"}
    if delivery.target is not None:
        options["quoted"] = _quoted(delivery.target)
    name = _V1_NAMES[action]
    return Request(
        method="POST",
        path=f"message/{action}",
        body={
            "number": delivery.number,
            "options": options,
            name: part["contact"] if name == "contactMessage" else _v1_part(action, part),
        },
        file=outgoing.media,
    )


def _v1_part(action: str, part: Body) -> Body:
    if action == "sendSticker":
        return {"image": part["sticker"]}
    return part


def _v2(server: Server, delivery: Delivery, action: str, part: Body) -> Request:
    outgoing = delivery.outgoing
    is_form = outgoing.media is not None and outgoing.media.size > BASE64_MAX
    body: Body = {"number": delivery.number}
    if outgoing.delay_ms and not is_form:  # in a form it is text, where the schema has an integer
        body["delay"] = outgoing.delay_ms
    if delivery.target is not None and is_form:
        # All that is text. A quote that Evolution cannot look up is left out by it, not the file.
        body["quoted[key][id]"] = delivery.target.whatsapp_id
    elif delivery.target is not None:
        body["quoted"] = _quoted(delivery.target)
    if delivery.own_id is not None and server.takes_own_ids:
        body["messageId"] = delivery.own_id
    if is_form:
        part = {key: value for key, value in part.items() if key not in _FILE_KEYS}
    return Request(
        method="POST",
        path=f"message/{action}",
        body=body | part,
        file=outgoing.media,
        is_form=is_form,
    )


def _reaction(server: Server, delivery: Delivery) -> Request:
    assert delivery.target is not None
    part = {"key": _key(delivery.target), "reaction": delivery.outgoing.content}
    body = {"reactionMessage": part} if server.generation == 1 else part
    return Request(method="POST", path="message/sendReaction", body=body)


def _quoted(target: Target) -> Body:
    """Key and text: Evolution may keep no messages to look the quoted one up in."""
    return {"key": _key(target), "message": {"conversation": target.content}}


def _key(target: Target) -> Body:
    key: Body = {"remoteJid": target.jid, "fromMe": target.from_me, "id": target.whatsapp_id}
    if target.participant is not None:
        key["participant"] = target.participant
    return key


def _text(outgoing: Outgoing) -> tuple[str, Body]:
    return "sendText", {"text": outgoing.content}


def _media(outgoing: Outgoing) -> tuple[str, Body]:
    media = _file(outgoing)
    part: Body = {"mediatype": outgoing.type, "mimetype": media.mimetype}
    if outgoing.content:
        part["caption"] = outgoing.content
    if media.filename is not None or outgoing.type == "document":  # which is refused without one
        part["fileName"] = media.filename or "document"
    return "sendMedia", part | {"media": ""}


def _audio(outgoing: Outgoing) -> tuple[str, Body]:
    return ("sendWhatsAppAudio", {"audio": ""}) if _file(outgoing).is_voice else _media(outgoing)


def _sticker(outgoing: Outgoing) -> tuple[str, Body]:
    return "sendSticker", {"sticker": ""}


def _location(outgoing: Outgoing) -> tuple[str, Body]:
    place = outgoing.location
    assert place is not None
    return "sendLocation", {
        "latitude": place.latitude,
        "longitude": place.longitude,
        "name": place.name or "",  # both are required
        "address": place.address or "",
    }


def _contact(outgoing: Outgoing) -> tuple[str, Body]:
    return "sendContact", {"contact": [_card(card) for card in outgoing.contacts]}


def _card(card: ContactCard) -> Body:
    body = {"fullName": card.name, "wuid": card.phone, "phoneNumber": f"+{card.phone}"}
    for key, value in (
        ("organization", card.organization),
        ("email", card.email),
        ("url", card.url),
    ):
        if value is not None:
            body[key] = value
    return body


def _file(outgoing: Outgoing) -> OutgoingMedia:
    assert outgoing.media is not None
    return outgoing.media


_PARTS: dict[str, Callable[[Outgoing], tuple[str, Body]]] = {
    "text": _text,
    "image": _media,
    "video": _media,
    "audio": _audio,
    "document": _media,
    "sticker": _sticker,
    "location": _location,
    "contact": _contact,
}
_V1_NAMES = {
    "sendText": "textMessage",
    "sendMedia": "mediaMessage",
    "sendWhatsAppAudio": "audioMessage",
    "sendSticker": "stickerMessage",
    "sendLocation": "locationMessage",
    "sendContact": "contactMessage",
}
_FILE_KEYS = frozenset({"media", "audio", "sticker"})
