"""Answers the gate writes itself, and how a connection is ended so that they arrive."""

import os
from contextlib import suppress

import trio

from evorelay.edge.framestream import Transport
from evorelay.edge.inbound import Inbound
from evorelay.model.errors import RETRY_AFTER_S, Code
from evorelay.model.views import encode_json
from evorelay.relay.ingest import Answer

SEND_TIMEOUT_S = 30.0
"""For an answer of a few hundred bytes: beyond it nobody reads."""
LINGER_S = 2.0
LAST_LINGER_S = 0.5
"""The same while the daemon stops."""
LINGER_BYTES = 8 * 1024 * 1024
REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
CODES = {
    400: Code.BAD_REQUEST,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    408: Code.REQUEST_TIMEOUT,
    431: Code.HEAD_TOO_LARGE,
    503: Code.UNAVAILABLE,
    505: Code.HTTP_VERSION,
}
"""Of the refusals made here, before anybody has looked at what is asked."""
_NO_ROOM = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n" % RETRY_AFTER_S
)


def response(answer: Answer, *, keep: bool, version: str) -> bytes:
    """The bytes of an answer."""
    extra = ""
    if answer.retry_after_s is not None:
        extra += f"Retry-After: {answer.retry_after_s}\r\n"
    if not keep:
        extra += "Connection: close\r\n"
    elif version == "1.0":
        extra += "Connection: keep-alive\r\n"
    head = (
        f"HTTP/1.1 {answer.status} {REASONS[answer.status]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(answer.body)}\r\n{extra}\r\n"
    )
    return head.encode() + answer.body


async def send(transport: Transport, inbound: Inbound, data: bytes) -> None:
    """Write what the kernel takes at once, nearly always everything; wait only for the rest."""
    if isinstance(transport, trio.SocketStream):
        try:
            data = data[os.write(transport.socket.fileno(), data) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise trio.BrokenResourceError(f"the peer is gone: {error.strerror}") from error
    if data:
        inbound.allow(SEND_TIMEOUT_S)
        await transport.send_all(data)


def refusal_in_words(status: int, message: str) -> Answer:
    """Refuse a request in words."""
    body = encode_json({"error": {"code": CODES[status].code, "message": message}})
    return Answer(status, body, RETRY_AFTER_S if status == 503 else None)


async def answer_last(transport: Transport, answer: Answer) -> None:
    """Answer and end the connection with it."""
    with trio.move_on_after(LINGER_S):
        await transport.send_all(response(answer, keep=False, version="1.1"))


async def linger(transport: Transport, within_s: float = LINGER_S) -> None:
    """Read on for a moment before closing: a reset would destroy the answer on its way.

    Costs nothing when the peer has closed already.
    """
    seen = 0
    with trio.move_on_after(within_s):
        if isinstance(transport, trio.SocketStream):
            await transport.send_eof()
        while seen < LINGER_BYTES and (data := await transport.receive_some(64 * 1024)):
            seen += len(data)


def turn_away(transport: Transport) -> None:
    """Say 503 to a connection there is no room for, if it can be said without waiting."""
    if isinstance(transport, trio.SocketStream):
        with suppress(OSError):
            os.write(transport.socket.fileno(), _NO_ROOM)
