"""What a receiver is told, read from the bytes of each protocol the daemon speaks."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw, Struct

from bench.load.wire import CLOSE, TEXT, split_frames

ROOMS = "socketio"
"""A Socket.IO client has one stream, whatever rooms it is in; its place is in the store's log."""


class Told(Struct, frozen=True, gc=False):
    """An event with its place; the last two are those of a new message."""

    channel: str
    offset: int
    whatsapp_id: str | None = None
    content: str = ""


class Chunk(Struct, frozen=True, gc=False):
    """What some bytes say, and what is left of them."""

    rest: bytes
    told: Sequence[Told]
    pings: int = 0
    closed: str | None = None
    """The reason, when the daemon closed the connection."""


class Dialect(Struct, frozen=True):
    read: Callable[[bytes], Chunk]
    gapless: bool
    """Whether a channel's offsets follow each other; otherwise they only grow."""


class _Message(Struct):
    whatsapp_id: str
    content: str


class _Event(Struct):
    type: str
    message: _Message | None = None


class _Publication(Struct):
    data: _Event
    offset: int = 0


class _Push(Struct):
    channel: str
    pub: _Publication | None = None


class _Line(Struct):
    push: _Push | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_event = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_message = msgspec.json.Decoder(_Message).decode


def _read_centrifuge(data: bytes) -> Chunk:
    texts, rest, closed = _texts(data)
    told: list[Told] = []
    pings = 0
    for line in (line for text in texts for line in text.split(b"\n")):
        if line == b"{}":
            pings += 1
            continue
        push = _decode_line(line).push
        if push is None or push.pub is None:
            continue
        event = push.pub.data
        if event.type == "message.created" and event.message is not None:
            message = event.message
            told.append(Told(push.channel, push.pub.offset, message.whatsapp_id, message.content))
        else:
            told.append(Told(push.channel, push.pub.offset))
    return Chunk(rest, told, pings, closed)


def _read_socketio(data: bytes) -> Chunk:
    texts, rest, closed = _texts(data)
    return _packets(texts, rest, closed)


def _read_polled(data: bytes) -> Chunk:
    """``data`` is the payload of one answer, and whole."""
    return _packets(data.split(b"\x1e"), b"", None)


def _texts(data: bytes) -> tuple[list[bytes], bytes, str | None]:
    """Text frames, the bytes left over, and the reason of a close frame."""
    frames, rest = split_frames(data)
    closed = None
    for opcode, payload in frames:
        if opcode == CLOSE:
            closed = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}"
    return [payload for opcode, payload in frames if opcode == TEXT], rest, closed


def _packets(packets: Sequence[bytes], rest: bytes, closed: str | None) -> Chunk:
    told: list[Told] = []
    pings = 0
    for packet in packets:
        if packet == b"2":
            pings += 1
        elif packet == b"1":
            closed = "by a close packet"
        elif packet.startswith(b"42"):
            told += _told(packet[2:])
    return Chunk(rest, told, pings, closed)


def _told(json: bytes) -> list[Told]:
    """None for an event that has no place in the log: it is told once, to who is there."""
    parts = _decode_event(json)
    if len(parts) < 3:
        return []
    offset = int(_decode_text(parts[-1]).partition("-")[0])
    if _decode_text(parts[0]) != "new-message":
        return [Told(ROOMS, offset)]
    message = _decode_message(parts[1])
    return [Told(ROOMS, offset, message.whatsapp_id, message.content)]


CENTRIFUGE = Dialect(_read_centrifuge, gapless=True)
SOCKETIO = Dialect(_read_socketio, gapless=False)
POLLING = Dialect(_read_polled, gapless=False)
