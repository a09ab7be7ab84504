"""Long-polling: bodies of every kind, overlaps, what is lost and what is not, and who waits."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.socket import EngineSocket
from evorelay.edge.framestream import BUFFER_BYTES_MAX
from evorelay.protocol.engineio import PACKETS_MAX
from tests.certificates import self_signed
from tests.edge.engine_port import (
    PATH,
    Deaf,
    Echo,
    EnginePort,
    frame_of,
    open_engine,
    polling,
    request,
)
from tests.edge.harness import Client, until

MIB = 1024 * 1024


@asynccontextmanager
async def session(port: EnginePort) -> AsyncIterator[tuple[str, Client]]:
    """A session by polling, and a connection for its requests."""
    async with await port.connect() as client:
        yield await port.open(client), client


async def ask(client: Client, method: str, sid: str, body: bytes = b"") -> tuple[int, bytes]:
    answer = await client.call(request(method, polling(sid), body))
    return answer.status, answer.body


async def test_one_connection_carries_a_whole_session() -> None:
    async with open_engine() as port, session(port) as (sid, client):
        for number in range(20):
            assert await ask(client, "POST", sid, b"4%d" % number) == (200, b"ok")
            assert await ask(client, "GET", sid) == (200, b"4%d" % number)


async def test_the_path_may_lack_its_last_slash() -> None:
    """``addTrailingSlash: false`` of the client."""
    async with open_engine() as port, await port.connect() as client:
        answer = await client.call(
            request("GET", polling()).replace(PATH.encode() + b"?", PATH[:-1].encode() + b"?")
        )
        assert answer.status == 200


async def test_other_paths_are_none_of_ours() -> None:
    async with open_engine() as port, await port.connect() as client:
        await port.open(client)
        answer = await client.call(b"GET /hello HTTP/1.1\r\nHost: relay\r\n\r\n")
        assert answer.body == b"hello"
        assert await port.open(client)


async def test_a_poll_waits_for_what_is_pushed_and_takes_all_of_it() -> None:
    echo = Echo()
    async with open_engine(echo) as port, session(port) as (sid, client):
        await client.send(request("GET", polling(sid)))
        await until(lambda: bool(echo.sockets))
        await trio.testing.wait_all_tasks_blocked(0.01)
        for text in ("a", "b", "c"):
            assert echo.sockets[0].push(frame_of(text))
        assert (await client.answer()).body == b"4a\x1e4b\x1e4c"


@pytest.mark.parametrize("size", [1, 3])
async def test_a_chunked_body_is_read(size: int) -> None:
    async with open_engine() as port, session(port) as (sid, client):
        body = "4ção\x1ebAQID".encode()
        head = request("POST", polling(sid)).replace(
            b"Content-Length: 0", b"Transfer-Encoding: chunked"
        )
        await client.send(head)
        for at in range(0, len(body), size):
            part = body[at : at + size]
            await client.send(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).body == b"ok"
        assert await ask(client, "GET", sid) == (200, body)


async def test_a_client_that_asks_before_it_sends_its_body_is_told_to() -> None:
    async with open_engine() as port, session(port) as (sid, client):
        head = request("POST", polling(sid), b"4hello", "Expect: 100-continue")
        await client.send(head.removesuffix(b"4hello"))
        assert (await client.answer()).status == 100
        await client.send(b"4hello")
        assert (await client.answer()).body == b"ok"


async def test_who_speaks_http_1_0_is_never_told_to_continue() -> None:
    """RFC 9110 §10.1.1: it would take that for the answer."""
    async with open_engine() as port, session(port) as (sid, client):
        head = request("POST", polling(sid), b"4hello", "Expect: 100-continue")
        await client.send(head.replace(b"HTTP/1.1", b"HTTP/1.0").removesuffix(b"4hello"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.send(b"4hello")
        assert (await client.answer()).body == b"ok"


async def test_http_1_0_is_served() -> None:
    async with open_engine() as port, await port.connect() as client:
        old = request("GET", polling()).replace(b"HTTP/1.1", b"HTTP/1.0")
        answer = await client.call(old.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
        assert answer.headers["connection"] == "keep-alive"
        assert (await client.call(old)).closes
        assert await client.is_ended()


async def test_nothing_is_kept_in_a_cache() -> None:
    async with open_engine() as port, session(port) as (sid, client):
        for answer in (
            await client.call(request("POST", polling(sid), b"4a")),
            await client.call(request("GET", polling(sid))),
            await client.call(request("GET", polling("nobody"))),
        ):
            assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "query", "code"),
    [
        ("HEAD", polling(), 2),
        ("PUT", polling("{sid}"), 3),
        ("DELETE", polling("{sid}"), 3),
        ("HEAD", polling("{sid}"), 3),
        ("GET", polling("nobody"), 1),
        ("POST", polling("nobody"), 1),
        ("GET", polling("{sid}").replace("polling", "websocket"), 3),
        ("GET", polling("{sid}") + "&sid=other", 3),
        ("GET", polling("{sid}").replace("EIO=4", "EIO=3"), 5),
    ],
)
async def test_a_request_at_fault_disturbs_no_session(method: str, query: str, code: int) -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with await port.connect() as client:
            await client.send(request(method, query.replace("{sid}", sid)))
            answer = await client.answer(to_head=method == "HEAD")
            assert answer.status == 400
            if method != "HEAD":
                assert answer.json["code"] == code
        assert (await port.post(sid, b"4a")).status == 200
        assert (await port.get(sid)).body == b"4a"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"7", b"4a\x1e", b"4\xff", b"b=", b"4a\x1eabc", b"\x1e4a"),
        b"2",
        b"\x1e".join([b"6"] * (PACKETS_MAX + 1)),
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_a_payload_that_breaks_the_protocol_ends_the_session(body: bytes) -> None:
    """Also a ping: in protocol 4 it is the server who pings."""
    async with open_engine() as port:
        sid = await port.open()
        answer = await port.post(sid, body)
        assert (answer.status, answer.json["code"]) == (400, 3)
        assert (await port.get(sid)).json["code"] == 1


async def test_packets_without_a_meaning_are_passed_over() -> None:
    async with open_engine() as port:
        sid = await port.open()
        assert (await port.post(sid, b"6\x1e0{}\x1e5\x1e3\x1e4a")).body == b"ok"
        assert (await port.get(sid)).body == b"4a"


async def test_messages_before_a_goodbye_are_heard() -> None:
    heard: list[str | bytes] = []

    class Listener:
        async def serve(self, socket: EngineSocket) -> None:
            while True:
                heard.append(await socket.receive())

    async with open_engine(Listener()) as port:
        sid = await port.open()
        assert (await port.post(sid, b"4a\x1e4b\x1e1\x1e4c")).body == b"ok"
        await until(lambda: not len(port.server))
        assert heard == ["a", "b"]


class TestLimits:
    """P5: what one may send is bounded, before and after the client has signed in."""

    @pytest.mark.parametrize(
        ("is_admitted", "limit"), [(False, 64 * 1024), (True, 1_000_000)], ids=["stranger", "known"]
    )
    @pytest.mark.parametrize("is_chunked", [False, True], ids=["plain", "chunked"])
    async def test_a_body_over_the_limit_is_refused(
        self, is_admitted: bool, limit: int, is_chunked: bool
    ) -> None:
        echo = Echo()
        async with open_engine(echo) as port, session(port) as (sid, client):
            await until(lambda: bool(echo.sockets))
            if is_admitted:
                echo.sockets[0].admit()
            assert (await port.post(sid, b"4" + b"x" * (limit - 1))).status == 200
            head = request("POST", polling(sid), b"", f"Content-Length: {limit + 1}")
            head = head.replace(b"Content-Length: 0\r\n", b"")
            if is_chunked:
                head = head.replace(
                    b"Content-Length: %d" % (limit + 1), b"Transfer-Encoding: chunked"
                )
                head += b"%x\r\n" % (limit + 1) + b"4" + b"x" * limit
            answer = await client.call(head)
            assert (answer.status, answer.closes) == (413, True)
            assert str(limit) in answer.body.decode()
            assert len((await port.get(sid)).body) == limit

    async def test_chunks_that_are_framing_and_little_else_are_refused(self) -> None:
        async with open_engine() as port, session(port) as (sid, client):
            head = request("POST", polling(sid)).replace(
                b"Content-Length: 0", b"Transfer-Encoding: chunked"
            )
            with trio.move_on_after(30):
                await client.send(head)
                for _ in range(64):
                    await client.send(b"1;" + b"e" * 16_000 + b"\r\nx\r\n")
            assert (await client.answer()).status == 413

    async def test_a_body_that_does_not_get_on_ends_the_session(self) -> None:
        async with open_engine(server={"body_timeout": 0.05}) as port:
            async with session(port) as (sid, client):
                await client.send(request("POST", polling(sid), b"4hello")[:-1])
                assert (await client.answer()).status == 408
                assert (await port.get(sid)).status == 400

    async def test_a_client_that_leaves_in_its_body_ends_the_session(self) -> None:
        async with open_engine() as port:
            async with session(port) as (sid, client):
                await client.send(request("POST", polling(sid), b"4hello")[:-1])
                await trio.testing.wait_all_tasks_blocked(0.01)
            await until(lambda: port.server.find(sid) is None)

    async def test_a_handler_that_takes_nothing_holds_the_client_back(self) -> None:
        deaf = Deaf()
        async with open_engine(deaf) as port, session(port) as (sid, client):
            await client.send(request("POST", polling(sid), b"\x1e".join([b"4x"] * 50)))
            with trio.move_on_after(0.05):
                await client.answer()
                pytest.fail("nobody has taken the messages yet")
            deaf.may_listen.set()
            assert (await client.answer()).body == b"ok"
            assert (await port.get(sid)).body == b"\x1e".join([b"4x"] * 50)

    async def test_but_not_for_ever(self) -> None:
        async with open_engine(Deaf(), patience_s=0.05) as port, session(port) as (sid, client):
            answer = await client.call(request("POST", polling(sid), b"\x1e".join([b"4x"] * 50)))
            assert answer.status == 400
            assert (await port.get(sid)).status == 400

    async def test_a_client_that_is_held_back_is_not_blamed_for_its_silence(
        self, mock_clock: MockClock
    ) -> None:
        """Its pong lies behind the messages that nobody takes."""
        deaf, options = Deaf(), EngineOptions()
        async with open_engine(deaf, patience_s=60) as port:
            async with session(port) as (sid, client):
                mock_clock.jump(options.ping_interval_s)
                assert (await port.get(sid)).body == b"2"
                payload = b"\x1e".join([b"4x"] * 50) + b"\x1e3"
                await client.send(request("POST", polling(sid), payload))
                held = port.server.find(sid)
                assert held is not None
                while not held._inbox.is_full:
                    await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(options.ping_timeout_s * 2)
                await trio.testing.wait_all_tasks_blocked()
                deaf.may_listen.set()
                assert (await client.answer()).body == b"ok"
                assert port.server.find(sid) is not None


class TestOverlaps:
    async def test_a_second_post_ends_the_session(self) -> None:
        async with open_engine() as port, session(port) as (sid, client):
            await client.send(request("POST", polling(sid), b"4hello")[:-1])
            await until(lambda: getattr(port.server.find(sid), "is_posting", False))
            assert (await port.post(sid, b"4other")).status == 400
            await client.send(b"o")
            assert (await client.answer()).status == 400
            assert (await port.get(sid)).status == 400

    async def test_a_poll_and_a_post_are_no_overlap(self) -> None:
        async with open_engine() as port, session(port) as (sid, client):
            await client.send(request("GET", polling(sid)))
            assert (await port.post(sid, b"4a")).status == 200
            assert (await client.answer()).body == b"4a"

    async def test_a_poll_may_come_before_we_know_that_the_last_answer_is_out(self) -> None:
        """Through a proxy the next GET takes another connection, and may be read first."""
        echo = Echo()
        async with open_engine(echo) as port, session(port) as (sid, client):
            await until(lambda: bool(echo.sockets))
            echo.sockets[0].push(frame_of("x" * (8 * MIB)))
            before = echo.sockets[0].last_progress_at
            await client.send(request("GET", polling(sid)))
            await until(lambda: echo.sockets[0].last_progress_at > before)
            async with await port.connect() as other:
                await other.send(request("GET", polling(sid)))
                await port.is_polled(sid)
                assert len((await client.answer()).body) == 8 * MIB + 1
                assert echo.sockets[0].push(frame_of("next"))
                assert (await other.answer()).body == b"4next"

    async def test_a_request_sent_behind_a_poll_waits_its_turn(self) -> None:
        async with open_engine() as port, session(port) as (sid, client):
            await client.send(request("GET", polling(sid)) + request("POST", polling(sid), b"4b"))
            assert (await port.post(sid, b"4a")).status == 200
            assert (await client.answer()).body == b"4a"
            assert (await client.answer()).body == b"ok"
            assert (await port.get(sid)).body == b"4b"


class TestWhoLeaves:
    async def test_a_reader_that_stalls_in_its_answer_delays_nobody(self) -> None:
        """P5."""
        echo = Echo()
        async with open_engine(echo) as port, session(port) as (sid, client):
            await until(lambda: bool(echo.sockets))
            echo.sockets[0].push(frame_of("x" * (16 * MIB)))
            await client.send(request("GET", polling(sid)))
            async with session(port) as (other_sid, other):
                for number in range(50):
                    assert (await ask(other, "POST", other_sid, b"4%d" % number))[0] == 200
                    assert await ask(other, "GET", other_sid) == (200, b"4%d" % number)
            assert echo.sockets[0].pending > 16 * MIB

    async def test_an_answer_that_cannot_be_written_ends_the_session(self) -> None:
        """Its packets are lost: the client comes back and is told again what it missed."""
        echo = Echo()
        async with open_engine(echo) as port:
            async with session(port) as (sid, client):
                await until(lambda: bool(echo.sockets))
                echo.sockets[0].push(frame_of("x" * (16 * MIB)))
                await client.send(request("GET", polling(sid)))
                await trio.testing.wait_all_tasks_blocked(0.01)
            await until(lambda: port.server.find(sid) is None)
            await until(lambda: not len(port.server))

    async def test_a_client_that_does_not_come_back_is_given_up(self) -> None:
        async with open_engine(ping_interval_s=0.05, ping_timeout_s=0.05) as port:
            await port.open()
            await until(lambda: not len(port.server))


class TestTheLastWords:
    async def test_what_a_handler_says_last_is_still_fetched(self) -> None:
        class Rude:
            async def serve(self, socket: EngineSocket) -> None:
                await socket.send(frame_of("go away"))

        async with open_engine(Rude()) as port:
            sid = await port.open()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await port.post(sid, b"4hello")).body == b"ok"
            assert (await port.get(sid)).body == b"4go away"
            assert (await port.get(sid)).body == b"1", "not beside a message (see say_farewell)"
            assert (await port.get(sid)).status == 400
            await until(lambda: not len(port.server))

    async def test_a_poll_that_waits_hears_the_end(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port, session(port) as (sid, client):
            await client.send(request("GET", polling(sid)))
            await until(lambda: bool(echo.sockets))
            echo.sockets[0].close_asap()
            assert (await client.answer()).body == b"1"
            assert (await port.get(sid)).status == 400

    async def test_they_are_not_kept_for_ever(self) -> None:
        echo = Echo()
        async with open_engine(echo, farewell_s=0.05) as port:
            await port.open()
            await until(lambda: bool(echo.sockets))
            echo.sockets[0].close_asap()
            await until(lambda: not len(port.server))

    async def test_nothing_is_taken_behind_them(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port:
            await port.open()
            await until(lambda: bool(echo.sockets))
            socket = echo.sockets[0]
            socket.close_asap()
            assert not socket.push(frame_of("late"))
            with pytest.raises(trio.BrokenResourceError):
                await socket.send(frame_of("late"))


class Told:
    """A sender that counts how often it is told."""

    def __init__(self) -> None:
        self.count = 0

    def drained(self) -> None:
        self.count += 1


class TestTheBuffer:
    """The same words as a ``FrameStream``'s, so a session need not know what is below it."""

    async def test_it_is_bounded_and_an_empty_one_takes_any_size(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port:
            sid = await port.open()
            await until(lambda: bool(echo.sockets))
            socket = echo.sockets[0]
            assert socket.push(frame_of("x" * BUFFER_BYTES_MAX))
            assert not socket.push(frame_of("y"))
            assert socket.pending > BUFFER_BYTES_MAX
            assert len((await port.get(sid)).body) == BUFFER_BYTES_MAX + 1
            await until(lambda: socket.pending == 0)
            assert socket.push(frame_of("y"))

    async def test_who_asked_is_told_once_when_a_poll_has_taken_everything(self) -> None:
        echo, told = Echo(), Told()
        async with open_engine(echo) as port:
            sid = await port.open()
            await until(lambda: bool(echo.sockets))
            socket = echo.sockets[0]
            socket.sender = told
            socket.push(frame_of("a"))
            socket.tell_drained = True
            await port.get(sid)
            await until(lambda: told.count == 1)
            assert not socket.tell_drained
            socket.push(frame_of("b"))
            await port.get(sid)
            assert told.count == 1

    async def test_sending_waits_while_too_much_is_waiting(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port, trio.open_nursery() as nursery:
            sid = await port.open()
            await until(lambda: bool(echo.sockets))
            sent = trio.Event()

            async def send() -> None:
                await echo.sockets[0].send(frame_of("x" * BUFFER_BYTES_MAX))
                sent.set()

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not sent.is_set()
            await port.get(sid)
            with trio.fail_after(30):
                await sent.wait()

    async def test_whoever_waits_to_send_is_woken_when_the_session_ends(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port, trio.open_nursery() as nursery:
            await port.open()
            await until(lambda: bool(echo.sockets))
            broken = trio.Event()

            async def send() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await echo.sockets[0].send(frame_of("x" * 2 * BUFFER_BYTES_MAX))
                broken.set()

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked(0.01)
            echo.sockets[0].end()
            with trio.fail_after(30):
                await broken.wait()

    async def test_progress_is_dated_while_a_large_answer_is_read(self) -> None:
        """Else a slow line would count as one that takes nothing."""
        echo = Echo()
        async with open_engine(echo) as port, session(port) as (sid, client):
            await until(lambda: bool(echo.sockets))
            socket = echo.sockets[0]
            socket.push(frame_of("x" * (16 * MIB)))
            await client.send(request("GET", polling(sid)))
            await trio.testing.wait_all_tasks_blocked(0.05)
            before = socket.last_progress_at
            with trio.fail_after(30):
                while socket.last_progress_at == before:
                    await client.stream.receive_some(MIB)
            assert socket.pending


async def test_it_works_over_tls(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    config = {"tls_cert": str(cert), "tls_key": str(key)}
    async with open_engine(server=config) as port:
        async with await port.connect(trusting) as client, await port.connect(trusting) as other:
            answer = await client.call(request("GET", polling()))
            sid = json.loads(answer.body[1:])["sid"]
            for number in range(20):
                await client.send(request("GET", polling(sid)))
                assert await ask(other, "POST", sid, b"4%d" % number) == (200, b"ok")
                assert (await client.answer()).body == b"4%d" % number


async def test_many_polls_at_once() -> None:
    async with open_engine() as port, trio.open_nursery() as nursery:

        async def talk(name: int) -> None:
            async with session(port) as (sid, client):
                for number in range(5):
                    text = b"4%d of %d" % (number, name)
                    assert await ask(client, "POST", sid, text) == (200, b"ok")
                    assert await ask(client, "GET", sid) == (200, text)

        for name in range(100):
            nursery.start_soon(partial(talk, name))


class Thoughtful(Echo):
    """Takes its time for every answer."""

    async def serve(self, socket: EngineSocket) -> None:
        while True:
            message = await socket.receive()
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            await socket.send(frame_of(message))


async def test_the_poll_behind_a_payload_has_the_answers_to_all_of_it(
    mock_clock: MockClock,
) -> None:
    """As with the reference server, whose suite failed on it in 2 of 20 runs."""
    payload = b"\x1e".join(b"4test%d" % number for number in range(10))
    async with open_engine(Thoughtful()) as port:
        sid = await port.open()
        for _ in range(5):
            assert (await port.post(sid, payload)).status == 200
            assert (await port.get(sid)).body == payload


async def test_a_handler_that_does_not_listen_holds_a_payload_up_for_a_moment_only() -> None:
    """P5"""
    handler = Deaf()
    async with open_engine(handler) as port:
        sid = await port.open()
        with trio.fail_after(30):
            assert (await port.post(sid, b"4one\x1e4two")).status == 200
        handler.may_listen.set()
        assert (await port.get(sid)).body.startswith(b"4one")
