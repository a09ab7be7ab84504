"""Reading requests off a connection: a buffer, and a deadline that moves with progress.

One cancel scope covers the whole connection; each phase of a request sets its deadline. That costs
one attribute write per phase where a scope per read would cost several microseconds.
"""

import os
import select
from typing import Literal

import httptools
import trio

from evorelay.config import ServerConfig
from evorelay.edge.framestream import Transport
from evorelay.protocol.http_head import BadRequest, Head, find_end, parse_head

READ_BYTES = 64 * 1024
BODY_RATE_MIN = 16 * 1024
"""Bytes per second, on average, below which a body is a slow attack and not a slow line."""
LAST_WORD_S = 0.1
"""While the daemon stops: for a request that is on its way on a connection that has been idle."""
FIRST_WORD_S = 1.0
"""While it stops: for the first request of a connection, which was made to send one."""
LAST_PROGRESS_S = 1.5
"""While it stops: without a byte of a request that has begun. Evolution sends that one again."""
_NEVER = float("inf")


class Inbound:
    def __init__(self, transport: Transport, config: ServerConfig) -> None:
        self._transport = transport
        self._fd = transport.socket.fileno() if isinstance(transport, trio.SocketStream) else None
        self._config = config
        self.buffer = b""
        """Bytes received and not consumed."""
        self.scope = trio.CancelScope()
        self.owes: Literal["", "head", "body"] = ""
        """What the peer has begun and not completed; ``""`` once an answer is on its way."""
        self.busy = False
        """Whether a request is being worked on."""
        self._ends_at: float | None = None
        """When nothing that is still owed is waited for any more; None while nobody hurries."""
        self._is_new = True

    def hurry(self, within_s: float) -> None:
        """The daemon stops: wait for what is on its way, and for no peer that sends nothing.

        What the peer owes must get on, and be here within ``within_s``. What we are working on
        takes the time it takes.
        """
        self._ends_at = trio.current_time() + within_s
        if self._fd is None:
            self._hurry_scope()
        elif self._waits_for_peer:
            # Wakes who waits below. A deadline would also end it when a request comes in the same
            # turn of a busy event loop.
            trio.lowlevel.notify_closing(self._fd)

    @property
    def is_hurried(self) -> bool:
        return self._ends_at is not None

    @property
    def _waits_for_peer(self) -> bool:
        """Rather than the peer for us."""
        return not self.busy or self.owes != ""

    def _patience(self, ends_at: float) -> float:
        patience = FIRST_WORD_S if self._is_new else LAST_WORD_S
        if self.owes:
            patience = LAST_PROGRESS_S
        return max(0.0, min(patience, ends_at - trio.current_time()))

    def _hurry_scope(self) -> None:
        """TLS, which has to read for itself: the scope's deadline must do."""
        if self._ends_at is not None and self._waits_for_peer:
            self.scope.deadline = trio.current_time() + self._patience(self._ends_at)

    async def read_head(self) -> Head | None:
        """The next request's head; None when the peer is done. Raises ``BadRequest``.

        The scope is cancelled when no request begins within ``idle_timeout``, or when one that
        began is not complete within ``header_timeout``, however steadily it drips (slowloris).
        """
        self._allow_roughly(self._config.idle_timeout)
        self.buffer = self.buffer.lstrip(b"\r\n")  # RFC 9112 §2.2
        while not self.buffer:
            if not await self._fill():
                return None
            self.buffer = self.buffer.lstrip(b"\r\n")
        self.owes = "head"
        end = find_end(self.buffer)
        if end < 0:
            self.allow(self._config.header_timeout)
            while end < 0:
                if not await self._fill():
                    return None
                end = find_end(self.buffer)
        if self.is_hurried:
            self.scope.deadline = _NEVER
        else:
            self._allow_roughly(self._config.idle_timeout)
        raw, self.buffer = self.buffer[:end], self.buffer[end:]
        self._is_new = False
        head = parse_head(raw)
        self.owes = ""
        return head

    async def read_body(self, length: int) -> bytes | None:
        """A small body, whole; None when the peer left in the middle."""
        if len(self.buffer) < length:
            self.allow(self.body_allowance(length))
            self.owes = "body"
            while len(self.buffer) < length:
                if not await self._fill():
                    return None
            self.owes = ""
            self.scope.deadline = _NEVER
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return body

    def allow(self, seconds: float) -> None:
        """Cancel the connection unless it gets on within this time; sooner in a hurry."""
        deadline = trio.current_time() + seconds
        if self._ends_at is not None and seconds != _NEVER:
            deadline = min(deadline, self._ends_at)
        self.scope.deadline = deadline

    def _allow_roughly(self, seconds: float) -> None:
        """The same to within 2 %, for what happens with every request.

        Moving a deadline costs 2.5 us, three of them were 6 % of a webhook (py-spy).
        """
        deadline = trio.current_time() + seconds
        if abs(deadline - self.scope.deadline) > seconds / 50:
            self.scope.deadline = deadline

    def body_allowance(self, length: int) -> float:
        """Seconds that reading a body may take in all: the slowest honest line, and a pause."""
        return self._config.body_timeout + length / BODY_RATE_MIN

    async def next_bytes(self, within_s: float = _NEVER) -> bool:
        """Have something in the buffer; False when the peer is done sending."""
        if not self.buffer:
            self.allow(within_s)
            await self._fill()
            self.scope.deadline = _NEVER
        return bool(self.buffer)

    @property
    def body_timeout(self) -> float:
        return self._config.body_timeout

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed; a scope may also be cancelled without it."""
        return self.scope.deadline <= trio.current_time()

    async def _fill(self) -> bool:
        data = await self._receive()
        self.buffer += data
        return bool(data)

    async def _receive(self) -> bytes | bytearray:
        """Wait first, then read: a client that waits for our answer has sent nothing yet.

        Trio's own stream tries first, and the failing call was 7 % of a webhook (py-spy).
        """
        if self._fd is None:
            self._hurry_scope()
            return await self._transport.receive_some(READ_BYTES)
        while True:
            await self._readable(self._fd)
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(f"the peer is gone: {error.strerror}") from error

    async def _readable(self, fd: int) -> None:
        """Wait for bytes, or the end. In a hurry the scope ends when none come."""
        if self._ends_at is None or not self._waits_for_peer:
            try:
                await trio.lowlevel.wait_readable(fd)
                return
            except trio.ClosedResourceError:
                if self._ends_at is None:
                    raise
        with trio.move_on_after(self._patience(self._ends_at)):
            await trio.lowlevel.wait_readable(fd)
            return
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(0):
            self.scope.deadline = trio.current_time()
            await trio.sleep_forever()


class RequestBody:
    """The body of one request in chunks as they come, never more than its own bytes.

    What follows it stays in the inbound buffer. A chunked body keeps its framing, checked by
    llhttp on the way; a request pipelined behind a chunked one cannot be told from it and is
    refused.
    """

    def __init__(self, inbound: Inbound, head: Head) -> None:
        self._inbound = inbound
        self._left = head.content_length
        self._parser = _ChunkedBody(head) if head.chunked else None
        self._allowance = inbound.body_timeout
        """Seconds the peer may still keep us waiting: more with every byte, so that a body of 160
        MiB that drips does not have the hours an honest one of its size would be given. Time it
        waits for us does not count."""

    @property
    def is_complete(self) -> bool:
        return self._parser.is_complete if self._parser else self._left == 0

    async def receive(self) -> bytes:
        """Some bytes; empty when the peer left. Call only while it is not complete.

        Raises ``BadRequest`` for broken chunks.
        """
        inbound = self._inbound
        began = trio.current_time()
        if not await inbound.next_bytes(min(inbound.body_timeout, self._allowance)):
            return b""
        length = len(inbound.buffer) if self._parser else self._left
        data, inbound.buffer = inbound.buffer[:length], inbound.buffer[length:]
        self._allowance += len(data) / BODY_RATE_MIN - (trio.current_time() - began)
        if self._parser is not None:
            self._parser.feed(data)
        else:
            self._left -= len(data)
        return data


class _ChunkedBody:
    """llhttp watching a chunked body go by."""

    def __init__(self, head: Head) -> None:
        self.is_complete = False
        self._began = 0
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head.canonical())

    def on_message_begin(self) -> None:
        self._began += 1

    def on_message_complete(self) -> None:
        self.is_complete = True

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise BadRequest(400, f"malformed chunked body: {error}") from None
        if self._began > 1:
            raise BadRequest(400, "a request may not be pipelined behind a chunked one")
