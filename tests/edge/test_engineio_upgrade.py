"""From polling to a WebSocket: nothing lost, nothing twice; a try that fails disturbs nobody."""

import json
import random
import ssl
from base64 import b64decode
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from websockets.exceptions import InvalidStatus

from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.socket import EngineSocket
from evorelay.edge.framestream import BUFFER_BYTES_MAX
from tests.certificates import self_signed
from tests.edge.engine_port import (
    Deaf,
    Echo,
    EnginePort,
    WebSocket,
    frame_of,
    open_engine,
    polling,
    probe,
    request,
    upgraded,
    websocket,
)
from tests.edge.harness import until


async def opened(port: EnginePort, echo: Echo) -> tuple[str, EngineSocket]:
    sid = await port.open()
    await until(lambda: bool(echo.sockets))
    return sid, echo.sockets[-1]


class Numbers:
    """Pushes numbered packets from beginning to end, whatever carries them; hears numbers, too."""

    def __init__(self, seed: int, count: int) -> None:
        self.heard: list[int] = []
        self._random = random.Random(seed)
        self._count = count

    async def serve(self, socket: EngineSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, socket)
            for number in range(self._count):
                await socket.send(frame_of(str(number) if number % 3 else b"%d" % number))
                if self._random.random() < 0.3:
                    await trio.sleep(self._random.random() / 1000)
            await trio.sleep_forever()

    async def _listen(self, socket: EngineSocket) -> None:
        while True:
            message = await socket.receive()
            self.heard.append(int(message))


class PatientClient:
    """Does what the protocol's client does: polls, probes, pauses its polling, upgrades."""

    def __init__(self, port: EnginePort, seed: int, count: int) -> None:
        self.told: list[int] = []
        self._port = port
        self._random = random.Random(-seed - 1)
        self._count = count
        self._pause = trio.Event()
        self._paused = trio.Event()

    async def run(self) -> None:
        sid = await self._port.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._poll, sid)
            async with self._port.websocket(websocket(sid)) as ws:
                await trio.sleep(self._random.random() / 50)
                await probe(ws)
                self._pause.set()
                await self._paused.wait()
                await trio.sleep(self._random.random() / 100)
                await ws.send("5")
                for number in range(20, 40):
                    await ws.send(f"4{number}")
                while len(self.told) < self._count:
                    self._take(await ws.receive())

    async def _poll(self, sid: str) -> None:
        async with await self._port.connect() as getter, await self._port.connect() as poster:
            for number in range(20):
                if self._random.random() < 0.5:
                    await trio.sleep(self._random.random() / 200)
                await poster.call(request("POST", polling(sid), b"4%d" % number))
            while not self._pause.is_set():
                answer = await getter.call(request("GET", polling(sid)))
                for packet in answer.body.decode().split("\x1e"):
                    self._take(packet)
            self._paused.set()

    def _take(self, packet: str | bytes) -> None:
        if isinstance(packet, bytes):
            self.told.append(int(packet))
        elif packet.startswith("b"):
            self.told.append(int(b64decode(packet[1:])))
        elif packet != "6":
            self.told.append(int(packet.removeprefix("4")))


@pytest.mark.parametrize("seed", range(25))
async def test_nothing_is_lost_or_repeated_while_packets_flow(seed: int) -> None:
    """P3: an upgrade at any moment moves what waits, in its order."""
    count = 600
    numbers = Numbers(seed, count)
    async with open_engine(numbers) as port:
        client = PatientClient(port, seed, count)
        await client.run()
        assert client.told == list(range(count))
        await until(lambda: len(numbers.heard) >= 40)
        assert numbers.heard == list(range(40))


