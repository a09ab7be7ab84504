"""The kinds of messages that Meta's Cloud API carries, as Evolution passes them on.

Its media have Meta's field names, and the bytes always stand beside them but for stickers; of an
answered button or list only the title is left (research/evolution-live.md).
"""

import base64
from typing import Any

from evorelay.simulator.cast import Message, Place
from evorelay.simulator.dialects.parts import vcard_of

Data = dict[str, Any]


def text(message: Message) -> Data:
    return {"conversation": message.text}


def file(message: Message) -> Data:
    media = message.media
    assert media is not None
    inner: Data = {
        "id": str(700_000_000_000_000 + len(media.content)),
        "sha256": base64.b64encode(media.content[:32]).decode(),
        "mime_type": media.mimetype,
    }
    if media.kind == "audio":
        inner |= {"voice": True, "ptt": True}
    if media.kind == "sticker":
        inner["animated"] = False
    if media.filename:
        inner["filename"] = media.filename
    if message.text and media.kind in ("image", "video", "document"):
        inner["caption"] = message.text
    content: Data = {f"{media.kind}Message": inner}
    if media.kind != "sticker" and media.content:
        content["base64"] = base64.b64encode(media.content).decode()
    return content


_SQUARE = Place(-23.55, -46.63, "Praça da Sé", "São Paulo")


def sent_file(message: Message) -> Data:
    """A file we sent is described by the order itself, with the whole of it inside."""
    media = message.media
    assert media is not None
    given = media.link or base64.b64encode(media.content).decode()
    inner: Data = {"caption": message.text} if message.text else {}
    inner |= {"fileName": media.filename or f"{message.id[-8:]}.bin", "mediaType": media.kind}
    inner["media"] = given
    if media.kind != "audio":
        inner["gifPlayback"] = False
    uploaded = str(900_000_000_000_000 + len(media.content))
    inner |= {"id": media.link or uploaded, "type": "link" if media.link else "id"}
    return {f"{media.kind}Message": inner | {"mimetype": media.mimetype}}


def sent_contact(message: Message) -> Data:
    return {"contact": contact(message)["contactMessage"]}


def location(message: Message) -> Data:
    place = message.place or _SQUARE
    said = {"name": place.name, "address": place.address}
    return {
        "locationMessage": {
            "degreesLatitude": place.latitude,
            "degreesLongitude": place.longitude,
            **{name: value for name, value in said.items() if value is not None},
        }
    }


def contact(message: Message) -> Data:
    if message.cards:
        card = message.cards[0]
        return {"contactMessage": vcard_of(card.name, card.phone)}
    return {"contactMessage": vcard_of(message.text or "Josué Montador")}
