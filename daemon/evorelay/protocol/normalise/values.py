"""Readers of single JSON values: a typed value or None, whatever they are given."""

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

Path = tuple[str | Callable[[Any], Any], ...]
"""Steps into a document, see ``dig``."""

KIB = 1024
TEXT_BYTES_MAX = 1024 * KIB
THUMBNAIL_CHARS_MAX = 32 * KIB
ID_CHARS_MAX = 256
SMALL_CHARS_MAX = 4 * KIB
SMALL_ITEMS_MAX = 50

CLOCK_SKEW_MS = 3_600_000

_WHATSAPP_BEGAN_MS = 1_230_768_000_000  # 2009-01-01
_MS_FROM = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973
_INT64 = 1 << 63
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def clean(text: str) -> str:
    """The text without NUL and lone surrogates: neither SQL nor a WebSocket can carry them."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        text = _LONE_SURROGATE.sub("\ufffd", text)
    return text


def text_of(value: Any) -> str | None:
    """A string, or a number written as one; None for anything else."""
    if isinstance(value, str):
        return clean(value)
    number = number_of(value)
    return None if number is None else str(number)


def short_text(value: Any, limit: int = SMALL_CHARS_MAX) -> str | None:
    """A non-empty string of at most ``limit`` characters, longer ones are cut."""
    if not isinstance(value, str) or not value:
        return None
    return clean(value[:limit]) or None


def cut(text: str) -> tuple[str, bool]:
    """The text within ``TEXT_BYTES_MAX`` of UTF-8, and whether something was cut off."""
    if len(text) * 4 <= TEXT_BYTES_MAX:
        return text, False
    data = text.encode()
    if len(data) <= TEXT_BYTES_MAX:
        return text, False
    return data[:TEXT_BYTES_MAX].decode(errors="ignore"), True


def whatsapp_id(value: Any) -> str | None:
    """A message id; None when it is missing, empty or longer than any id WhatsApp makes."""
    text = text_of(value)
    return text if text and len(text) <= ID_CHARS_MAX else None


def number_of(value: Any) -> int | float | None:
    """A finite number of at most 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_INT64 <= value < 2 * _INT64 else None  # also false for NaN


def integer_of(value: Any) -> int | None:
    """An integer written as a number, as digits, or as protobuf's ``{low, high, unsigned}``."""
    if isinstance(value, dict):
        low, high = _plain_int(value.get("low")), _plain_int(value.get("high"))
        if low is None:
            return None
        # low is signed even in unsigned longs
        number = number_of(((high or 0) << 32) + (low & 0xFFFFFFFF))
        return None if number is None else int(number)
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else None
    number = number_of(value)
    return None if number is None else math.trunc(number)


def _plain_int(value: Any) -> int | None:
    return None if isinstance(value, dict) else integer_of(value)


def count_of(value: Any) -> int | None:
    """An integer that counts something: 0 and up."""
    number = integer_of(value)
    return number if number is not None and 0 <= number < _INT64 else None


def flag_of(value: Any) -> bool | None:
    """A boolean, also as a string or a number; None for anything else."""
    if value is True or value in (1, "true", "True"):
        return True
    if value is False or value in (0, "false", "False"):
        return False
    return None


def moment_of(value: Any, received_at: int) -> int:
    """Unix ms of WhatsApp's timestamp (seconds, or ms); ``received_at`` when it is nonsense."""
    moment = timestamp_of(value)
    if moment is None or moment > received_at + CLOCK_SKEW_MS:
        return received_at
    return moment


def timestamp_of(value: Any) -> int | None:
    """Unix ms; None when it is missing or from before WhatsApp."""
    number = integer_of(value)
    if number is None:
        return None
    moment = number if number >= _MS_FROM else number * 1000
    return moment if moment >= _WHATSAPP_BEGAN_MS else None


def iso_moment_of(value: Any, received_at: int) -> int:
    """The same of ISO 8601 with a zone, as ``call`` has it (``2026-11-22T11:00:00.000Z``)."""
    if not isinstance(value, str) or len(value) > 64:
        return moment_of(value, received_at)
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment_of(round(moment.timestamp() * 1000), received_at)
    except (ValueError, OverflowError):
        return moment_of(value, received_at)


def base64_of(value: Any) -> str | None:
    """Small binary as base64: a string as it is, or the ``{"0": 1, …}`` that 2.3.3+ makes of it."""
    if isinstance(value, str):
        small = 0 < len(value) <= THUMBNAIL_CHARS_MAX
        return value if small and value.isascii() and "\0" not in value else None
    if not isinstance(value, dict) or not 0 < len(value) <= THUMBNAIL_CHARS_MAX * 3 // 4:
        return None
    octets = bytearray()
    for index in range(len(value)):
        octet = value.get(str(index))
        if not isinstance(octet, int) or not 0 <= octet <= 255:
            return None
        octets.append(octet)
    return base64.b64encode(octets).decode()


def url_of(value: Any) -> str | None:
    """An address of a web server; a presigned one has some 1,500 characters."""
    if not isinstance(value, str) or not value[:8].lower().startswith(("http://", "https://")):
        return None
    return clean(value) if len(value) <= SMALL_CHARS_MAX else None


def small_of(value: Any) -> Any:
    """A scalar or a list of scalars, bounded, for metadata; None for anything else."""
    if isinstance(value, str):
        return short_text(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        small = [small_of(item) for item in value[:SMALL_ITEMS_MAX] if not isinstance(item, list)]
        return [item for item in small if item is not None] or None
    if isinstance(value, dict):
        return integer_of(value)
    return number_of(value)


def dig(value: Any, path: Path) -> Any:
    """The value at a path of keys, None when it leads nowhere.

    Three steps are special: ``*`` goes on in every item of a list and makes one flat list of what
    is found, ``{}`` reads a string as JSON, and a function is called with what was reached so far.
    """
    for position, step in enumerate(path):
        if step == "*":
            if not isinstance(value, list):
                return None
            rest = path[position + 1 :]
            found = [dig(item, rest) for item in value[:SMALL_ITEMS_MAX]]
            if "*" not in rest:
                return found
            return [item for items in found if items for item in items][:SMALL_ITEMS_MAX]
        if step == "{}":
            value = _json_in(value)
        elif not isinstance(step, str):
            value = step(value)
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def _json_in(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > SMALL_CHARS_MAX:
        return None
    try:
        return msgspec.json.decode(clean(value))
    except (msgspec.DecodeError, RecursionError):
        return None
