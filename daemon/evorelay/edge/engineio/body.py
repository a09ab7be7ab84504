"""The body of a POST, whole: with a length or in chunks, and no larger than it may be."""

import httptools

from evorelay.edge.answering import send
from evorelay.edge.framestream import Transport
from evorelay.edge.inbound import Inbound, RequestBody
from evorelay.protocol.http_head import Head

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_FRAMING_FACTOR = 8
"""A chunk of one byte takes six. What takes still more is no client's doing."""


class TooLarge(Exception):
    """More than may be sent; the connection cannot be used again."""


async def read_body(
    transport: Transport, inbound: Inbound, head: Head, bytes_max: int
) -> bytes | None:
    """Read the whole body; None when the peer left in the middle.

    Raises ``TooLarge`` and ``BadRequest``. The connection's scope is cancelled when the body does
    not get on.
    """
    if head.content_length > bytes_max:
        raise TooLarge
    body = RequestBody(inbound, head)
    dechunker = _Dechunker(head) if head.chunked else None
    # RFC 9110 §10.1.1: who speaks HTTP/1.0 would take it for the answer.
    if head.expects_continue and head.version != "1.0" and not inbound.buffer:
        await send(transport, inbound, _CONTINUE)
    received, size = bytearray(), 0
    while not body.is_complete:
        inbound.owes = "body"
        data = await body.receive()
        inbound.owes = ""
        if not data:
            return None
        size += len(data)
        if dechunker is None:
            received += data
        else:
            dechunker.feed(data, received)
            if len(received) > bytes_max or size > bytes_max * _FRAMING_FACTOR:
                raise TooLarge
    return bytes(received)


class _Dechunker:
    """Takes the framing off; ``RequestBody`` has checked it by then."""

    def __init__(self, head: Head) -> None:
        self._body = bytearray()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head.canonical())

    def on_body(self, data: bytes) -> None:
        self._body += data

    def feed(self, data: bytes, into: bytearray) -> None:
        self._parser.feed_data(data)
        into += self._body
        self._body.clear()
