"""Reading requests off a connection: how they are cut out of the bytes, and how long it may take.

Time is virtual here: no thread is involved.
"""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import ServerConfig
from evorelay.edge.inbound import BODY_RATE_MIN, Inbound, RequestBody
from evorelay.protocol.http_head import BadRequest

CONFIG = ServerConfig(header_timeout=10, body_timeout=30, idle_timeout=75)
GET = b"GET /a HTTP/1.1\r\nHost: relay\r\n\r\n"


class Connection:
    def __init__(self) -> None:
        self.peer, ours = (
            trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
        )
        self.inbound = Inbound(ours, CONFIG)
        self._ours = ours

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self.peer)
        await trio.aclose_forcefully(self._ours)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    yield connection
    await connection.aclose()


@given(
    requests=st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=40)), max_size=5),
    cuts=st.lists(st.integers(min_value=1, max_value=60), min_size=1),
)
async def test_requests_come_out_as_they_went_in_however_they_are_cut(
    requests: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    connection = Connection()
    try:
        whole = b"".join(
            b"POST /%s HTTP/1.1\r\nHost: relay\r\nContent-Length: %d\r\n\r\n%s"
            % (target.encode(), len(body), body)
            for target, body in requests
        )
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                start, turn = 0, 0
                while start < len(whole):
                    size = cuts[turn % len(cuts)]
                    await connection.peer.send_all(whole[start : start + size])
                    start, turn = start + size, turn + 1
                await connection.peer.send_eof()

            nursery.start_soon(send)
            found = []
            while (head := await connection.inbound.read_head()) is not None:
                body = await connection.inbound.read_body(head.content_length)
                assert body is not None
                found.append((head.target.removeprefix("/"), body))
            assert found == requests
    finally:
        await connection.aclose()


async def test_nothing_is_begun_when_the_peer_says_nothing(
    connection: Connection, autojump_clock: trio.testing.MockClock
) -> None:
    with connection.inbound.scope:
        await connection.inbound.read_head()
    assert trio.current_time() == 75
    assert connection.inbound.scope.cancelled_caught
    assert not connection.inbound.owes
    assert connection.inbound.is_late


async def test_a_head_has_its_time_from_its_first_byte(
    connection: Connection, autojump_clock: trio.testing.MockClock
) -> None:
    """Waiting 60 s between requests is fine; 10 s inside one is the end, drip or not."""
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            await trio.sleep(60)
            while True:
                await connection.peer.send_all(b"G")
                await trio.sleep(1)

        nursery.start_soon(drip)
        with connection.inbound.scope:
            await connection.inbound.read_head()
        assert trio.current_time() == 70
        assert connection.inbound.owes == "head"
        nursery.cancel_scope.cancel()


async def test_a_body_has_its_time_by_its_size(
    connection: Connection, autojump_clock: trio.testing.MockClock
) -> None:
    length = 10 * BODY_RATE_MIN
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            while True:
                await connection.peer.send_all(b"x")
                await trio.sleep(1)

        nursery.start_soon(drip)
        with connection.inbound.scope:
            await connection.inbound.read_body(length)
        assert trio.current_time() == 30 + 10
        assert connection.inbound.owes == "body"
        nursery.cancel_scope.cancel()


async def test_time_the_daemon_takes_is_not_the_peers(
    connection: Connection, autojump_clock: trio.testing.MockClock
) -> None:
    """A body stays readable however long a slow disk kept us from reading on."""
    await connection.peer.send_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n" + b"x" * 10
    )
    with connection.inbound.scope:
        head = await connection.inbound.read_head()
        assert head is not None
        connection.inbound.scope.deadline = float("inf")  # as the gate does before handing over
        body = RequestBody(connection.inbound, head)
        assert await body.receive() == b"x" * 10
        await trio.sleep(100_000)
        await connection.peer.send_all(b"y" * 10 + GET)
        assert await body.receive() == b"y" * 10
        assert body.is_complete
        assert (await connection.inbound.read_head()) is not None
    assert not connection.inbound.scope.cancelled_caught


@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d" % (160 << 20), b"Transfer-Encoding: chunked"]
)
async def test_a_streamed_body_that_drips_is_soon_too_late_whatever_its_size(
    connection: Connection, autojump_clock: trio.testing.MockClock, framing: bytes
) -> None:
    """P5: four of them had kept all other large webhooks waiting for hours."""
    await connection.peer.send_all(b"POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % framing)
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            while True:
                await trio.sleep(20)
                await connection.peer.send_all(b"1")

        nursery.start_soon(drip)
        with connection.inbound.scope:
            head = await connection.inbound.read_head()
            assert head is not None
            body = RequestBody(connection.inbound, head)
            while not body.is_complete:
                await body.receive()
        assert trio.current_time() == pytest.approx(30, abs=0.01)
        nursery.cancel_scope.cancel()


async def test_a_streamed_body_on_a_slow_line_has_all_the_time_it_needs(
    connection: Connection, autojump_clock: trio.testing.MockClock
) -> None:
    await connection.peer.send_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (100 * BODY_RATE_MIN)
    )
    async with trio.open_nursery() as nursery:

        async def trickle() -> None:
            for _ in range(100):
                await trio.sleep(1)
                await connection.peer.send_all(b"x" * BODY_RATE_MIN)

        nursery.start_soon(trickle)
        with connection.inbound.scope:
            head = await connection.inbound.read_head()
            assert head is not None
            body = RequestBody(connection.inbound, head)
            while not body.is_complete:
                assert await body.receive()
        assert body.is_complete
        assert trio.current_time() == 100


@pytest.mark.parametrize("sent", [b"", b"GET /", GET[:-1]])
async def test_a_peer_that_leaves_begins_nothing(connection: Connection, sent: bytes) -> None:
    await connection.peer.send_all(sent)
    await connection.peer.send_eof()
    assert await connection.inbound.read_head() is None


async def test_a_peer_that_leaves_in_its_body(connection: Connection) -> None:
    await connection.peer.send_all(b"half")
    await connection.peer.send_eof()
    assert await connection.inbound.read_body(5) is None


async def test_the_buffer_never_grows_beyond_a_head(connection: Connection) -> None:
    """P5: what a peer pours in stays in the socket."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.peer.send_all, b"GET / HTTP/1.1\r\nA: " + b"x" * 1_000_000)
        with pytest.raises(BadRequest) as refused:
            await connection.inbound.read_head()
        assert refused.value.status == 431
        assert len(connection.inbound.buffer) <= 128 * 1024
        nursery.cancel_scope.cancel()


async def test_bytes_behind_a_body_stay_for_the_next_request(connection: Connection) -> None:
    await connection.peer.send_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" + GET
    )
    head = await connection.inbound.read_head()
    assert head is not None
    assert await connection.inbound.read_body(2) == b"{}"
    assert connection.inbound.buffer == GET
