"""Writing without waiting: order, bounds, slow and vanished peers, on real sockets."""

import os
import socket
import ssl
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.edge.framestream import BUFFER_BYTES_MAX, Flusher, FrameStream
from tests.certificates import self_signed
from tests.edge.harness import until

MIB = 1024 * 1024


def socket_pair(*, small: bool = False) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends; ``small`` ones have kernel buffers of a few KiB."""
    ends = socket.socketpair()
    if small:
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one, other = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends)
    return one, other


class Wire:
    """A stream under test and the peer who reads it."""

    def __init__(self, flusher: Flusher, *, small: bool = False, prefix: bytes = b"") -> None:
        ours, self.peer = socket_pair(small=small)
        self.stream = FrameStream(ours, prefix, flusher)

    async def read(self, size: int) -> bytes:
        received = b""
        with trio.fail_after(30):
            while len(received) < size:
                data = await self.peer.receive_some(size - len(received))
                if not data:
                    break
                received += data
        return received


@pytest.fixture
async def flusher(nursery: trio.Nursery) -> Flusher:
    flusher = Flusher()
    await nursery.start(flusher.run)
    return flusher


def frames(count: int, size: int) -> list[bytes]:
    return [bytes([n % 256]) * size for n in range(count)]


class Told:
    """A sender that does something when it is told that everything was written."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do

    def drained(self) -> None:
        self._do()


async def test_frames_leave_in_the_order_pushed(flusher: Flusher) -> None:
    wire = Wire(flusher)
    for frame in (b"a", b"b", b"c"):
        assert wire.stream.push(frame)
    assert await wire.read(3) == b"abc"
    assert wire.stream.pending == 0


async def test_pushes_and_sends_share_one_order(flusher: Flusher) -> None:
    """Control frames are sent by the library, data frames pushed by the hub."""
    wire = Wire(flusher, small=True)
    sent = b""
    for n, frame in enumerate(frames(100, 2000)):
        if n % 3:
            assert wire.stream.push(frame)
        else:
            await wire.stream.send_all(frame)
        sent += frame
    assert await wire.read(len(sent)) == sent


