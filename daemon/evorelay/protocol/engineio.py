"""Engine.IO protocol 4: packets, polling payloads, and which request is at fault. No IO.

A packet is a digit and its data; a message of bytes has no digit. On a WebSocket every packet is a
message of its own. A polling payload is packets joined by 0x1E, bytes among them as ``b`` and
base64. Source: socketio/socket.io, docs/engine.io-protocol/v4-current.md; which error goes with
which fault is read off its reference server.

What is pushed to clients is WebSocket frames whatever the transport (``frame.py``), so that an
event is encoded once; ``payload_of`` makes a polling payload of them.
"""

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Sequence
from enum import Enum
from typing import Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from evorelay.protocol.frame import read_frames, text_frame

VERSION = "4"
PACKETS_MAX = 10_000
"""In one payload. A client joins what it has to say while one POST is under way."""
_SEPARATOR = b"\x1e"
_FIELDS_MAX = 32
"""In a query string; the protocol has three, and a time against caches."""

TransportName = Literal["polling", "websocket"]


class Kind(Enum):
    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


_KINDS = {kind.value: kind for kind in Kind}


class Packet(Struct, frozen=True):
    kind: Kind
    data: str | bytes = ""
    """Bytes only with MESSAGE."""


class Fault(Enum):
    """What is wrong with a request: Engine.IO's code and words, and the HTTP status."""

    UNKNOWN_TRANSPORT = (0, "Transport unknown", 400)
    UNKNOWN_SID = (1, "Session ID unknown", 400)
    BAD_METHOD = (2, "Bad handshake method", 400)
    BAD_REQUEST = (3, "Bad request", 400)
    FORBIDDEN = (4, "Forbidden", 403)
    UNSUPPORTED_VERSION = (5, "Unsupported protocol version", 400)

    def __init__(self, code: int, message: str, status: int) -> None:
        self.code = code
        self.message = message
        self.status = status

    @property
    def body(self) -> bytes:
        """The JSON that clients are told."""
        return msgspec.json.encode({"code": self.code, "message": self.message})


class Query(Struct, frozen=True):
    """What the query string says; an empty ``sid`` is none, as in the reference."""

    version: str
    transport: str
    sid: str


class Opening(Struct, frozen=True, rename="camel"):
    """The first packet. Times in milliseconds; ``max_payload`` in bytes, of one POST."""

    sid: str
    upgrades: Sequence[TransportName]
    ping_interval: int
    ping_timeout: int
    max_payload: int

    @property
    def packet(self) -> bytes:
        return b"0" + msgspec.json.encode(self)


CLOSE = text_frame(b"1")
PING = text_frame(b"2")
NOOP = text_frame(b"6")
PROBE = "probe"
"""The data of the ping that tries a new transport, and of its answer."""
PROBED = text_frame(b"3probe")


def message_frame(data: bytes) -> bytes:
    """A message of text, which is valid UTF-8 and holds no 0x1E (JSON escapes it).

    A message of bytes is ``frame.binary_frame`` of them.
    """
    return text_frame(b"4" + data)


def payload_of(frames: Sequence[bytes]) -> bytes:
    """A polling payload of what was pushed; each element is one frame or several."""
    return _SEPARATOR.join(
        b"b" + b64encode(data) if is_binary else data
        for joined in frames
        for is_binary, data in read_frames(joined)
    )


def decode_packet(message: str | bytes) -> Packet:
    """A packet that came as a WebSocket message. Raises ValueError for what is none."""
    if isinstance(message, bytes):
        return Packet(Kind.MESSAGE, message)
    if message[:1] == "b":
        return Packet(Kind.MESSAGE, a2b_base64(message[1:], strict_mode=True))
    kind = _KINDS.get(message[:1])
    if kind is None:
        raise ValueError("a packet begins with a digit from 0 to 6")
    return Packet(kind, message[1:])


def decode_payload(body: bytes) -> list[Packet]:
    """The packets of a POST. Raises ValueError when one of them is none, or there are too many."""
    parts = body.split(_SEPARATOR, PACKETS_MAX)
    if len(parts) > PACKETS_MAX:
        raise ValueError(f"more than {PACKETS_MAX} packets")
    return [decode_packet(part.decode()) for part in parts]


def read_query(target: str) -> Query:
    """Read a request target's query string. Raises ValueError for one that can be read two ways."""
    fields = parse_qsl(target.partition("?")[2], keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    known = [(name, value) for name, value in fields if name in ("EIO", "transport", "sid")]
    values = dict(known)
    if len(values) != len(known):
        raise ValueError("a field is given twice")
    return Query(values.get("EIO", ""), values.get("transport", ""), values.get("sid", ""))


def find_fault(
    query: Query, method: str, *, is_upgrade: bool, current: TransportName | None
) -> Fault | None:
    """Why a request cannot be served, None when it can.

    ``current`` is the transport of the session that ``query.sid`` names, None where there is none.
    A WebSocket for a session that has one already is not at fault here: it is closed when it has
    been opened, as the protocol wants it.
    """
    if query.transport not in ("polling", "websocket"):
        return Fault.UNKNOWN_TRANSPORT
    if query.sid and current is None:
        return Fault.UNKNOWN_SID
    if not query.sid and method != "GET":
        return Fault.BAD_METHOD
    if (query.transport == "websocket") != is_upgrade or method not in ("GET", "POST"):
        return Fault.BAD_REQUEST
    if query.sid and not is_upgrade and query.transport != current:
        return Fault.BAD_REQUEST
    if query.version != VERSION:
        return Fault.UNSUPPORTED_VERSION
    return None
