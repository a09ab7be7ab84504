"""The attachment of a message: what it is and where its bytes are."""

import binascii
import re
from typing import Any

from evorelay.model.fact import MediaFact
from evorelay.protocol.normalise.names import one_line
from evorelay.protocol.normalise.values import (
    base64_of,
    count_of,
    flag_of,
    integer_of,
    short_text,
    url_of,
)

_BLOB = re.compile(r"blob:([0-9a-f]{64})")
_BLOB_PREFIX = "blob"
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,")
_FILENAME_CHARS_MAX = 255
_WAVEFORM_VALUES = 64
_LOUDEST = 100


def media_of(content: dict[str, Any], message: dict[str, Any], outer: dict[str, Any]) -> MediaFact:
    """Read ``imageMessage`` and its like.

    ``message`` is the one that holds the content, ``outer`` is ``data.message``: Evolution puts
    ``base64`` and ``mediaUrl`` beside the content, outside of any wrapper. The Cloud API's
    ``send.message`` has what was sent, a URL or base64, in ``media`` instead.

    WhatsApp's own ``url`` is left out: it is encrypted, of no use to anybody but WhatsApp.
    """
    sent = content.get("media")
    sent = sent if isinstance(sent, str) else None
    bytes_text = _first_text(message.get("base64"), outer.get("base64"), sent)
    blob, base64 = _bytes_of(bytes_text)
    return MediaFact(
        mimetype=_first_short(content, "mimetype", "mime_type", "mimeType"),
        blob=blob,
        base64=base64,
        remote_url=url_of(message.get("mediaUrl")) or url_of(outer.get("mediaUrl")) or url_of(sent),
        size=count_of(content.get("fileLength")),
        filename=filename_of(content),
        seconds=_natural(content.get("seconds")),
        width=_natural(content.get("width")),
        height=_natural(content.get("height")),
        thumbnail=base64_of(content.get("jpegThumbnail")),
        is_voice=bool(flag_of(content.get("ptt")) or flag_of(content.get("voice"))),
        is_animated=any(
            flag_of(content.get(name)) for name in ("isAnimated", "animated", "gifPlayback")
        ),
        waveform=waveform_of(content.get("waveform")),
    )


def waveform_of(value: Any) -> list[int] | None:
    """Loudness from 0 to 100, as bytes in base64 or in the object 2.3.3+ makes of bytes.

    WhatsApp's own clients send 64 values of 0 to 100; larger ones are scaled, more are thinned out.
    """
    encoded = base64_of(value)
    if encoded is None:
        return None
    try:
        values = list(binascii.a2b_base64(encoded))
    except binascii.Error:
        return None
    if len(values) > _WAVEFORM_VALUES:
        values = [
            values[index * len(values) // _WAVEFORM_VALUES] for index in range(_WAVEFORM_VALUES)
        ]
    loudest = max(values, default=0)
    if loudest > _LOUDEST:
        values = [value * _LOUDEST // loudest for value in values]
    return values if loudest else None


def filename_of(content: Any) -> str | None:
    """A file's name, fit to be shown: ``foto<RLO>gpj.exe`` ends in ``gpj.exe`` for everybody."""
    if not isinstance(content, dict):
        return None
    name = _first_short(content, "fileName", "filename", "title")
    return (one_line(name) or None) if name else None


def _bytes_of(text: str | None) -> tuple[str | None, str | None]:
    """(blob, base64). Base64 is not decoded here: whoever stores it finds out if it is none."""
    if not text:
        return None, None
    if text.startswith(_BLOB_PREFIX):
        reference = _BLOB.fullmatch(text)  # anything else was kept as text: no bytes in it
        return (reference.group(1) if reference else None), None
    data_url = _DATA_URL.match(text)
    if data_url:
        text = text[data_url.end() :]
    return None, (text if text.isascii() and "\0" not in text else None)


def _first_text(*values: Any) -> str | None:
    return next((v for v in values if isinstance(v, str) and v and not url_of(v)), None)


def _first_short(content: dict[str, Any], *names: str) -> str | None:
    return next(
        (text for name in names if (text := short_text(content.get(name), _FILENAME_CHARS_MAX))),
        None,
    )


def _natural(value: Any) -> int | None:
    number = integer_of(value)
    return number if number is not None and 0 < number < 1 << 31 else None
