"""Requests made to be read in two ways, or never to end: a clear answer, and the door shut."""

import contextlib
import socket
from pathlib import Path

import pytest
import trio

from tests.e2e.neighbour import neighbour
from tests.support.daemon import Daemon, running, token
from tests.support.http import Reply, ask, connected, request
from tests.support.posting import handled, messages_of, ticket_of
from tests.support.webhooks import PATH, as_body, text_message

POST = f"POST {PATH} HTTP/1.1\r\n".encode()
HOST = b"Host: relay.example\r\n"


async def send(daemon: Daemon, raw: bytes) -> tuple[list[Reply], bool]:
    """Send bytes on a connection of their own: the answers, and whether the door was shut."""
    replies: list[Reply] = []
    async with connected(daemon) as connection:
        await connection.send(raw)
        with trio.move_on_after(30):
            while (reply := await connection.read_reply()) is not None:
                replies.append(reply)
            return replies, True
    return replies, False


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            POST + HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="cl-te",
        ),
        pytest.param(
            POST + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
            id="te-cl",
        ),
        pytest.param(
            POST + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", id="two-cl"
        ),
        pytest.param(
            POST + HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", id="same-cl-twice"
        ),
        pytest.param(POST + HOST + b"Content-Length: 2, 2\r\n\r\n{}", id="cl-list"),
        pytest.param(POST + HOST + b"Content-Length: +2\r\n\r\n{}", id="cl-sign"),
        pytest.param(POST + HOST + b"Content-Length: 0x2\r\n\r\n{}", id="cl-hex"),
        pytest.param(POST + HOST + b"Content-Length: -1\r\n\r\n{}", id="cl-negative"),
        pytest.param(POST + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", id="cl-huge"),
        pytest.param(POST + HOST + b"Content-Length : 2\r\n\r\n{}", id="space-before-colon"),
        pytest.param(POST + HOST + b"Content-Length:\r\n 2\r\n\r\n{}", id="folded"),
        pytest.param(POST.replace(b"\r", b"") + b"Host: a\nContent-Length: 2\n\n{}", id="bare-lf"),
        pytest.param(POST + HOST + b"X: a\nContent-Length: 2\r\n\r\n{}", id="lf-in-header"),
        pytest.param(POST + HOST + b"X: a\rContent-Length: 2\r\n\r\n{}", id="cr-in-header"),
        pytest.param(POST + HOST + b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}", id="nul-in-header"),
        pytest.param(
            POST + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="te-list"
        ),
        pytest.param(POST + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="te-other"),
        pytest.param(
            POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="te-http-1.0",
        ),
        pytest.param(POST + b"Content-Length: 2\r\n\r\n{}", id="no-host"),
        pytest.param(POST + HOST + HOST + b"Content-Length: 2\r\n\r\n{}", id="two-hosts"),
        pytest.param(b"POST hook HTTP/1.1\r\n" + HOST + b"\r\n", id="relative-target"),
        pytest.param(b"POST /\xff HTTP/1.1\r\n" + HOST + b"\r\n", id="target-not-ascii"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http-2"),
        pytest.param(b"GET /livez\r\n\r\n", id="http-0.9"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="tls-hello"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 40_000, id="endless-header"),
        pytest.param(b"GET /" + b"a" * 40_000, id="endless-target"),
    ],
)
async def test_what_could_be_read_twice_is_refused(shared_daemon: Daemon, raw: bytes) -> None:
    """One answer, an error, then the end: what follows on the connection is never a request."""
    smuggled = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
    async with neighbour(shared_daemon):
        replies, is_closed = await send(shared_daemon, raw + smuggled)
        assert [reply.status for reply in replies] in ([400], [431], [505])
        assert replies[0].json["error"]["message"]
        assert is_closed


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"zz\r\n", id="no-number"),
        pytest.param(b"2\r\n{}x\r\n0\r\n\r\n", id="longer-than-said"),
        pytest.param(b"-2\r\n{}\r\n0\r\n\r\n", id="negative"),
        pytest.param(b"fffffffffffffffff\r\n{}", id="2^68"),
        pytest.param(b"2\n{}\n0\n\n", id="bare-lf"),
    ],
)
async def test_broken_chunks_end_the_connection(shared_daemon: Daemon, chunks: bytes) -> None:
    head = POST + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    async with neighbour(shared_daemon):
        replies, is_closed = await send(shared_daemon, head + chunks)
        assert [reply.status for reply in replies] == [400]
        assert is_closed


async def test_pipelined_requests_are_answered_in_order(daemon: Daemon) -> None:
    """Hot path and Hypercorn by turns on one connection, all sent at once."""
    webhooks = [request("POST", PATH, as_body(text_message(f"P{n}", f"{n}"))) for n in range(50)]
    page = request("GET", "/livez")
    async with connected(daemon) as connection:
        await connection.send(b"".join(webhook + page for webhook in webhooks))
        for n in range(50):
            first, second = await connection.read_reply(), await connection.read_reply()
            assert first is not None
            assert second is not None
            assert (first.status, first.json["seq"]) == (200, n + 1)
            assert (second.status, second.json) == (200, {"alive": True})
    await handled(daemon)
    contents = [m["content"] for m in await messages_of(daemon, await ticket_of(daemon))]
    assert contents == [str(n) for n in range(50)]