async def test_a_poll_that_waits_is_let_go_by_the_probe() -> None:
    async with open_engine() as port, await port.connect() as client:
        sid = await port.open()
        await client.send(request("GET", polling(sid)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            assert (await client.answer()).body == b"6"


async def test_what_is_pushed_in_between_goes_out_by_either() -> None:
    echo = Echo()
    async with open_engine(echo) as port:
        sid, socket = await opened(port, echo)
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            socket.push(frame_of("by a poll"))
            assert (await port.get(sid)).body == b"4by a poll"
            socket.push(frame_of("by the websocket"))
            socket.push(frame_of(b"bytes"))
            await ws.send("5")
            assert await ws.receive() == "4by the websocket"
            assert await ws.receive() == b"bytes"
            assert socket.transport == "websocket"


@pytest.mark.parametrize("packet", ["3probe", "2", "2other", "5", "4hello", "x", b"\x00"])
async def test_a_try_that_fails_disturbs_no_polling(packet: str | bytes) -> None:
    echo = Echo()
    async with open_engine(echo) as port, await port.connect() as client:
        sid, _ = await opened(port, echo)
        await client.send(request("GET", polling(sid)))
        async with port.websocket(websocket(sid)) as ws:
            await ws.send(packet)
            assert await ws.closed() is not None
        assert (await port.post(sid, b"4hello")).body == b"ok"
        assert (await client.answer()).body == b"4hello"


@pytest.mark.parametrize("is_probed", [False, True])
async def test_a_websocket_that_goes_away_disturbs_no_polling(is_probed: bool) -> None:
    async with open_engine() as port, await port.connect() as client:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            if is_probed:
                await probe(ws)
        await until(lambda: not getattr(port.server.find(sid), "is_linked", True))
        await client.send(request("GET", polling(sid)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await port.post(sid, b"4hello")).body == b"ok"
        assert (await client.answer()).body == b"4hello"
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            await ws.send("4again")
            assert await ws.receive() == "4again"


@pytest.mark.parametrize("is_probed", [False, True])
async def test_an_upgrade_that_takes_too_long_is_dropped(
    is_probed: bool, mock_clock: MockClock
) -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            if is_probed:
                await probe(ws)
            while not getattr(port.server.find(sid), "is_linked", False):
                await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(EngineOptions().upgrade_timeout_s)
            assert await ws.closed() is not None
        assert (await port.post(sid, b"4hello")).body == b"ok"
        assert (await port.get(sid)).body == b"4hello"


async def test_an_upgrade_in_time_has_no_limit_behind_it(mock_clock: MockClock) -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            for _ in range(2):
                await ws.send("4hello")
                assert await ws.receive() == "4hello"
                mock_clock.jump(EngineOptions().upgrade_timeout_s)


async def test_only_one_websocket_tries_at_a_time() -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws, port.websocket(websocket(sid)) as second:
            assert await second.closed() is not None
            await probe(ws)
            await ws.send("5")
            await ws.send("4hello")
            assert await ws.receive() == "4hello"


async def test_a_client_that_polls_on_does_not_spin() -> None:
    async with open_engine() as port, await port.connect() as client:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            began = trio.current_time()
            for _ in range(3):
                assert (await client.call(request("GET", polling(sid)))).body == b"6"
            assert trio.current_time() - began > 0.1


async def test_an_unknown_session_cannot_be_taken_over() -> None:
    async with open_engine() as port:
        with pytest.raises(InvalidStatus) as refused:
            async with port.websocket(websocket("nobody")):
                pass
        answer = refused.value.response
        assert (answer.status_code, json.loads(answer.body or b"")["code"]) == (400, 1)


async def test_the_end_of_a_session_ends_the_websocket_that_tries() -> None:
    echo = Echo()
    async with open_engine(echo) as port:
        sid, socket = await opened(port, echo)
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            socket.end()
            assert await ws.closed() is not None


async def test_the_websockets_end_is_the_sessions() -> None:
    echo = Echo()
    async with open_engine(echo) as port:
        sid, socket = await opened(port, echo)
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            await until(lambda: socket.transport == "websocket")
        await until(lambda: not len(port.server))


async def test_whoever_waits_for_the_client_is_told_by_the_websocket() -> None:
    """A session that asked to be told when all is taken must not wait for ever."""

    class Told:
        count = 0

        def drained(self) -> None:
            self.count += 1

    echo, told = Echo(), Told()
    async with open_engine(echo) as port:
        sid, socket = await opened(port, echo)
        socket.sender = told
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            socket.push(frame_of("x" * BUFFER_BYTES_MAX))
            assert not socket.push(frame_of("no room"))
            socket.tell_drained = True
            await ws.send("5")
            assert len(await ws.receive()) == BUFFER_BYTES_MAX + 1
            await until(lambda: told.count == 1)
            assert socket.sender is told
            assert not socket.tell_drained


async def test_whoever_waits_to_send_goes_on_over_the_websocket() -> None:
    """The session has not ended: what was to be sent has moved, and what is sent next follows."""

    class Talker(Echo):
        async def serve(self, socket: EngineSocket) -> None:
            await socket.send(frame_of("x" * (BUFFER_BYTES_MAX + 1)))
            await socket.send(frame_of("next"))
            await super().serve(socket)

    talker = Talker()
    async with open_engine(talker) as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            assert len(await ws.receive()) == BUFFER_BYTES_MAX + 2
            assert await ws.receive() == "4next"
            await ws.send("4hello")
            assert await ws.receive() == "4hello"


async def test_an_admitted_session_may_send_large_messages_at_once() -> None:
    """Its first message may be in the same packet as the end of the upgrade."""
    echo = Echo()
    async with open_engine(echo) as port:
        sid, socket = await opened(port, echo)
        socket.admit()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            ws.protocol.send_text(b"5")
            ws.protocol.send_text(b"4" + b"x" * 500_000)
            await ws.flush()
            assert len(await ws.receive()) == 500_001


async def test_who_is_admitted_behind_the_upgrade_may_send_large_messages() -> None:
    echo = Echo()
    async with open_engine(echo) as port:
        sid, socket = await opened(port, echo)
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            await until(lambda: socket.transport == "websocket")
            socket.admit()
            await ws.send("4" + "x" * 500_000)
            assert len(await ws.receive()) == 500_001


async def test_a_stranger_may_not() -> None:
    async with open_engine() as port, port.websocket(websocket()) as ws:
        await ws.receive()
        await ws.send("4" + "x" * 100_000)
        close = await ws.closed()
        assert close is not None
        assert close.code == 1009


async def test_a_handler_that_takes_nothing_holds_a_websocket_back() -> None:
    deaf = Deaf()
    async with open_engine(deaf) as port, port.websocket(websocket()) as ws:
        await ws.receive()
        for number in range(50):
            await ws.send(f"4{number}")
        await trio.testing.wait_all_tasks_blocked(0.01)
        deaf.may_listen.set()
        assert [await ws.receive() for _ in range(50)] == [f"4{number}" for number in range(50)]


async def test_over_tls(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    async with open_engine(server={"tls_cert": str(cert), "tls_key": str(key)}) as port:
        async with await port.connect(trusting) as client, await port.connect(trusting) as other:
            sid = await port.open(client)
            await client.send(request("GET", polling(sid)))
            ws: WebSocket = await upgraded(other.stream, websocket(sid))
            await probe(ws)
            assert (await client.answer()).body == b"6"
            await ws.send("5")
            await ws.send("4hello")
            assert await ws.receive() == "4hello"
