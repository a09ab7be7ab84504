"""All sessions together: how many there may be, whose bug is whose, and how they end."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from websockets.protocol import State

from evorelay.config import AuthConfig
from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.engineio.socket import EngineSocket
from evorelay.edge.framestream import BUFFER_BYTES_MAX
from evorelay.model.close import Close
from tests.edge.engine_port import (
    Echo,
    EnginePort,
    frame_of,
    open_engine,
    polling,
    probe,
    request,
    websocket,
)
from tests.edge.harness import until


class Signing(Echo):
    """Signs a client in with its first message."""

    async def serve(self, socket: EngineSocket) -> None:
        self.sockets.append(socket)
        await socket.receive()
        socket.admit()
        await socket.send(frame_of("welcome"))
        while True:
            await socket.send(frame_of(await socket.receive()))


async def sign_in(port: EnginePort) -> str:
    sid = await port.open()
    assert (await port.post(sid, b"4token")).status == 200
    assert (await port.get(sid)).body == b"4welcome"
    return sid


class TestHowMany:
    """P5."""

    async def test_strangers_are_bounded(self) -> None:
        async with open_engine(Signing(), strangers_max=3) as port:
            for _ in range(3):
                await port.open()
            answer = await port.ask("GET", polling())
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert await port.refused(websocket()) == 503
            assert len(port.server) == 3

    async def test_who_has_signed_in_is_no_stranger(self) -> None:
        async with open_engine(Signing(), strangers_max=2) as port:
            sids = [await sign_in(port) for _ in range(5)]
            for sid in sids:
                await port.post(sid, b"4still here")
                assert (await port.get(sid)).body == b"4still here"

    async def test_a_stranger_who_had_time_gives_way(self) -> None:
        """So a flood of handshakes keeps nobody out who signs in as clients do."""
        async with open_engine(Signing(), strangers_max=2, stranger_grace_s=0.05) as port:
            first, second = await port.open(), await port.open()
            await trio.sleep(0.06)
            third = await port.open()
            assert (await port.get(first)).status == 400
            assert len(port.server) == 2
            for sid in (second, third):
                assert (await port.post(sid, b"4token")).status == 200

    async def test_a_flood_of_handshakes_leaves_what_is_there_alone(self) -> None:
        async with open_engine(Signing(), strangers_max=10) as port:
            sid = await sign_in(port)
            statuses = set()
            async with await port.connect() as flood:
                for _ in range(500):
                    statuses.add((await flood.call(request("GET", polling()))).status)
            assert statuses == {200, 503}
            assert len(port.server) == 11
            await port.post(sid, b"4hello")
            assert (await port.get(sid)).body == b"4hello"

    async def test_all_sessions_are_bounded(self) -> None:
        async with open_engine(Signing(), sockets_max=2) as port:
            await sign_in(port)
            await sign_in(port)
            assert (await port.ask("GET", polling())).status == 503
            assert await port.refused(websocket()) == 503

    async def test_a_session_that_is_over_makes_room(self) -> None:
        async with open_engine(sockets_max=1) as port:
            sid = await port.open()
            await port.post(sid, b"1")
            await until(lambda: not len(port.server))
            assert await port.open()

    async def test_a_handshake_whose_answer_nobody_reads_leaves_no_session(self) -> None:
        async with open_engine(ping_interval_s=0.05, ping_timeout_s=0.05) as port:
            async with await port.connect() as client:
                await client.send(request("GET", polling()) * 20)
            await until(lambda: not len(port.server))


class TestHandlers:
    async def test_a_bug_in_one_ends_its_session_and_no_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Buggy:
            async def serve(self, socket: EngineSocket) -> None:
                while (message := await socket.receive()) != "boom":
                    await socket.send(frame_of(message))
                raise RuntimeError("a bug in a handler")

        async with open_engine(Buggy()) as port, port.websocket(websocket()) as ws:
            await ws.receive()
            victim = await port.open()
            await port.post(victim, b"4boom")
            assert (await port.get(victim)).body == b"1"
            assert "ended with an error" in caplog.text
            await ws.send("4hello")
            assert await ws.receive() == "4hello"
            await ws.send("4boom")
            close = await ws.closed()
            assert close is not None
            assert (close.code, close.reason) == (3004, "internal server error")

    async def test_a_bug_that_shows_in_a_shutdown_is_no_reason_to_crash(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Clumsy(Echo):
            async def serve(self, socket: EngineSocket) -> None:
                self.sockets.append(socket)
                try:
                    await trio.sleep_forever()
                finally:
                    raise RuntimeError("a bug in tidying up")

        clumsy = Clumsy()
        async with open_engine(clumsy) as port:
            await port.open()
            await until(lambda: bool(clumsy.sockets))
        assert "ended with an error" in caplog.text

    async def test_one_that_returns_closes_a_websocket_behind_its_last_words(self) -> None:
        class Brief:
            async def serve(self, socket: EngineSocket) -> None:
                await socket.send(frame_of("x" * BUFFER_BYTES_MAX))
                assert not socket.push(frame_of("no room"))

        async with open_engine(Brief()) as port, port.websocket(websocket()) as ws:
            await ws.receive()
            assert len(await ws.receive()) == BUFFER_BYTES_MAX + 1
            assert await ws.closed() is not None
            await until(lambda: not len(port.server))

    async def test_a_websocket_is_told_the_reason(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port, port.websocket(websocket()) as ws:
            await ws.receive()
            await until(lambda: bool(echo.sockets))
            echo.sockets[0].close_asap(Close.SLOW)
            echo.sockets[0].close_asap(Close.SHUTDOWN)
            close = await ws.closed()
            assert close is not None
            assert (close.code, close.reason) == (3008, "slow")

    async def test_one_hears_of_the_end_when_it_listens(self) -> None:
        heard: list[str] = []

        class Listener:
            async def serve(self, socket: EngineSocket) -> None:
                try:
                    await socket.receive()
                except trio.EndOfChannel:
                    heard.append("the end")
                    raise

        async with open_engine(Listener()) as port:
            sid = await port.open()
            await port.post(sid, b"1")
            async with port.websocket(websocket()) as ws:
                await ws.receive()
            await until(lambda: heard == ["the end"] * 2)


class TestHeartbeats:
    async def test_a_client_that_answers_is_never_closed(self) -> None:
        async with open_engine(ping_interval_s=0.02, ping_timeout_s=30) as port:
            async with port.websocket(websocket()) as ws:
                await ws.receive()
                for _ in range(4):
                    assert await ws.receive() == "2"
                    await ws.send("3")
                await ws.send("4hello")
                assert await ws.receive() == "4hello"

    async def test_talking_is_no_answer(self) -> None:
        async with open_engine(ping_interval_s=0.05, ping_timeout_s=0.1) as port:
            async with port.websocket(websocket()) as ws, trio.open_nursery() as nursery:

                async def talk() -> None:
                    while ws.protocol.state is State.OPEN:
                        await ws.send("4hello")
                        await trio.sleep(0.01)

                nursery.start_soon(talk)
                with trio.fail_after(30):
                    assert await ws.closed() is not None
                nursery.cancel_scope.cancel()

    async def test_they_go_on_through_an_upgrade(self, mock_clock: MockClock) -> None:
        options = EngineOptions()
        async with open_engine() as port:
            sid = await port.open()
            mock_clock.jump(options.ping_interval_s)
            assert (await port.get(sid)).body == b"2"
            await port.post(sid, b"3")
            async with port.websocket(websocket(sid)) as ws:
                await probe(ws)
                await ws.send("5")
                for _ in range(2):
                    await ws.send("4heard")
                    assert await ws.receive() == "4heard"
                    mock_clock.jump(options.ping_interval_s)
                    assert await ws.receive() == "2"
                    await ws.send("3")
                await ws.send("4heard")
                assert await ws.receive() == "4heard"
                mock_clock.jump(options.ping_interval_s)
                assert await ws.receive() == "2"
                mock_clock.jump(options.ping_timeout_s)
                assert await ws.closed() is not None
            assert not len(port.server)

    async def test_a_client_pings_in_vain(self) -> None:
        """Protocol 3 had it that way round."""
        async with open_engine() as port, port.websocket(websocket()) as ws:
            await ws.receive()
            await ws.send("2")
            assert await ws.closed() is not None

    async def test_a_full_buffer_that_nobody_takes_from_ends_the_session(self) -> None:
        echo = Echo()
        async with open_engine(echo, ping_interval_s=0.05, ping_timeout_s=0.1) as port:
            await port.open()
            await until(lambda: bool(echo.sockets))
            echo.sockets[0].push(frame_of("x" * BUFFER_BYTES_MAX))
            began = trio.current_time()
            await until(lambda: not len(port.server))
            assert trio.current_time() - began > 0.1


class TestDraining:
    async def test_strangers_are_ended_and_nobody_is_let_in(self) -> None:
        async with open_engine(Signing()) as port, await port.connect() as client:
            sid = await port.open()
            await client.send(request("GET", polling(sid)))
            await trio.testing.wait_all_tasks_blocked(0.01)
            async with port.websocket(websocket()) as ws, await port.connect() as late:
                await ws.receive()
                await late.send(request("GET", polling())[:-4])
                await trio.testing.wait_all_tasks_blocked(0.01)
                port.server.close_asap()
                answer = await client.answer()
                assert (answer.body, answer.closes) == (b"1", True)
                close = await ws.closed()
                assert close is not None
                assert (close.code, close.reason) == (3001, "shutdown")
                await late.send(b"\r\n\r\n")
                assert (await late.answer()).status == 503

    async def test_who_has_signed_in_is_the_handlers_to_end(self) -> None:
        signing = Signing()
        async with open_engine(signing) as port, await port.connect() as client:
            sid = await sign_in(port)
            await client.send(request("GET", polling(sid)))
            await trio.testing.wait_all_tasks_blocked(0.01)
            port.server.close_asap()
            port.gate.close_asap()
            await trio.testing.wait_all_tasks_blocked(0.01)
            signing.sockets[0].push(frame_of("see you"))
            signing.sockets[0].close_asap(Close.SHUTDOWN)
            answer = await client.answer()
            assert (answer.body, answer.closes) == (b"4see you", True)
            await client.stream.aclose()
            with trio.fail_after(30):
                await port.is_done.wait()

    @pytest.mark.parametrize("is_known", [False, True])
    async def test_a_post_that_does_not_get_on_keeps_nobody_waiting(self, is_known: bool) -> None:
        """Nobody will hear what it brings."""
        signing = Signing()
        async with open_engine(signing) as port, await port.connect() as client:
            sid = await sign_in(port) if is_known else await port.open()
            await client.send(request("POST", polling(sid), b"4hello")[:-1])
            found = port.server.find(sid)
            assert found is not None
            await until(lambda: found.is_posting)
            port.gate.close_asap()
            port.server.close_asap()
            for socket in signing.sockets:
                socket.close_asap(Close.SHUTDOWN)
            assert (await client.answer()).status == 400
            await client.stream.aclose()
            with trio.fail_after(30):
                await port.is_done.wait()

    async def test_what_is_said_last_survives_a_post_that_does_not_get_on(self) -> None:
        signing = Signing()
        async with open_engine(signing) as port, await port.connect() as client:
            sid = await sign_in(port)
            await client.send(request("POST", polling(sid), b"4hello")[:-1])
            await until(lambda: signing.sockets[0].is_posting)
            signing.sockets[0].push(frame_of("stay away"))
            signing.sockets[0].close_asap()
            assert (await client.answer()).status == 400
            assert (await port.get(sid)).body == b"4stay away"
            assert (await port.get(sid)).body == b"1"

    async def test_cancelling_the_service_ends_every_session(self) -> None:
        async with open_engine(Signing()) as port, await port.connect() as client:
            sid = await sign_in(port)
            await client.send(request("GET", polling(sid)))
            await trio.testing.wait_all_tasks_blocked(0.01)
            async with port.websocket(websocket()) as ws:
                await ws.receive()
                port.service.cancel()
                assert (await client.answer()).body == b"1"
                assert await ws.closed() is not None
            assert not len(port.server)
            assert (await port.ask("GET", polling())).status == 503

    async def test_before_it_runs_it_lets_nobody_in(self) -> None:
        assert not EngineServer(Echo(), EngineOptions(), AuthConfig()).has_room()
