"""Centrifuge client protocol v2, JSON: commands in, replies and pushes out. A codec, no IO.

A WebSocket message is one or more JSON objects separated by newlines. A command is an object with
an ``id`` and one request; ``{}`` answers our ping. Field names are the protocol's own
(centrifugal/protocol ``client.proto``); fields that we have no use for are ignored.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from evorelay.model.event import ChannelEvent
from evorelay.protocol.frame import text_frame

COMMANDS_MAX = 256
"""Commands in one WebSocket message; an SDK batches its subscriptions on reconnect."""

Offset = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""uint64 in the protocol; no store counts that far."""


class Error(Enum):
    """Centrifuge's error codes; ``temporary`` ones the SDK tries again by itself."""

    INTERNAL = (100, "internal server error", True)
    UNAUTHORIZED = (101, "unauthorized", False)
    PERMISSION_DENIED = (103, "permission denied", False)
    METHOD_NOT_FOUND = (104, "method not found", False)
    ALREADY_SUBSCRIBED = (105, "already subscribed", False)
    LIMIT_EXCEEDED = (106, "limit exceeded", False)
    BAD_REQUEST = (107, "bad request", False)
    TOKEN_EXPIRED = (109, "token expired", False)
    UNRECOVERABLE_POSITION = (112, "unrecoverable position", False)

    def __init__(self, code: int, message: str, temporary: bool) -> None:
        self.code = code
        self.message = message
        self.temporary = temporary


class ConnectRequest(Struct, frozen=True):
    token: str = ""
    name: str = ""
    version: str = ""


class SubscribeRequest(Struct, frozen=True):
    channel: str
    recover: bool = False
    epoch: str = ""
    offset: Offset = 0
    join_leave: bool = False


class ChannelRequest(Struct, frozen=True):
    channel: str


class StreamPosition(Struct, frozen=True):
    offset: Offset = 0
    epoch: str = ""


class HistoryRequest(Struct, frozen=True):
    channel: str
    limit: int = 0
    """0: the position alone; negative: as many as a page holds."""
    since: StreamPosition | None = None
    reverse: bool = False


class RefreshRequest(Struct, frozen=True):
    token: str = ""


class RpcRequest(Struct, frozen=True):
    method: str = ""
    data: Raw = Raw(b"{}")


class Empty(Struct, frozen=True):
    pass


class Command(Struct, frozen=True):
    """Exactly one of the requests is set; none at all is the answer to a ping."""

    id: int = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: ChannelRequest | None = None
    publish: Empty | None = None
    presence: ChannelRequest | None = None
    presence_stats: ChannelRequest | None = None
    history: HistoryRequest | None = None
    ping: Empty | None = None
    send: Empty | None = None
    rpc: RpcRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: ChannelRequest | None = None


class ClientInfo(Struct, frozen=True, omit_defaults=True):
    user: str
    client: str
    conn_info: dict[str, Any] | None = None


class ConnectResult(Struct, frozen=True, omit_defaults=True):
    client: str
    version: str
    expires: bool = False
    ttl: int = 0
    """Seconds until the client should have refreshed."""
    ping: int = 0
    pong: bool = False
    data: dict[str, Any] | None = None


class Publication(Struct, frozen=True):
    offset: int
    data: Raw


class SubscribeResult(Struct, frozen=True, omit_defaults=True):
    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    was_recovering: bool = False
    recovered: bool = False
    publications: list[Publication] = []


class PresenceResult(Struct, frozen=True):
    presence: dict[str, ClientInfo]


class PresenceStatsResult(Struct, frozen=True):
    num_clients: int
    num_users: int


class HistoryResult(Struct, frozen=True):
    epoch: str
    offset: int
    publications: list[Publication]


class RefreshResult(Struct, frozen=True, omit_defaults=True):
    client: str
    version: str
    expires: bool = False
    ttl: int = 0


class RpcResult(Struct, frozen=True):
    data: Any


Result = (
    ConnectResult
    | SubscribeResult
    | PresenceResult
    | PresenceStatsResult
    | HistoryResult
    | RefreshResult
    | RpcResult
    | Empty
)

_decode = msgspec.json.Decoder(Command).decode
_encode = msgspec.json.Encoder().encode


def decode_commands(message: str | bytes) -> list[Command]:
    """The commands of one WebSocket message. Raises ``ValueError`` for anything malformed."""
    if isinstance(message, bytes):
        raise ValueError("binary message in the JSON protocol")
    lines = message.split("\n")
    if len(lines) > COMMANDS_MAX:
        raise ValueError("too many commands in one message")
    try:
        return [_decode(line) for line in lines if line]
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(f"malformed command: {error}") from None


def encode_reply(command_id: int, kind: str, result: Result) -> bytes:
    """The frame that answers a command; ``kind`` is the request's name."""
    return text_frame(_encode({"id": command_id, kind: result}))


def encode_error(command_id: int, error: Error) -> bytes:
    return encode_failure(command_id, error.code, error.message, temporary=error.temporary)


def encode_failure(command_id: int, code: int, message: str, *, temporary: bool = False) -> bytes:
    body: dict[str, Any] = {"code": code, "message": message}
    if temporary:
        body["temporary"] = True
    return text_frame(_encode({"id": command_id, "error": body}))


def encode_membership(channel: str, kind: str, info: ClientInfo) -> bytes:
    """A join or leave push; ``kind`` is ``join`` or ``leave``."""
    return text_frame(_encode({"push": {"channel": channel, kind: {"info": info}}}))


def encode_unsubscribed(channel: str, code: int, reason: str) -> bytes:
    """We ended a subscription. Codes below 2500 tell the SDK not to subscribe again."""
    push = {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}
    return text_frame(_encode({"push": push}))


def publications(events: Sequence[ChannelEvent]) -> list[Publication]:
    return [Publication(offset=event.offset, data=Raw(event.data)) for event in events]


class CentrifugeDialect:
    """``Dialect`` of relay/feed.py. One instance serves every session."""

    name = "centrifuge"
    ping_frame = text_frame(b"{}")

    def encode_run(self, channel: str, events: Sequence[ChannelEvent]) -> bytes:
        head = b'{"push":{"channel":' + _encode(channel) + b',"pub":{"data":'
        return text_frame(
            b"\n".join(
                [b'%s%s,"offset":%d}}}' % (head, event.data, event.offset) for event in events]
            )
        )

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        return text_frame(b'{"push":{"channel":%s,"pub":{"data":%s}}}' % (_encode(channel), data))