async def test_what_is_pushed_in_one_turn_leaves_in_one_write(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    real = os.write

    def counting(fd: int, data: bytes) -> int:
        writes.append(len(data))
        return real(fd, data)

    wire = Wire(flusher)
    await trio.testing.wait_all_tasks_blocked()
    monkeypatch.setattr("evorelay.edge.framestream.os.write", counting)
    for frame in frames(16, 10):
        wire.stream.push(frame)
    await wire.read(160)
    monkeypatch.undo()
    assert 160 in writes
    assert sum(writes) >= 160


async def test_a_slow_peer_gets_everything(flusher: Flusher) -> None:
    """Partial writes, EAGAIN and a writer of its own; more is pushed meanwhile."""
    wire = Wire(flusher, small=True)
    sent = received = b""
    for frame in frames(40, 10_000):
        assert wire.stream.push(frame)
        sent += frame
        received += await wire.read(5_000)
    received += await wire.read(len(sent) - len(received))
    assert received == sent
    await until(lambda: wire.stream.pending == 0)


async def test_a_frame_that_does_not_fit_is_refused_whole(flusher: Flusher) -> None:
    """P5: bounded; and nothing of it is sent."""
    wire = Wire(flusher, small=True)
    assert wire.stream.push(b"a" * (BUFFER_BYTES_MAX - 10))
    await trio.testing.wait_all_tasks_blocked()
    waiting = wire.stream.pending
    assert not wire.stream.push(b"b" * (BUFFER_BYTES_MAX - waiting + 1))
    assert wire.stream.push(b"c" * (BUFFER_BYTES_MAX - waiting))
    received = await wire.read(2 * BUFFER_BYTES_MAX - 10 - waiting)
    assert set(received) == set(b"ac")


async def test_an_empty_buffer_takes_a_frame_of_any_size(flusher: Flusher) -> None:
    """Nothing is too large for ever."""
    wire = Wire(flusher)
    assert wire.stream.push(b"x" * (3 * MIB))
    assert not wire.stream.push(b"y")
    assert len(await wire.read(3 * MIB)) == 3 * MIB
    await until(lambda: wire.stream.pending == 0)
    assert wire.stream.push(b"y")
    assert await wire.read(1) == b"y"


@pytest.mark.parametrize("small", [False, True])
async def test_who_asked_is_told_once_when_everything_is_taken(
    flusher: Flusher, small: bool
) -> None:
    wire = Wire(flusher, small=small)
    told: list[int] = []
    wire.stream.sender = Told(lambda: told.append(wire.stream.pending))
    wire.stream.push(b"x" * 50_000)
    await wire.read(50_000)
    await trio.testing.wait_all_tasks_blocked()
    assert told == []
    wire.stream.push(b"x" * 50_000)
    wire.stream.tell_drained = True
    await wire.read(50_000)
    await trio.testing.wait_all_tasks_blocked()
    assert told == [0]
    wire.stream.push(b"x")
    await wire.read(1)
    await trio.testing.wait_all_tasks_blocked()
    assert told == [0]


@pytest.mark.parametrize("small", [False, True])
async def test_who_is_told_may_push_at_once(flusher: Flusher, small: bool) -> None:
    """Catching up works like this: a page, and the next when that one is taken."""
    wire = Wire(flusher, small=small)
    pages = iter(frames(20, 30_000))

    def next_page() -> None:
        page = next(pages, None)
        if page is not None:
            wire.stream.tell_drained = True
            assert wire.stream.push(page)

    wire.stream.sender = Told(next_page)
    next_page()
    assert await wire.read(600_000) == b"".join(frames(20, 30_000))


async def test_sending_waits_while_too_much_is_waiting(flusher: Flusher) -> None:
    """So a client that floods us with pings and reads no pong is not read on."""
    wire = Wire(flusher, small=True)
    await wire.stream.send_all(b"x" * (BUFFER_BYTES_MAX // 2))
    async with trio.open_nursery() as nursery:
        sent = trio.Event()

        async def send() -> None:
            await wire.stream.send_all(b"y" * BUFFER_BYTES_MAX)
            sent.set()

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert not sent.is_set()
        await wire.read(BUFFER_BYTES_MAX * 3 // 2)
        with trio.fail_after(30):
            await sent.wait()


async def test_a_cancelled_send_is_sent_all_the_same(flusher: Flusher) -> None:
    """Half a frame would break the connection: what was taken goes out."""
    wire = Wire(flusher, small=True)
    whole = b"x" * (BUFFER_BYTES_MAX * 2)
    with trio.move_on_after(0.02) as patience:
        await wire.stream.send_all(whole)
    assert patience.cancelled_caught
    assert wire.stream.push(b"") is False  # there is more waiting than may be
    assert await wire.read(len(whole)) == whole


async def test_a_send_cancelled_before_it_began_is_not_sent(flusher: Flusher) -> None:
    wire = Wire(flusher)
    with trio.CancelScope() as scope:
        scope.cancel()
        await wire.stream.send_all(b"never")
    wire.stream.push(b"first")
    assert await wire.read(5) == b"first"


async def test_bytes_read_before_come_first(flusher: Flusher) -> None:
    wire = Wire(flusher, prefix=b"already read")
    await wire.peer.send_all(b" and more")
    assert await wire.stream.receive_some(7) == b"already"
    assert await wire.stream.receive_some() == b" read"
    assert await wire.stream.receive_some() == b" and more"


@pytest.mark.parametrize("pending", [0, 500_000])
async def test_a_peer_that_resets_breaks_the_stream_quietly(pending: int) -> None:
    flusher = Flusher()
    async with trio.open_nursery() as nursery:
        await nursery.start(flusher.run)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        peer = await trio.testing.open_stream_to_socket_listener(listener)
        ours = await listener.accept()
        await listener.aclose()
        stream = FrameStream(ours, b"", flusher)
        stream.push(b"x" * pending)
        await trio.testing.wait_all_tasks_blocked()
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(peer)
        await until(lambda: not stream.push(b"y" * 1000))
        assert stream.pending == 0
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"z")
        other = Wire(flusher)  # the flusher lives on
        other.stream.push(b"ok")
        assert await other.read(2) == b"ok"
        nursery.cancel_scope.cancel()


async def test_whoever_waits_to_send_is_woken_when_the_peer_is_gone(flusher: Flusher) -> None:
    wire = Wire(flusher, small=True)
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await wire.stream.send_all(b"x" * (2 * BUFFER_BYTES_MAX))

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await wire.peer.aclose()


async def test_closing_writes_what_can_be_written(flusher: Flusher) -> None:
    wire = Wire(flusher)
    wire.stream.push(b"last words")
    await wire.stream.aclose()
    assert await wire.read(100) == b"last words"


async def test_closing_does_not_wait_for_a_stalled_peer(flusher: Flusher) -> None:
    wire = Wire(flusher, small=True)
    wire.stream.push(b"x" * 500_000)
    await trio.testing.wait_all_tasks_blocked()
    with trio.fail_after(30):
        await wire.stream.aclose()
        await wire.stream.aclose()
    assert wire.stream.pending == 0
    assert not wire.stream.push(b"y")


async def test_a_closed_stream_never_writes_to_its_number_again(flusher: Flusher) -> None:
    """The kernel gives the file descriptor to the next connection at once."""
    old = Wire(flusher, small=True)
    number = old.stream._fd
    old.stream.push(b"for the old one" * 10_000)
    await trio.testing.wait_all_tasks_blocked()
    old.stream.push(b"more for the old one")
    await old.stream.aclose()
    new = Wire(flusher)
    assert new.stream._fd == number
    old.stream.push(b"too late")
    old.stream.flush_nowait()
    await trio.testing.wait_all_tasks_blocked()
    new.stream.push(b"hello")
    await trio.testing.wait_all_tasks_blocked()
    assert await new.peer.receive_some(1000) == b"hello"


async def test_a_stream_whose_writer_was_cancelled_sends_nothing_more() -> None:
    """Half a frame may be out; another one behind it would be read as its end."""
    flusher = Flusher()
    wire = Wire(flusher, small=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(flusher.run)
        wire.stream.push(b"x" * 500_000)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not wire.stream.push(b"y")
    assert wire.stream.pending == 0


async def test_progress_is_dated(flusher: Flusher, autojump_clock: trio.testing.MockClock) -> None:
    """By this a hopeless client is told from a slow one."""
    wire = Wire(flusher, small=True)
    await trio.sleep(100)
    wire.stream.push(b"x" * 200_000)
    assert wire.stream.last_progress_at == 100
    await trio.sleep(50)
    assert wire.stream.last_progress_at == 100
    await wire.read(50_000)
    await trio.testing.wait_all_tasks_blocked()
    assert wire.stream.last_progress_at == 150


async def test_stalled_peers_cost_their_bound_and_no_more(flusher: Flusher) -> None:
    """P5: 200 clients that read nothing; one shared frame is held once, not 200 times."""
    wires = [Wire(flusher, small=True) for _ in range(200)]
    frame = b"x" * 65_536
    tracemalloc.start()
    try:
        refused = 0
        for _ in range(40):
            refused += sum(not wire.stream.push(frame) for wire in wires)
            await trio.testing.wait_all_tasks_blocked()
        assert refused >= 200 * 20
        assert all(wire.stream.pending <= BUFFER_BYTES_MAX for wire in wires)
        used, _ = tracemalloc.get_traced_memory()
        assert used < 200 * 2 * 65_536 + 4 * MIB
    finally:
        tracemalloc.stop()


@asynccontextmanager
async def tls_wire(
    directory: Path, flusher: Flusher
) -> AsyncIterator[tuple[FrameStream, trio.SSLStream[trio.SocketStream]]]:
    cert, key = self_signed(directory)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    client = ssl.create_default_context(cafile=str(cert))
    ours, theirs = socket_pair(small=True)
    peer = trio.SSLStream(theirs, client, server_hostname="relay.example", https_compatible=True)
    transport = trio.SSLStream(ours, server, server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.do_handshake)
        await transport.do_handshake()
    yield FrameStream(transport, b"", flusher), peer
    await trio.aclose_forcefully(peer)
    await trio.aclose_forcefully(transport)


async def test_tls_keeps_the_order_and_reads_beside_it(tmp_path: Path, flusher: Flusher) -> None:
    async with tls_wire(tmp_path, flusher) as (stream, peer), trio.open_nursery() as nursery:
        sent = b""
        for n, frame in enumerate(frames(60, 5_000)):
            if n % 3:
                assert stream.push(frame)
            else:
                await stream.send_all(frame)
            sent += frame
        nursery.start_soon(peer.send_all, b"pong")
        assert await stream.receive_some() == b"pong"
        received = b""
        with trio.fail_after(30):
            while len(received) < len(sent):
                received += await peer.receive_some()
        assert received == sent
        await until(lambda: stream.pending == 0)


async def test_tls_is_closed_while_its_writer_is_stuck(tmp_path: Path, flusher: Flusher) -> None:
    async with tls_wire(tmp_path, flusher) as (stream, _):
        stream.push(b"x" * 500_000)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(30):
            await stream.aclose()
        assert not stream.push(b"y")
        await trio.testing.wait_all_tasks_blocked()


class Seen:
    """When a flusher says that something was written: what a peer could read by then."""

    def __init__(self, *peers: trio.SocketStream) -> None:
        self.peers = list(peers)
        self.calls: list[list[float]] = []
        self.readable: list[int] = []

    def __call__(self, seconds: Sequence[float]) -> None:
        self.calls.append(list(seconds))
        for peer in self.peers:
            with socket.socket(fileno=os.dup(peer.socket.fileno())) as same:
                self.readable.append(len(same.recv(65_536, socket.MSG_PEEK)))


async def test_how_long_webhooks_took_ends_when_the_kernel_has_the_bytes(
    nursery: trio.Nursery,
) -> None:
    """P8: measured once a turn, after every client of that turn was written."""
    seen = Seen()
    flusher = Flusher(seen)
    await nursery.start(flusher.run)
    wires = [Wire(flusher) for _ in range(3)]
    seen.peers = [wire.peer for wire in wires]
    for wire in wires:
        wire.stream.push(b"hello")
    flusher.pushed([trio.current_time() - 2, trio.current_time() - 1])
    assert seen.calls == []
    await until(lambda: bool(seen.calls))
    assert seen.readable == [5, 5, 5]
    (call,) = seen.calls
    assert call == pytest.approx([2, 1], abs=0.9)
    wires[0].stream.push(b"a ping, and no webhook behind it")
    assert await wires[0].read(30)
    assert len(seen.calls) == 1


async def test_a_client_that_does_not_read_is_not_what_is_measured(
    nursery: trio.Nursery,
) -> None:
    """P5: it holds up the figure as little as the others."""
    seen = Seen()
    flusher = Flusher(seen)
    await nursery.start(flusher.run)
    stuck, other = Wire(flusher, small=True), Wire(flusher)
    seen.peers = [other.peer]
    stuck.stream.push(b"x" * 500_000)
    other.stream.push(b"hello")
    flusher.pushed([trio.current_time()])
    await until(lambda: bool(seen.calls))
    assert seen.readable == [5]
    assert stuck.stream.pending


async def test_with_tls_it_ends_when_the_record_is_out(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    seen = Seen()
    flusher = Flusher(seen)
    await nursery.start(flusher.run)
    async with tls_wire(tmp_path, flusher) as (stream, peer):
        seen.peers = [peer.transport_stream]
        stream.push(b"hello")
        flusher.pushed([trio.current_time()])
        await until(lambda: bool(seen.calls))
        (readable,) = seen.readable
        assert readable > 5


async def test_clients_that_poll_take_no_part(nursery: trio.Nursery) -> None:
    """Their events wait for them, however long; the next write of another is not theirs."""
    seen = Seen()
    flusher = Flusher(seen)
    await nursery.start(flusher.run)
    flusher.pushed([trio.current_time()])
    wire = Wire(flusher)
    wire.stream.push(b"ping")
    assert await wire.read(4) == b"ping"
    await trio.testing.wait_all_tasks_blocked()
    assert seen.calls == []
