"""``message/*``: sends, in the bodies of 1.8.2 and of 2.x, as JSON or as a form with a file."""

import base64
import binascii
import mimetypes
import re
from typing import Any

from msgspec.structs import replace

from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import Card, Chat, Message, Person, Place
from evorelay.simulator.media import Media
from evorelay.simulator.rest.call import (
    UPSTREAM_BROKEN,
    Body,
    Call,
    RestError,
    Upload,
    chat_of,
    number_of,
    refuse_unless_connected,
    refuse_unless_reachable,
    require,
)
from evorelay.simulator.rest.wire import Answer, as_json
from evorelay.simulator.sender import Draft, Sender

BASE64_MAX_BYTES = 2 * 1024 * 1024
"""Of a file in JSON from 2.3 on; "a few MB" were seen to fail (research/evolution.md §4.1)."""
_CALL_STACK = "Maximum call stack size exceeded"
_NOT_MEDIA = "Owned media must be a url or base64"
_LINK = re.compile(r"https?://([\w-]+\.)+\w+(:\d+)?/")
"""Evolution wants a host with a dot in it (research/evolution.md §4.1)."""
_MIMETYPES = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "document": "application/octet-stream",
    "sticker": "image/webp",
}
_NOT_HERE = {
    "WHATSAPP-BUSINESS": "Method not available on WhatsApp Business API",
    "EVOLUTION": "Method not available on Evolution Channel",
}


class Sending:
    def __init__(self, sender: Sender, archive: Archive) -> None:
        self._sender = sender
        self._archive = archive

    async def text(self, call: Call) -> Answer:
        if not call.is_v1:
            require(call.body, "number", "text")
        number = number_of(call.body)
        text = _string(_part(call, "textMessage"), "text")
        if not text.strip() and call.station.dialect.links_a_phone:
            raise RestError(400, ["Text is required"])
        if not text:  # Meta refuses it, and Evolution stumbles over the refusal
            raise RestError(400, [UPSTREAM_BROKEN])
        return await self._send(call, number, Draft(kind="text", text=text))

    async def media(self, call: Call) -> Answer:
        number = number_of(call.body)
        part = _part(call, "mediaMessage")
        mediatype = part.get("mediatype")
        if mediatype not in ("image", "video", "audio", "document"):
            raise RestError(400, [["instance.mediatype is not one of enum values"]])
        caption = part.get("caption") or ""
        kind = "captioned document" if mediatype == "document" and caption else mediatype
        if kind == "audio" and not call.station.dialect.links_a_phone:
            kind = "voice"
        media = _file(call, part, "media", mediatype)
        if mediatype == "document" and media.content and not media.filename:
            raise RestError(400, ["For base64 the file name must be informed."])
        return await self._send(call, number, Draft(kind=kind, text=caption, media=media))

    async def audio(self, call: Call) -> Answer:
        number = number_of(call.body)
        media = _file(call, _part(call, "audioMessage"), "audio", "audio")
        return await self._send(call, number, Draft(kind="voice", media=media))

    async def sticker(self, call: Call) -> Answer:
        number = number_of(call.body)
        field = "image" if call.is_v1 else "sticker"
        media = _file(call, _part(call, "stickerMessage"), field, "sticker")
        return await self._send(call, number, Draft(kind="sticker", media=media))

    async def location(self, call: Call) -> Answer:
        number = number_of(call.body)
        part = _part(call, "locationMessage")
        for name in ("latitude", "longitude"):
            if not isinstance(part.get(name), int | float):
                raise RestError(400, [[f'instance requires property "{name}"']])
        place = Place(part["latitude"], part["longitude"], part.get("name"), part.get("address"))
        return await self._send(call, number, Draft(kind="location", place=place))

    async def contact(self, call: Call) -> Answer:
        number = number_of(call.body)
        cards = call.body.get("contactMessage" if call.is_v1 else "contact")
        if not isinstance(cards, list) or not cards:
            raise RestError(400, [['instance requires property "contact"']])
        made = tuple(
            Card(_string(card, "fullName"), card.get("wuid") or _digits(card.get("phoneNumber")))
            for card in cards
            if isinstance(card, dict)
        )
        several = len(made) > 1 and call.station.dialect.links_a_phone
        kind = "contacts" if several else "contact"
        return await self._send(call, number, Draft(kind=kind, text=made[0].name, cards=made))

    async def reaction(self, call: Call) -> Answer:
        part = _part(call, "reactionMessage")
        key = part.get("key")
        emoji = part.get("reaction")
        if not isinstance(key, dict) or not isinstance(key.get("id"), str):
            raise RestError(400, [['instance requires property "key"']])
        if not isinstance(emoji, str):
            raise RestError(400, [['instance requires property "reaction"']])
        jid = str(key.get("remoteJid"))
        chat = chat_of(call.station, jid)
        author = None if key.get("fromMe") or not isinstance(chat, Person) else chat
        target = Message(id=key["id"], row_id="", chat=chat, author=author, sent_ms=0, text="")
        return await self._send(call, jid, Draft(kind="reaction", text=emoji, target=target))

    async def poll(self, call: Call) -> Answer:
        number = number_of(call.body)
        part = _part(call, "pollMessage")
        values = part.get("values")
        if not isinstance(values, list) or len(values) < 2:
            raise RestError(400, [['instance requires property "values"']])
        draft = Draft(kind="poll", text=_string(part, "name"), options=tuple(map(str, values)))
        return await self._send(call, number, draft)

    async def _send(self, call: Call, number: str, draft: Draft) -> Answer:
        station = call.station
        if draft.kind not in station.dialect.takes:
            raise RestError(400, [_NOT_HERE.get(station.dialect.integration, "Bad request")])
        refuse_unless_connected(station)
        refuse_unless_reachable(station, number)
        to = chat_of(station, number)
        delay = call.options.get("delay")
        own_id = call.body.get("messageId")
        whole = replace(
            draft,
            target=draft.target or self._quoted(call, to),
            own_id=own_id if isinstance(own_id, str) and own_id else None,
            delay_ms=delay if isinstance(delay, int) else 0,
        )
        return as_json(await self._sender.send(station, to, whole, call.trouble), 201)

    def _quoted(self, call: Call, chat: Chat) -> Message | None:
        """By id; its words from the database, else from the call."""
        quoted = call.options.get("quoted")
        key = quoted.get("key") if isinstance(quoted, dict) else None
        quoted_id = key.get("id") if isinstance(key, dict) else None
        if not isinstance(quoted_id, str) or not isinstance(quoted, dict):
            return None
        name = call.station.instance.name
        rows = self._archive.find(name, {"key": {"id": quoted_id}})
        content = rows[0]["message"] if rows else quoted.get("message")
        text = content.get("conversation") if isinstance(content, dict) else None
        author = None if isinstance(key, dict) and key.get("fromMe") else chat
        return Message(
            id=quoted_id,
            row_id="",
            chat=chat,
            author=author if isinstance(author, Person) else None,
            sent_ms=0,
            text=text if isinstance(text, str) else "",
        )


