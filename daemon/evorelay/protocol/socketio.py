"""Socket.IO protocol 5: packets as text (and binary attachments) and back. A codec, no IO.

A packet is one Engine.IO message, ``<type>[<n>-][<namespace>,][<ack id>][JSON]``; ``n`` binary
messages follow a type 5 or 6, each standing for a ``{"_placeholder":true,"num":i}`` in its JSON
(socketio/socket.io ``docs/socket.io-protocol/v5-current.md``). What goes out are complete WebSocket
frames of whole Engine.IO packets, whatever the transport: encoded once, for as many as there are.
"""

import re
from enum import IntEnum
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from evorelay.protocol.engineio import message_frame
from evorelay.protocol.frame import binary_frame

ATTACHMENTS_MAX = 10
"""Of one packet; the reference's own default."""
ATTACHMENT_BYTES_MAX = 1024 * 1024
"""All attachments of one packet together."""
MAIN = "/"
"""The namespace that is not written."""
RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""What a client library calls its own events; none may come from outside."""
MENDED_CHARS_MAX = 128 * 1024
"""Of JSON that may hold half a character: to look through this much takes at most 11 ms."""
_ACK_ID_MAX = (1 << 53) - 1
"""JavaScript counts no further."""
_HEAD = re.compile(
    r"(?P<kind>[0-6])(?:(?<=[56])(?P<attachments>[0-9]{1,9})-)?"
    r"(?P<namespace>/[^,\x00-\x1f\x7f]{0,127}(?:,|$))?(?P<id>[0-9]{0,16})"
)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


class Kind(IntEnum):
    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


_WHOLE = {Kind.BINARY_EVENT: Kind.EVENT, Kind.BINARY_ACK: Kind.ACK}
"""What a packet is when its attachments are in their places."""


class Packet(Struct, frozen=True):
    kind: Kind
    namespace: str = MAIN
    id: int | None = None
    """Of an event: its sender wants an answer under this id; of an ack: the event's."""
    data: Any = None
    """Connect: an object, ``{}`` when there was none. Event: a list, the name first. Ack: a list.
    Connect error: an object or a string."""
    attachments: int = 0
    """Binary messages that are still to come."""


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def decode(text: str) -> Packet:
    """One packet, without its attachments. Raises ``ValueError`` for anything malformed."""
    head = _HEAD.match(text)
    if head is None:
        raise ValueError("unknown packet type")
    kind = Kind(int(head["kind"]))
    attachments = int(head["attachments"] or 0)
    if (kind in _WHOLE) != (0 < attachments <= ATTACHMENTS_MAX):
        raise ValueError(f"a packet has 1 to {ATTACHMENTS_MAX} attachments, or none")
    id_ = int(head["id"]) if head["id"] else None
    if id_ is not None and id_ > _ACK_ID_MAX:
        raise ValueError("ack id out of range")
    namespace = (head["namespace"] or MAIN).removesuffix(",")
    data = _payload(kind, text[head.end() :])
    if kind in (Kind.ACK, Kind.BINARY_ACK) and id_ is None:
        raise ValueError("an ack names no event")
    return Packet(kind, namespace, id_, data, attachments)


def _payload(kind: Kind, json: str) -> Any:
    """What a packet says, in the shape that its type has."""
    if not json:
        if kind is Kind.CONNECT:
            return {}
        if kind is Kind.DISCONNECT:
            return None
        raise ValueError(f"{kind.name} without a payload")
    try:
        data = _decode(_with_whole_characters(json))
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(f"malformed payload: {error}") from None
    if not _is_shaped(kind, data):
        raise ValueError(f"the payload is not one of {kind.name}")
    return data


def _with_whole_characters(json: str) -> str:
    """JavaScript cuts a text in the middle of an emoji and writes the half of it as an escape.

    That is no character; it becomes the one that stands for those. JSON too long for that is left
    as it is, and so malformed.
    """
    if len(json) > MENDED_CHARS_MAX or ("\\ud" not in json and "\\uD" not in json):
        return json
    return _ESCAPE.sub(lambda found: "\ufffd" if found["half"] else found[0], json)


def _is_shaped(kind: Kind, data: Any) -> bool:
    match kind:
        case Kind.CONNECT:
            return isinstance(data, dict)
        case Kind.DISCONNECT:
            return False
        case Kind.CONNECT_ERROR:
            return isinstance(data, dict | str)
        case Kind.ACK | Kind.BINARY_ACK:
            return isinstance(data, list)
        case Kind.EVENT | Kind.BINARY_EVENT:
            return isinstance(data, list) and bool(data) and _is_name(data[0])


def _is_name(name: Any) -> bool:
    if isinstance(name, str):
        return name not in RESERVED
    return isinstance(name, int | float) and not isinstance(name, bool)


