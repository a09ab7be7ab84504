"""What an agent asked for, checked and put into the outbox's words. Pure.

The row of a reply looks as if its webhook had made it, so that its echo, which joins it, changes
nothing.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import MediaFact
from evorelay.model.outgoing import ContactCard, Location, Outgoing, OutgoingMedia, OutgoingType
from evorelay.protocol.emoji import is_one_emoji
from evorelay.protocol.filetypes import check_fits, kind_of
from evorelay.protocol.phones import read_phone
from evorelay.relay.commands import Reply
from evorelay.relay.message_rows import media_row

FILE_TYPES: tuple[OutgoingType, ...] = ("image", "sticker", "video", "audio", "document")
_WORDLESS = {
    "location": "a location",
    "contact": "a contact",
    "sticker": "a sticker",
    "audio": "audio",
}
_LABELS = {
    "image": "Imagem",
    "video": "Vídeo",
    "audio": "Áudio",
    "document": "Documento",
    "sticker": "Figurinha",
    "location": "Localização",
    "contact": "Contato",
}
"""As in protocol/normalise/kinds/plain.py."""


def digest_of(params: Reply) -> str:
    """What was asked for, in short: two commands of one ``op_id`` must have the same."""
    return hashlib.sha256(msgspec.json.encode(params)).hexdigest()


def check_shape(params: Reply) -> None:
    """Refuse what no file can mend, before one is fetched. Raises ``Refusal``."""
    if params.media is not None and (params.location is not None or params.contacts):
        raise Refusal(Code.BAD_REQUEST, "media: goes with no location and no contacts")
    if params.media is not None and params.type not in (None, *FILE_TYPES):
        raise Refusal(Code.BAD_REQUEST, f"media: goes with no {params.type}; leave type out")
    if "\0" in params.content:
        raise Refusal(Code.BAD_REQUEST, "content: holds a NUL character; leave it out")


def outgoing_of(params: Reply, media: OutgoingMedia | None) -> Outgoing:
    """Raises ``Refusal`` that says what to change."""
    type_ = params.type or _type_of(params, media)
    check_shape(params)
    if params.content and type_ in _WORDLESS:
        raise Refusal(
            Code.BAD_REQUEST,
            f"content: WhatsApp shows no text with {_WORDLESS[type_]}; send it as its own message",
        )
    _CHECKS[type_](params, media)
    location = params.location
    return Outgoing(
        type=type_,
        content=params.content,
        media=media,
        location=None
        if location is None
        else Location(
            latitude=location.latitude,
            longitude=location.longitude,
            name=location.name,
            address=location.address,
        ),
        contacts=[
            ContactCard(
                name=card.name,
                phone=phone_of(card.phone),
                organization=card.organization,
                email=card.email,
                url=card.url,
            )
            for card in params.contacts
        ],
        target=params.reply_to,
        delay_ms=params.delay_ms,
    )


def phone_of(text: str) -> str:
    """Digits with country code. Raises ``Refusal`` for anything else."""
    try:
        return read_phone(text)
    except ValueError as error:
        raise Refusal(Code.BAD_REQUEST, f"phone: {error}") from None


def label_of(outgoing: Outgoing) -> str:
    """What a person reads of it: ``Message.content``."""
    label = f"[{_LABELS[outgoing.type]}]" if outgoing.type in _LABELS else ""
    match outgoing.type:
        case "location" if outgoing.location is not None:
            parts = (outgoing.location.name, outgoing.location.address)
            return " ".join(filter(None, (label, ", ".join(filter(None, parts)))))
        case "contact":
            return f"{label} {', '.join(card.name for card in outgoing.contacts)}"
        case "document" if not outgoing.content and outgoing.media is not None:
            return " ".join(filter(None, (label, outgoing.media.filename)))
    return outgoing.content or label


def media_of(media: OutgoingMedia) -> dict[str, Any]:
    """``MessageRecord.media`` of a file of ours."""
    return media_row(MediaFact(**msgspec.structs.asdict(media)))


def details_of(outgoing: Outgoing) -> dict[str, Any]:
    """``MessageRecord.metadata`` by type, as the normaliser names things."""
    if outgoing.location is not None:
        known = msgspec.to_builtins(outgoing.location)
        return {name: value for name, value in known.items() if value is not None}
    if outgoing.contacts:
        cards = [{"name": card.name, "phones": [card.phone]} for card in outgoing.contacts]
        return {"contacts": cards}
    return {}


def _type_of(params: Reply, media: OutgoingMedia | None) -> OutgoingType:
    if media is not None:
        return kind_of(media)
    if params.location is not None:
        return "location"
    return "contact" if params.contacts else "text"


def _text(params: Reply, media: OutgoingMedia | None) -> None:
    if not params.content.strip():
        raise Refusal(Code.BAD_REQUEST, "content: is empty; write something")
    _nothing_else(params, media)


def _reaction(params: Reply, media: OutgoingMedia | None) -> None:
    if params.reply_to is None:
        raise Refusal(Code.BAD_REQUEST, "reply_to: name the message this is a reaction to")
    if params.is_internal:
        raise Refusal(Code.BAD_REQUEST, "is_internal: a reaction cannot be a note")
    if params.content and not is_one_emoji(params.content):
        raise Refusal(
            Code.BAD_REQUEST, "content: a reaction is one emoji, or empty to take it back"
        )
    _nothing_else(params, media)


def _nothing_else(params: Reply, media: OutgoingMedia | None) -> None:
    if media is not None or params.location is not None or params.contacts:
        raise Refusal(Code.BAD_REQUEST, f"type: {params.type} goes with content alone")


def _file(type_: OutgoingType) -> Callable[[Reply, OutgoingMedia | None], None]:
    def check(params: Reply, media: OutgoingMedia | None) -> None:
        if media is None:
            raise Refusal(Code.BAD_REQUEST, "media: is missing; upload a file or give its url")
        if params.location is not None or params.contacts:
            raise Refusal(Code.BAD_REQUEST, "media: goes with no location and no contacts")
        check_fits(type_, media)

    return check


def _location(params: Reply, media: OutgoingMedia | None) -> None:
    if params.location is None or media is not None or params.contacts:
        raise Refusal(Code.BAD_REQUEST, "location: give it, and neither media nor contacts")


def _contact(params: Reply, media: OutgoingMedia | None) -> None:
    if not params.contacts or media is not None or params.location is not None:
        raise Refusal(Code.BAD_REQUEST, "contacts: give at least one, and no media or location")


_CHECKS: dict[OutgoingType, Callable[[Reply, OutgoingMedia | None], None]] = {
    "text": _text,
    "reaction": _reaction,
    "location": _location,
    "contact": _contact,
    **{type_: _file(type_) for type_ in FILE_TYPES},
}
