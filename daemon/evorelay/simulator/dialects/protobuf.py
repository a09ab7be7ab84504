"""Protobuf values as JSON, in the three forms that Evolution's versions give them.

Up to 2.3.2 protobuf's own: base64, decimal strings, names, no empty lists. From 2.3.3 JavaScript's:
``{"0": 1, …}`` and numbers; 64-bit ones as plain numbers up to 2.3.5, as ``{low, high, unsigned}``
since 2.3.6 (research/evolution.md §0, evolution-live.md).
"""

import base64
from enum import Enum
from typing import Any, NamedTuple


class Long(NamedTuple):
    """A 64-bit integer. Milliseconds are signed ones in WhatsApp's definitions, sizes are not."""

    value: int
    unsigned: bool = True


class Choice(NamedTuple):
    """One value of a protobuf enum."""

    number: int
    name: str


class Form(Enum):
    PROTOBUF = "protobuf"
    NUMBERS = "numbers"
    OBJECTS = "objects"


def as_json(value: Any, form: Form) -> Any:
    """The value with every ``bytes``, ``Long``, ``Choice`` and empty list inside it as in JSON."""
    if isinstance(value, dict):
        return {
            name: as_json(inner, form)
            for name, inner in value.items()
            if inner != [] or form is not Form.PROTOBUF
        }
    if isinstance(value, Long):
        return _long(value, form)
    if isinstance(value, Choice):
        return value.name if form is Form.PROTOBUF else value.number
    if isinstance(value, list):
        return [as_json(inner, form) for inner in value]
    if isinstance(value, bytes):
        return _octets(value, form)
    return value


def _octets(value: bytes, form: Form) -> Any:
    if form is Form.PROTOBUF:
        return base64.b64encode(value).decode()
    return {str(index): octet for index, octet in enumerate(value)}


def _long(long: Long, form: Form) -> Any:
    if form is Form.PROTOBUF:
        return str(long.value)
    if form is Form.NUMBERS:
        return long.value
    low = long.value & 0xFFFFFFFF
    # JavaScript keeps both halves as signed 32-bit numbers, of an unsigned long too.
    signed = low - (1 << 32) if low >= 1 << 31 else low
    return {"low": signed, "high": long.value >> 32, "unsigned": long.unsigned}