class Assembler:
    """Engine.IO messages to whole packets: what came in attachments is put in its place.

    After a ``ValueError`` the connection is to be ended; nothing more may be given to it.
    """

    def __init__(self) -> None:
        self._text = ""
        """Of a packet whose attachments are still to come. Read, it may be 20 times as large."""
        self._due = 0
        self._attachments: list[bytes] = []
        self._size = 0

    def take(self, message: str | bytes) -> Packet | None:
        """The packet a message completes; None when attachments are still to come."""
        if isinstance(message, str):
            if self._due:
                raise ValueError("a packet came where an attachment was due")
            packet = decode(message)
            if not packet.attachments:
                return packet
            self._text, self._due = message, packet.attachments
            return None
        if not self._due:
            raise ValueError("an attachment came with no packet before it")
        self._attachments.append(message)
        self._size += len(message)
        if self._size > ATTACHMENT_BYTES_MAX:
            raise ValueError(f"attachments of over {ATTACHMENT_BYTES_MAX} bytes")
        if len(self._attachments) < self._due:
            return None
        packet = decode(self._text)
        try:
            data = _with_attachments(packet.data, dict(enumerate(self._attachments)))
        except RecursionError:
            raise ValueError("the payload is nested too deeply") from None
        self._text, self._due, self._attachments, self._size = "", 0, [], 0
        return replace(packet, kind=_WHOLE[packet.kind], data=data, attachments=0)


def _with_attachments(data: Any, attachments: dict[int, bytes]) -> Any:
    """Put each of ``attachments`` in one place, and take it out of them.

    One in ten thousand places would be gigabytes to whoever writes the packet down again.
    """
    if isinstance(data, list):
        return [_with_attachments(item, attachments) for item in data]
    if not isinstance(data, dict):
        return data
    if data.get("_placeholder") is not True:
        return {name: _with_attachments(item, attachments) for name, item in data.items()}
    number = data.get("num")
    if type(number) is not int or number not in attachments:
        raise ValueError("a placeholder for an attachment that there is not, or not any more")
    return attachments.pop(number)


def encode_event(name: str, *args: Any, namespace: str = MAIN, id_: int | None = None) -> bytes:
    """Frames of an event. ``bytes`` anywhere in lists and dicts of ``args`` go as attachments."""
    return _frames(Kind.EVENT, namespace, id_, [name, *args])


def encode_ack(id_: int, *args: Any, namespace: str = MAIN) -> bytes:
    """Frames of the answer to an event that came with this id; ``args`` as for an event."""
    return _frames(Kind.ACK, namespace, id_, list(args))


def encode_connect(sid: str, pid: str | None = None, *, namespace: str = MAIN) -> bytes:
    """The frame that lets a client in. ``pid``: what it may come back with for what it missed."""
    data = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
    return _frame(Kind.CONNECT, namespace, None, _encode(data))


def encode_connect_error(message: str, data: Any = None, *, namespace: str = MAIN) -> bytes:
    """The frame that does not; the client raises ``connect_error`` with ``message``, ``data``."""
    body = {"message": message} if data is None else {"message": message, "data": data}
    return _frame(Kind.CONNECT_ERROR, namespace, None, _encode(body))


def encode_disconnect(namespace: str = MAIN) -> bytes:
    """The frame after which a client stays away until its page connects anew."""
    return _frame(Kind.DISCONNECT, namespace, None, b"")


def _frames(kind: Kind, namespace: str, id_: int | None, data: list[Any]) -> bytes:
    attachments: list[bytes] = []
    json = _encode(_without_attachments(data, attachments))
    if not attachments:
        return _frame(kind, namespace, id_, json)
    kind = Kind.BINARY_EVENT if kind is Kind.EVENT else Kind.BINARY_ACK
    head = _frame(kind, namespace, id_, json, attachments=b"%d-" % len(attachments))
    return b"".join([head, *map(binary_frame, attachments)])


def _frame(
    kind: Kind, namespace: str, id_: int | None, json: bytes, *, attachments: bytes = b""
) -> bytes:
    path = b"" if namespace == MAIN else namespace.encode() + b","
    ack = b"" if id_ is None else b"%d" % id_
    return message_frame(b"%d%b%b%b%b" % (kind, attachments, path, ack, json))


def _without_attachments(data: Any, attachments: list[bytes]) -> Any:
    if isinstance(data, Raw):
        return data
    if isinstance(data, bytes):
        attachments.append(data)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(data, list):
        return [_without_attachments(item, attachments) for item in data]
    if isinstance(data, dict):
        return {name: _without_attachments(item, attachments) for name, item in data.items()}
    return data


def offset_text(log_id: int, epoch: str) -> str:
    """How a client keeps the place of an event among all of them: the event's last argument."""
    return f"{log_id}-{epoch}"


def read_offset(text: str) -> tuple[int, str] | None:
    """``(log id, epoch)`` of ``offset_text``; None for anything else."""
    log_id, dash, epoch = text.partition("-")
    if not dash or not epoch or not log_id.isascii() or not log_id.isdigit() or len(log_id) > 18:
        return None
    return int(log_id), epoch
