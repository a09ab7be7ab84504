"""The contract with hypercorn's TCPServer, which is not documented API: one request per run."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.config import ServerConfig
from evorelay.edge.handover import Handover
from evorelay.edge.inbound import Inbound
from evorelay.edge.request_context import RequestContext
from tests.edge.harness import App, Client, answer, request

CONTEXT = RequestContext("203.0.113.9", True)


class Served:
    """A connection whose every request is handed over, and what came of each."""

    def __init__(
        self, app: Any, client: Client, transport: trio.SocketStream, send_timeout_s: float
    ) -> None:
        self.client = client
        self.inbound = Inbound(transport, ServerConfig())
        self.transport = transport
        self.handover = Handover(app, send_timeout_s=send_timeout_s)
        self.results: list[bool] = []
        self.ended = trio.Event()

    async def run(self) -> None:
        with self.inbound.scope:
            while (head := await self.inbound.read_head()) is not None:
                self.results.append(
                    await self.handover.serve(self.transport, self.inbound, head, CONTEXT)
                )
                if not self.results[-1]:
                    break
        await self.transport.aclose()
        self.ended.set()


@asynccontextmanager
async def handed_over(app: Any, *, send_timeout_s: float = 60.0) -> AsyncIterator[Served]:
    ours, theirs = (
        trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
    )
    async with trio.open_nursery() as nursery, Client(theirs) as client:
        served = Served(app, client, ours, send_timeout_s)
        nursery.start_soon(served.run)
        yield served
        nursery.cancel_scope.cancel()


async def test_the_connection_comes_back_after_each_answer() -> None:
    async with handed_over(App()) as served:
        for count in range(1, 4):
            assert (await served.client.call(request("/hello"))).body == b"hello"
            await trio.testing.wait_all_tasks_blocked()
            assert served.results == [True] * count


async def test_the_next_request_is_not_touched() -> None:
    """A pipelined request is the gate's to read, after the answer before it."""
    app = App()
    async with handed_over(app) as served:
        await served.client.send(request("/when-allowed") + request("/hello"))
        await app.entered.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert len(app.scopes) == 1
        assert served.inbound.buffer == request("/hello")
        app.may_answer.set()
        assert (await served.client.answer()).body == b"at last"
        assert (await served.client.answer()).body == b"hello"


async def test_the_application_learns_what_the_gate_knows() -> None:
    app = App()
    async with handed_over(app) as served:
        await served.client.call(request("/hello?a=%20b", None, "X-Thing: 1", "X-Empty:"))
    scope = app.scopes[0]
    assert (scope["evorelay.peer"], scope["scheme"]) == ("203.0.113.9", "https")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/hello",
        b"/hello",
        b"a=%20b",
    )
    assert (b"x-thing", b"1") in scope["headers"]
    assert (b"x-empty", b"") in scope["headers"]


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_a_body_arrives_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with handed_over(App()) as served, trio.open_nursery() as nursery:
        nursery.start_soon(served.client.send, request("/echo", body) + request("/hello"))
        assert (await served.client.answer()).body == body
        assert (await served.client.answer()).body == b"hello"


@pytest.mark.parametrize("piece", [1, 7, 4096])
async def test_a_chunked_body_arrives_whole(piece: int) -> None:
    body = bytes(range(256)) * (1 if piece == 1 else 400)
    head = request("/echo", None, "Transfer-Encoding: chunked", method="POST")
    chunks = b"".join(
        b"%x;ext=1\r\n%s\r\n" % (len(body[i : i + piece]), body[i : i + piece])
        for i in range(0, len(body), piece)
    )
    async with handed_over(App()) as served, trio.open_nursery() as nursery:
        nursery.start_soon(served.client.send, head + chunks + b"0\r\nTrailer: 1\r\n\r\n")
        assert (await served.client.answer()).body == body
        assert (await served.client.call(request("/hello"))).body == b"hello"


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\nhello", b"-1\r\n", b"5\r\nhello!"])
async def test_broken_chunks_are_refused(chunks: bytes) -> None:
    app = App()
    head = request("/echo", None, "Transfer-Encoding: chunked", method="POST")
    async with handed_over(app) as served:
        assert (await served.client.call(head + b"1\r\na\r\n" + chunks)).status == 400
        assert await served.client.is_ended()
    assert app.disconnected.is_set()


