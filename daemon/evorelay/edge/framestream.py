"""A stream with a bounded outgoing buffer that can be written without waiting.

It lies under trio-websocket: control frames written by that library and data frames pushed by the
hub go through the same buffer, so they never interleave wrongly. ``push`` only appends and marks
the stream dirty; the ``Flusher`` writes every dirty stream once per turn of the event loop, so all
frames pushed in between leave in one system call. A stream whose peer does not keep up, and any
TLS stream, is written by a task of its own until its buffer is empty.

Measured on 2 cores (bench/fanout.py): awaiting a send per recipient costs 50 us, this 2-5 us.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

BUFFER_BYTES_MAX = 1024 * 1024
"""More than this waiting for one client and it is behind (Centrifugo's limit, too)."""
_SLICE_BYTES = 16 * 1024
"""Written at a time to a peer that is slow, so that its progress shows; a TLS record's size."""
_WRITER_TURNS = 3
"""Of the event loop, in which a writer gets its first slice to the kernel: it starts, takes the
lock of its TLS stream, writes."""
Transport = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Sender(Protocol):
    """A session, as its stream knows it."""

    def drained(self) -> None:
        """Everything pushed so far is with the kernel; told when ``tell_drained`` was set."""


class Flusher:
    """Writes dirty streams. A service: its nursery owns the writers of slow streams."""

    def __init__(self, on_written: Callable[[Sequence[float]], None] | None = None) -> None:
        """``on_written`` is told how many seconds ago the webhooks arrived (``pushed``) whose
        events the kernel has now.
        """
        self._on_written = on_written
        self._arrivals: list[float] = []
        self._dirty: list[FrameStream] = []
        self._wake = trio.Event()

    def mark(self, stream: "FrameStream") -> None:
        self._dirty.append(stream)
        self._wake.set()

    def pushed(self, arrivals: Sequence[float]) -> None:
        """Events of webhooks that arrived then (Trio's clock) were pushed since the last turn.

        Where nothing waits to be written, only clients that poll were told: they take it when
        they come.
        """
        if self._dirty:
            self._arrivals += arrivals

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Flush until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await self._wake.wait()
                # One more turn for everybody: what they push now leaves in the same write.
                await trio.lowlevel.checkpoint()
                self._wake = trio.Event()
                dirty, self._dirty = self._dirty, []
                arrivals, self._arrivals = self._arrivals, []
                has_writers = False
                for stream in dirty:
                    if not stream.flush_nowait():
                        nursery.start_soon(stream.flush)
                        has_writers = True
                if arrivals and has_writers:
                    nursery.start_soon(self._written_soon, arrivals)
                elif arrivals:
                    self._written(arrivals)

    def _written(self, arrivals: Sequence[float]) -> None:
        if self._on_written is not None:
            now = trio.current_time()
            self._on_written([now - arrived for arrived in arrivals])

    async def _written_soon(self, arrivals: Sequence[float]) -> None:
        """When every writer has had its turns: a TLS record is out by then. One that is still not
        done has a client that does not read, and that is not what is measured here (P5).
        """
        for _ in range(_WRITER_TURNS):
            await trio.lowlevel.checkpoint()
        self._written(arrivals)


class FrameStream(trio.abc.Stream):
    """The transport of one connection, with ``prefix`` (bytes already read) in front of it."""

    def __init__(self, transport: Transport, prefix: bytes, flusher: Flusher) -> None:
        self._transport = transport
        self._prefix = prefix
        self._flusher = flusher
        self._buffer: list[bytes] = []
        self._is_dirty = False
        self._is_flushing = False
        self._is_broken = False
        self._drained = trio.lowlevel.ParkingLot()
        self._fd = transport.socket.fileno() if isinstance(transport, trio.SocketStream) else None
        self.pending = 0
        self.tell_drained = False
        self.sender: Sender | None = None
        """Who pushes frames, once it is known."""
        self.last_progress_at = trio.current_time()

    def push(self, frame: bytes) -> bool:
        """Take a frame, or refuse it when it does not fit beside what is waiting.

        An empty buffer takes a frame of any size, so that nothing is too large for ever.
        """
        if self._is_broken or (self.pending and self.pending + len(frame) > BUFFER_BYTES_MAX):
            return False
        self._append(frame)
        return True

    def _append(self, data: bytes) -> None:
        if not self.pending:
            self.last_progress_at = trio.current_time()
        self._buffer.append(data)
        self.pending += len(data)
        if not self._is_dirty:
            self._is_dirty = True
            self._flusher.mark(self)

    def flush_nowait(self) -> bool:
        """Write what the kernel takes now; False when a writer task must do the rest."""
        self._is_dirty = False
        if self._is_flushing or self._is_broken:
            return True
        if self._fd is not None:
            buffer, self._buffer = self._buffer, []
            data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
            if not data:
                return True
            try:
                written = os.write(self._fd, data)
            except BlockingIOError:
                written = 0
            except OSError:
                self._break()
                return True
            self._written(written)
            if written == len(data):
                return True
            self._buffer.insert(0, data[written:])
        elif not self._buffer:
            return True
        self._is_flushing = True
        return False

    async def flush(self) -> None:
        """Write until the buffer is empty or the connection ends. Owned by the flusher."""
        try:
            while self._buffer and not self._is_broken:
                data = b"".join(self._buffer)
                self._buffer = []
                view = memoryview(data)
                while view and not self._is_broken:
                    await self._transport.send_all(view[:_SLICE_BYTES])
                    self._written(min(_SLICE_BYTES, len(view)))
                    view = view[_SLICE_BYTES:]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._break()
        except trio.Cancelled:
            self._break()  # half a frame may be out: nothing may follow it
            raise
        finally:
            self._is_flushing = False

    def _written(self, count: int) -> None:
        if count:
            self.last_progress_at = trio.current_time()
            self.pending -= count
        if not self.pending:
            if self._drained:
                self._drained.unpark_all()
            if self.tell_drained and self.sender is not None:
                self.tell_drained = False
                self.sender.drained()

    def _break(self) -> None:
        self._is_broken = True
        self._buffer.clear()
        self.pending = 0
        self._drained.unpark_all()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue bytes; wait only while the buffer is over its bound.

        Never loses what it took: cancelling it cancels the waiting, not the writing.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._is_broken:
            self._append(bytes(data))
            while self.pending > BUFFER_BYTES_MAX:
                await self._drained.park()
        if self._is_broken:
            raise trio.BrokenResourceError("the connection is gone")

    async def wait_send_all_might_not_block(self) -> None:
        while self.pending > BUFFER_BYTES_MAX:
            await self._drained.park()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._is_broken:
            raise trio.ClosedResourceError
        if self._prefix:
            await trio.lowlevel.checkpoint()
            if max_bytes is None:
                max_bytes = len(self._prefix)
            data, self._prefix = self._prefix[:max_bytes], self._prefix[max_bytes:]
            return data
        return bytes(await self._transport.receive_some(max_bytes))

    async def aclose(self) -> None:
        """Write what can be written at once, then end: our side, or all when that is stuck.

        Whoever opened the transport closes it, after a while in which the peer reads our last
        words: a socket closed with unread bytes is reset, and a reset destroys them.
        """
        if self._is_broken:
            return
        if self._fd is not None:
            self.flush_nowait()
        is_stuck = self._is_flushing
        self._break()
        if is_stuck or not isinstance(self._transport, trio.SocketStream):
            await self._transport.aclose()
        else:
            with suppress(trio.BrokenResourceError):
                await self._transport.send_eof()
