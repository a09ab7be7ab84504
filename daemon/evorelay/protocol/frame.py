"""WebSocket frames as a server sends them (RFC 6455 §5.2): unmasked, whole, uncompressed.

An unmasked frame is the same for every recipient: encode once, send to a thousand.
"""

from collections.abc import Iterator

_TEXT = 0x81  # FIN | text
_BINARY = 0x82  # FIN | binary


def text_frame(payload: bytes) -> bytes:
    """One complete text frame; ``payload`` is valid UTF-8."""
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """One complete binary frame."""
    return _frame(_BINARY, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def read_frames(frames: bytes) -> Iterator[tuple[bool, bytes]]:
    """Frames made here and joined, taken apart again: (whether it is binary, payload)."""
    at = 0
    while at < len(frames):
        is_binary, size = frames[at] == _BINARY, frames[at + 1]
        at += 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size = int.from_bytes(frames[at : at + width], "big")
            at += width
        yield is_binary, frames[at : at + size]
        at += size