async def test_a_request_behind_a_chunked_one_in_the_same_bytes_is_refused() -> None:
    """It cannot be told from the chunked body without a second opinion on where that ends."""
    head = request("/echo", None, "Transfer-Encoding: chunked", method="POST")
    async with handed_over(App()) as served:
        await served.client.send(head + b"1\r\na\r\n0\r\n\r\n" + request("/hello"))
        assert (await served.client.answer()).status == 400
        assert await served.client.is_ended()


async def test_a_client_that_asks_first_is_told_to_continue() -> None:
    head = request("/echo", None, "Expect: 100-continue", "Content-Length: 3", method="POST")
    async with handed_over(App()) as served:
        assert (await served.client.call(head)).status == 100
        assert (await served.client.call(b"abc")).body == b"abc"
        assert (await served.client.call(request("/hello"))).body == b"hello"


async def test_a_body_is_read_only_as_the_application_asks() -> None:
    """P5: memory holds what is being worked on, the socket holds the rest back."""
    may_read = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await may_read.wait()
        while (await receive())["more_body"]:
            pass
        await answer(send, b"done")

    async with handed_over(app) as served, trio.open_nursery() as nursery:
        sent = trio.Event()

        async def post() -> None:
            await served.client.send(request("/x", bytes(500_000)))
            sent.set()

        nursery.start_soon(post)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not sent.is_set()
        may_read.set()
        assert (await served.client.answer()).body == b"done"


async def test_an_application_may_ignore_a_small_body() -> None:
    async with handed_over(App()) as served:
        for _ in range(3):
            assert (await served.client.call(request("/ignore", b"{}"))).status == 200
            assert (await served.client.call(request("/hello"))).body == b"hello"


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_application_may_answer_without_reading_the_body(chunked: bool) -> None:
    """The connection ends then, because nobody knows where the next request begins."""
    body = b"1\r\nx\r\n" * 20_000 if chunked else bytes(5_000_000)
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    async with handed_over(App()) as served, trio.open_nursery() as nursery:

        async def flood() -> None:
            while True:
                await served.client.send(body)

        async def post() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await flood()

        await served.client.send(request("/ignore", None, how, method="POST"))
        nursery.start_soon(post)
        with trio.fail_after(30):
            assert (await served.client.answer()).body == b"not interested"
            await served.ended.wait()
        assert served.results == [False]