async def test_chunked_and_expecting_webhooks_are_taken(daemon: Daemon) -> None:
    body = as_body(text_message("CHUNKED", "em pedaços"))
    chunks = b"".join(b"1;ext=1\r\n%c\r\n" % byte for byte in body)
    async with connected(daemon) as connection:
        head = request("POST", PATH).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        await connection.send(head + chunks + b"0\r\nTrailer: x\r\n\r\n")
        reply = await connection.read_reply()
        assert reply is not None
        assert reply.status == 200
    async with connected(daemon) as connection:
        body = as_body(text_message("EXPECTING", "posso?"))
        raw = request("POST", PATH, body, {"Expect": "100-continue"})
        await connection.send(raw)
        reply = await connection.read_reply()
        assert reply is not None
        assert reply.status == 200
    await handled(daemon)
    contents = [m["content"] for m in await messages_of(daemon, await ticket_of(daemon))]
    assert sorted(contents) == ["em pedaços", "posso?"]


async def test_bytes_may_come_one_by_one(shared_daemon: Daemon) -> None:
    raw = request("POST", PATH, b'{"event":"drip"}')
    async with connected(shared_daemon) as connection:
        assert isinstance(connection.stream, trio.SocketStream)
        connection.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        for byte in raw:
            await connection.send(bytes([byte]))
            await trio.lowlevel.checkpoint()
        reply = await connection.read_reply()
        assert reply is not None
        assert reply.status == 200


async def test_half_requests_store_nothing(daemon: Daemon) -> None:
    """P1 the other way round: what was not answered was not promised, and half is not kept."""
    raw = request("POST", PATH, as_body(text_message("HALF", "metade")))
    large = request("POST", PATH, as_body(text_message("LARGE", "x" * 600_000)))
    async with neighbour(daemon):
        for half in (raw[:30], raw[: raw.index(b"\r\n\r\n") + 4], raw[:-1], large[:-1]):
            async with connected(daemon) as connection:
                await connection.send(half)
                assert isinstance(connection.stream, trio.SocketStream)
                await connection.stream.send_eof()
                reply = await connection.read_reply()
                assert reply is None or reply.status == 400
    await handled(daemon)
    reply = await ask(daemon, "GET", "/v1/tickets", Authorization=f"Bearer {token()}")
    assert [ticket["instance"] for ticket in reply.json["tickets"]] == ["vizinho"]


async def test_a_slow_head_is_cut_off_however_steadily_it_drips(shared_daemon: Daemon) -> None:
    """Slowloris: ``server.header_timeout`` counts from the first byte, not from the last."""
    async with neighbour(shared_daemon) as healthy, connected(shared_daemon) as slow:
        with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
            await slow.send(b"GET /livez HTTP/1.1\r\n")
            while True:
                await slow.send(b"X: y\r\n")
                await trio.sleep(0.1)
        await healthy.notices_nothing()
        reply = await slow.read_reply()
        assert reply is None or reply.status == 408
        assert await slow.is_closed()


async def test_a_silent_head_is_told_why_it_ends(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon) as slow:
        await slow.send(b"GET /livez HTTP/1.1\r\n")
        with trio.fail_after(30):
            reply = await slow.read_reply()
        assert reply is not None
        assert reply.status == 408
        assert await slow.is_closed()


@pytest.mark.parametrize("size", [1_000, 600_000])
async def test_a_body_that_stops_coming_is_given_up(tmp_path: Path, size: int) -> None:
    """On the hot path and on the streamed one, after ``server.body_timeout`` without progress."""
    with running(tmp_path / "state", SERVER__BODY_TIMEOUT="1") as daemon:
        async with neighbour(daemon) as healthy, connected(daemon) as slow:
            raw = request("POST", PATH, as_body(text_message("STOPS", "x" * size)))
            await slow.send(raw[: len(raw) // 2])
            await healthy.notices_nothing()
            with trio.fail_after(50):
                reply = await slow.read_reply()
            assert reply is None or reply.status in (400, 408)
            assert await slow.is_closed()


async def test_strangers_and_wrong_methods_are_told_so(shared_daemon: Daemon) -> None:
    """Contract §3: 401 without the secret, 405 for what a redirect turned into a GET."""
    body = as_body(text_message("STRANGER", "oi"))
    for path in ("/webhook/evolution", PATH + "x", "/hook/", "/messages-upsert"):
        expected = 404 if path == "/hook/" else 401
        assert (await ask(shared_daemon, "POST", path, body)).status == expected
    for path in (PATH, "/webhook/evolution", "/webhook/evolution/messages-upsert"):
        assert (await ask(shared_daemon, "GET", path)).status == 405
    with_header = await ask(
        shared_daemon, "POST", "/webhook/evolution", body, X_Webhook_Secret=PATH[len("/hook/") :]
    )
    assert with_header.status == 200