def _part(call: Call, v1_name: str) -> Body:
    """Where a send's own fields are: 1.8.2 nests them, 2.x has them beside the number."""
    if not call.is_v1:
        return call.body
    part = call.body.get(v1_name)
    if not isinstance(part, dict):
        raise RestError(400, [[f'instance requires property "{v1_name}"']])
    return part


def _string(part: Body, name: str) -> str:
    value = part.get(name)
    if not isinstance(value, str):
        raise RestError(400, [[f'instance requires property "{name}"']])
    return value


def _file(call: Call, part: Body, field: str, kind: str) -> Media:
    """An uploaded file, base64, or a link, which nobody follows here: the file stays unknown."""
    upload, given = part.get("file"), part.get(field)
    filename, mimetype = part.get("fileName"), part.get("mimetype")
    content, link = b"", None
    if isinstance(upload, Upload):
        content, filename = upload.content, filename or upload.filename
        mimetype = mimetype or upload.mimetype
    elif isinstance(given, str) and _LINK.match(given):
        filename, link = filename or given.rpartition("/")[2], given
    else:
        content = _decoded(given)
        if len(content) > BASE64_MAX_BYTES and call.station.dialect.version >= "2.3":
            raise RestError(500, _CALL_STACK)
    said = mimetype if isinstance(mimetype, str) else None
    guessed = mimetypes.guess_type(filename or "")[0] if filename else None
    name = filename if isinstance(filename, str) else None
    return Media(
        kind,
        said or guessed or _MIMETYPES[kind],
        content,
        filename=name,
        seconds=1 if kind in ("audio", "video") else None,
        width=64 if kind in ("image", "video", "sticker") else None,
        height=64 if kind in ("image", "video", "sticker") else None,
        link=link,
    )


def _decoded(given: Any) -> bytes:
    """Evolution asks for raw base64: with ``data:`` in front it is refused."""
    if not isinstance(given, str) or not given:
        raise RestError(400, [_NOT_MEDIA])
    try:
        return base64.b64decode(given, validate=True)
    except binascii.Error:
        raise RestError(400, [_NOT_MEDIA]) from None


def _digits(phone: Any) -> str:
    return re.sub(r"\D", "", phone) if isinstance(phone, str) else ""
