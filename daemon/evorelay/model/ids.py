"""Identifiers: UUIDv7 (RFC 9562) for rows, channel names for what clients subscribe to."""

import secrets
import time
from collections.abc import Callable

NewId = Callable[[], str]


def uuid7(unix_ms: int, random_74_bits: int) -> str:
    """Return the UUIDv7 of a moment; the text sorts by time."""
    rand_a = random_74_bits >> 62
    rand_b = random_74_bits & ((1 << 62) - 1)
    value = unix_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def moment_of(id_: str) -> int | None:
    """Unix ms of a UUIDv7; None for what is none."""
    digits = id_.replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return int(digits[:12], 16)
    except ValueError:
        return None


def new_id() -> str:
    """Return a UUIDv7 of now. Deciding code takes a ``NewId`` argument instead of calling this."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(74))


def ticket_channel(ticket_id: str) -> str:
    return "ticket:" + ticket_id


def inbox_channel(instance: str) -> str:
    return "inbox:" + instance


def instance_channel(instance: str) -> str:
    return "instance:" + instance


CANARY_CHANNEL = "canary"
"""Carries the test messages of health; nobody may subscribe to it (``parse_channel``)."""

ALL_INSTANCES = "*"
"""``instance:*`` carries the state of every instance, for who may see all of them."""


def parse_channel(channel: str) -> tuple[str, str] | None:
    """Split ``kind:name``; None for anything that is not a channel of ours."""
    kind, colon, name = channel.partition(":")
    if not colon or not name or kind not in ("ticket", "inbox", "instance"):
        return None
    return kind, name
