"""Evolution's own sending calls, as commands of the outbox: bodies of 1.x and of 2.x.

1.x nests what is said (``textMessage``) and how (``options``), 2.x has both flat
(research/evolution.md §4.1). What changes whom a message reaches or what it says, and the outbox
cannot do, is refused by name: mentions, files as bytes. What changes only how it looks on the way
(``linkPreview``, ``presence``, ``encoding``) is not looked at.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from evorelay.edge.http.answers import bad_parameter
from evorelay.model.clock import now_ms
from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import new_id
from evorelay.model.views import Message
from evorelay.relay.commands import PhoneSendParams
from evorelay.relay.replies import phone_of

_Fields = dict[str, Any]
_MENTIONS = ("mentionsEveryOne", "mentioned", "mentions")


def reply_of(call: str, instance: str, body: _Fields) -> PhoneSendParams:
    """The command a body means. Raises ``Refusal`` with what to do instead.

    ``op_id`` or ``messageId`` in it make the call repeatable; without one each call is its own.
    """
    known = _CONTENTS.get(call)
    if known is None:
        raise Refusal(
            Code.FORBIDDEN,
            f"{call} is not passed on: every message goes through the outbox, which takes "
            f"{', '.join(_CONTENTS)} here and everything else by "
            "POST /v1/tickets/{ticket_id}/messages",
        )
    nested, content_of = known
    options = _object(body, "options")
    flat = body | options
    for name in _MENTIONS:
        if _mentions_anybody(flat.get(name)):
            raise Refusal(
                Code.BAD_REQUEST, f"{name}: nobody can be mentioned in a message sent here"
            )
    number = flat.get("number")
    if not isinstance(number, str | int) or isinstance(number, bool):
        raise Refusal(Code.BAD_REQUEST, "number: is needed, digits with country code")
    fields = {
        "instance": instance,
        "phone": phone_of(str(number)),
        "op_id": flat.get("op_id") or flat.get("messageId") or new_id(),
        "delay_ms": flat.get("delay") or 0,
        "quoted": _object(_object(flat, "quoted"), "key").get("id"),
        **content_of(_object(body, nested) or body),
    }
    try:
        return msgspec.convert(fields, PhoneSendParams)
    except msgspec.ValidationError as error:
        raise bad_parameter(error) from None


@contextmanager
def callers_words(call: str) -> Iterator[None]:
    """A ``Refusal`` from within names the field as the caller has it: ``text``, not ``content``."""
    try:
        yield
    except Refusal as refusal:
        ours, separator, rest = refusal.message.partition(": ")
        if not separator or re.search(r"\s", ours):
            raise
        field = _CALLERS_NAMES.get(ours, ours.removeprefix("location."))
        if field == "caption" and call == "message/sendText":
            field = "text"
        raise Refusal(refusal.code, f"{field}: {rest}") from None


def answer_of(message: Message, phone: str) -> _Fields:
    """What Evolution would have answered, as far as clients look: success is ``key.id``."""
    return {
        "key": {
            "remoteJid": f"{phone}@s.whatsapp.net",
            "fromMe": True,
            "id": message.whatsapp_id,
        },
        "status": "PENDING",
        "messageTimestamp": now_ms() // 1000,
        "id": message.id,
    }


def _object(body: _Fields, name: str) -> _Fields:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _mentions_anybody(value: object) -> bool:
    """1.x has ``{everyOne, mentioned}``, 2.x a truth and a list."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def _text(said: _Fields) -> _Fields:
    return {"type": "text", "content": said.get("text")}


def _media(said: _Fields) -> _Fields:
    media = {"url": _address(said.get("media")), "filename": said.get("fileName")}
    return {"type": said.get("mediatype"), "content": said.get("caption") or "", "media": media}


def _voice(said: _Fields) -> _Fields:
    return {"type": "audio", "media": {"url": _address(said.get("audio")), "is_voice": True}}


def _location(said: _Fields) -> _Fields:
    names = ("latitude", "longitude", "name", "address")
    # 0 is the equator; what is left empty is left out.
    given = {name: said[name] for name in names if said.get(name) not in (None, "")}
    return {"type": "location", "location": given}


def _address(value: object) -> str:
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value
    raise Refusal(
        Code.BAD_REQUEST,
        "a file is taken by its http(s) address here; to send its bytes, hand them in by "
        "POST /v1/media and send them by POST /v1/tickets/{ticket_id}/messages",
    )


_CONTENTS: dict[str, tuple[str, Callable[[_Fields], _Fields]]] = {
    "message/sendText": ("textMessage", _text),
    "message/sendMedia": ("mediaMessage", _media),
    "message/sendWhatsAppAudio": ("audioMessage", _voice),
    "message/sendLocation": ("locationMessage", _location),
}
"""Where 1.x has what is said, and what it says."""
_CALLERS_NAMES = {
    "content": "caption",
    "phone": "number",
    "delay_ms": "delay",
    "type": "mediatype",
    "media.url": "media",
    "media.filename": "fileName",
}
SENDS = tuple(_CONTENTS)