async def test_an_answer_in_the_middle_of_very_many_chunks_does_not_hang() -> None:
    """Hypercorn's queue to the application is full then, and nobody empties it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await trio.testing.wait_all_tasks_blocked(0.05)
        await answer(send, b"enough")

    head = request("/x", None, "Transfer-Encoding: chunked", method="POST")
    async with handed_over(app, send_timeout_s=1.0) as served:
        assert (await served.client.call(head + b"1\r\nx\r\n" * 5_000)).body == b"enough"
        with trio.fail_after(30):
            await served.ended.wait()


async def test_a_client_that_hangs_up_ends_its_handler() -> None:
    app = App()
    async with handed_over(app) as served:
        await served.client.send(request("/until-gone"))
        await app.entered.wait()
        await served.client.stream.aclose()
        with trio.fail_after(30):
            await app.disconnected.wait()
            await served.ended.wait()


async def test_a_client_that_hangs_up_in_its_body_ends_its_handler() -> None:
    app = App()
    async with handed_over(app) as served:
        await served.client.send(request("/echo", bytes(1000))[:-1])
        await app.entered.wait()
        await served.client.stream.aclose()
        with trio.fail_after(30):
            await app.disconnected.wait()
            await served.ended.wait()


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    """Hypercorn shields its sends: without this a stalled reader would block the shutdown."""
    async with handed_over(App(), send_timeout_s=0.2) as served:
        await served.client.send(request("/big?50000000"))
        with trio.fail_after(30):
            await served.ended.wait()
        assert served.results == [False]


async def test_a_large_answer_arrives_whole() -> None:
    async with handed_over(App()) as served:
        await served.client.send(request("/big?8000000"))
        assert len((await served.client.answer()).body) == 8_000_000
        assert (await served.client.call(request("/hello"))).body == b"hello"


async def test_cancelling_ends_a_request_under_way() -> None:
    app = App()
    async with handed_over(app) as served:
        await served.client.send(request("/when-allowed"))
        await app.entered.wait()
        served.inbound.scope.cancel()
        with trio.fail_after(30):
            assert await served.client.is_ended()


class TestAnswers:
    async def test_head(self) -> None:
        async with handed_over(App()) as served:
            await served.client.send(request("/hello", method="HEAD"))
            found = await served.client.answer(to_head=True)
            assert found.headers["content-length"] == "5"
            assert (await served.client.call(request("/hello"))).body == b"hello"

    async def test_304(self) -> None:
        async with handed_over(App()) as served:
            found = await served.client.call(request("/unmodified"))
            assert (found.status, found.headers["etag"]) == (304, "x")
            assert (await served.client.call(request("/hello"))).body == b"hello"

    async def test_without_a_length(self) -> None:
        async with handed_over(App()) as served:
            assert (await served.client.call(request("/streamed"))).body == b"one two three"
            assert (await served.client.call(request("/hello"))).body == b"hello"

    async def test_connection_close(self) -> None:
        async with handed_over(App()) as served:
            found = await served.client.call(request("/hello", None, "Connection: close"))
            assert (found.body, found.closes) == (b"hello", True)
            assert await served.client.is_ended()
            assert served.results == [False]

    async def test_http_1_0(self) -> None:
        async with handed_over(App()) as served:
            await served.client.send(b"GET /streamed HTTP/1.0\r\n\r\n")
            received = b""
            while data := await served.client.stream.receive_some():
                received += data
            assert received.endswith(b"\r\n\r\none two three")
            assert b"chunked" not in received
            assert served.results == [False]

    async def test_while_draining(self) -> None:
        async with handed_over(App()) as served:
            served.handover.close_asap()
            assert (await served.client.call(request("/hello"))).closes
            assert await served.client.is_ended()


class TestErrors:
    async def test_before_the_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        async with handed_over(App()) as served:
            found = await served.client.call(request("/boom") + request("/hello"))
            assert (found.status, found.closes) == (500, True)
            assert await served.client.is_ended()
        assert "a bug in the application" in caplog.text

    async def test_in_the_middle_of_the_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        """What is missing shows; the next request's answer must not be taken for it."""
        async with handed_over(App()) as served:
            await served.client.send(request("/boom-late") + request("/hello"))
            with pytest.raises(EOFError):
                await served.client.answer()
        assert "a bug in the application" in caplog.text

    async def test_after_the_answer(self, caplog: pytest.LogCaptureFixture) -> None:
        async def late(scope: Any, receive: Any, send: Any) -> None:
            await answer(send, b"fine")
            raise RuntimeError("a bug in the application")

        async with handed_over(late) as served:
            for _ in range(2):
                assert (await served.client.call(request("/hello"))).body == b"fine"
        assert "a bug in the application" in caplog.text

    async def test_an_application_that_says_nothing(self) -> None:
        async def silent(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        async with handed_over(silent) as served:
            found = await served.client.call(request("/hello") + request("/hello"))
            assert (found.status, found.closes) == (500, True)
            assert await served.client.is_ended()
