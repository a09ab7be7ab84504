"""The cases of the Engine.IO protocol's own test suite, each by itself, with its timings.

Where there are timings the clock stands still and is told when it is later.

Source: socketio/socket.io, docs/engine.io-protocol/v4-test-suite.
"""

import json
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from websockets.exceptions import InvalidHandshake

from tests.edge.engine_port import (
    INTERVAL_S,
    OFFICIAL,
    TIMEOUT_S,
    open_engine,
    polling,
    probe,
    request,
    websocket,
)
from tests.edge.harness import Response, until

BAD_VERSIONS = ("transport={}", "EIO=abc&transport={}", "EIO=3&transport={}")
BAD_TRANSPORTS = ("EIO=4", "EIO=4&transport=abc")


async def test_polling_opens_a_session() -> None:
    async with open_engine(options=OFFICIAL) as port:
        answer = await port.ask("GET", polling())
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        assert answer.body[:1] == b"0"
        opening = json.loads(answer.body[1:])
        assert len(opening.pop("sid")) >= 20
        assert opening == {
            "upgrades": ["websocket"],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        }


@pytest.mark.parametrize("query", BAD_VERSIONS)
async def test_polling_of_another_version_is_refused(query: str) -> None:
    async with open_engine() as port:
        answer = await port.ask("GET", query.format("polling"))
        assert (answer.status, answer.json["code"]) == (400, 5)


@pytest.mark.parametrize("query", BAD_TRANSPORTS)
async def test_an_unknown_transport_is_refused(query: str) -> None:
    async with open_engine() as port:
        answer = await port.ask("GET", query)
        assert (answer.status, answer.json) == (400, {"code": 0, "message": "Transport unknown"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_session_is_opened_by_get_alone(method: str) -> None:
    async with open_engine() as port:
        answer = await port.ask(method, polling())
        assert (answer.status, answer.json["code"]) == (400, 2)


async def test_a_websocket_opens_a_session() -> None:
    async with open_engine(options=OFFICIAL) as port, port.websocket(websocket()) as ws:
        packet = await ws.receive()
        assert isinstance(packet, str)
        assert packet[0] == "0"
        opening = json.loads(packet[1:])
        assert len(opening.pop("sid")) >= 20
        assert opening == {
            "upgrades": [],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        }


@pytest.mark.parametrize(
    "query", [*(version.format("websocket") for version in BAD_VERSIONS), *BAD_TRANSPORTS]
)
async def test_a_websocket_of_something_else_is_refused(query: str) -> None:
    async with open_engine() as port:
        with pytest.raises(InvalidHandshake):
            async with port.websocket(query):
                pass


@pytest.mark.parametrize(
    "payload", [b"4hello", b"4test1\x1e4test2\x1e4test3", b"4hello\x1ebAQIDBA=="]
)
async def test_a_payload_goes_both_ways_by_polling(payload: bytes, mock_clock: MockClock) -> None:
    async with open_engine() as port:
        sid = await port.open()
        answer = await port.post(sid, payload)
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.headers["content-type"] == "text/html"
        answer = await port.get(sid)
        assert (answer.status, answer.body) == (200, payload)


async def test_an_invalid_packet_closes_a_polled_session() -> None:
    async with open_engine() as port:
        sid = await port.open()
        assert (await port.post(sid, b"abc")).status == 400
        assert (await port.get(sid)).status == 400


async def test_a_second_poll_closes_the_session() -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with await port.connect() as first:
            await first.send(request("GET", polling(sid)))
            await port.is_polled(sid)
            assert (await port.get(sid)).status == 400
            answer = await first.answer()
            assert (answer.status, answer.body) == (200, b"1")
        assert (await port.get(sid)).status == 400


async def test_a_cancelled_poll_closes_the_session() -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with await port.connect() as client:
            await client.send(request("GET", polling(sid)))
            await port.is_polled(sid)
        await until(lambda: port.server.find(sid) is None)
        assert (await port.get(sid)).status == 400


@pytest.mark.parametrize("message", ["4hello", b"\x01\x02\x03\x04"])
async def test_a_packet_goes_both_ways_by_websocket(message: str | bytes) -> None:
    async with open_engine() as port, port.websocket(websocket()) as ws:
        await ws.receive()
        await ws.send(message)
        assert await ws.receive() == message


async def test_an_invalid_packet_closes_a_websocket() -> None:
    async with open_engine() as port, port.websocket(websocket()) as ws:
        await ws.receive()
        await ws.send("abc")
        assert await ws.closed() is not None


async def test_pings_and_pongs_by_polling(mock_clock: MockClock) -> None:
    async with open_engine(options=OFFICIAL) as port:
        sid = await port.open()
        for _ in range(3):
            mock_clock.jump(INTERVAL_S)
            answer = await port.get(sid)
            assert (answer.status, answer.body) == (200, b"2")
            assert (await port.post(sid, b"3")).status == 200


async def test_a_polled_session_without_a_pong_is_closed(mock_clock: MockClock) -> None:
    async with open_engine(options=OFFICIAL) as port:
        sid = await port.open()
        for later in (INTERVAL_S, TIMEOUT_S):
            assert port.server.find(sid) is not None
            mock_clock.jump(later)
            await trio.testing.wait_all_tasks_blocked()
        assert (await port.get(sid)).status == 400


async def test_pings_and_pongs_by_websocket(mock_clock: MockClock) -> None:
    async with open_engine(options=OFFICIAL) as port, port.websocket(websocket()) as ws:
        await ws.receive()
        for _ in range(3):
            mock_clock.jump(INTERVAL_S)
            assert await ws.receive() == "2"
            await ws.send("3")
            await ws.send("4heard")
            assert await ws.receive() == "4heard"


async def test_a_websocket_without_a_pong_is_closed(mock_clock: MockClock) -> None:
    async with open_engine(options=OFFICIAL) as port, port.websocket(websocket()) as ws:
        await ws.receive()
        mock_clock.jump(INTERVAL_S)
        assert await ws.receive() == "2"
        mock_clock.jump(TIMEOUT_S / 2)
        await trio.testing.wait_all_tasks_blocked()
        assert len(port.server) == 1
        mock_clock.jump(TIMEOUT_S / 2)
        assert await ws.closed() is not None


async def test_a_polling_client_closes_the_session() -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with await port.connect() as client:
            await client.send(request("GET", polling(sid)))
            assert (await port.post(sid, b"1")).status == 200
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"6")
        assert (await port.get(sid)).status == 400


async def test_a_websocket_client_closes_the_session() -> None:
    async with open_engine() as port, port.websocket(websocket()) as ws:
        await ws.receive()
        await ws.send("1")
        assert await ws.closed() is not None


async def test_a_session_moves_from_polling_to_a_websocket() -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            answer = await port.get(sid)
            assert (answer.status, answer.body) == (200, b"6")
            await ws.send("5")
            await ws.send("4hello")
            assert await ws.receive() == "4hello"


async def test_http_requests_after_the_upgrade_are_refused() -> None:
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            assert (await port.get(sid)).status == 400
            assert (await port.post(sid, b"4no")).status == 400
            await ws.send("4hello")
            assert await ws.receive() == "4hello"


async def test_a_second_websocket_after_the_upgrade_is_closed() -> None:
    """It is opened first: a client without an ear for a refused handshake would crash."""
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws:
            await probe(ws)
            await ws.send("5")
            async with port.websocket(websocket(sid)) as second:
                assert await second.closed() is not None
            await ws.send("4hello")
            assert await ws.receive() == "4hello"


@pytest.mark.parametrize("seed", range(20))
async def test_an_upgrade_in_one_breath_is_done_before_any_poll_is_answered(
    seed: int, mock_clock: MockClock
) -> None:
    """Socket.IO's suite waits for no answer to its probe, and its GET must be refused."""
    async with open_engine() as port, await port.connect() as client:
        sid = await port.open(client)
        async with port.websocket(websocket(sid)) as ws:
            await client.send(request("GET", polling(sid)))
            ws.protocol.send_text(b"2probe")
            ws.protocol.send_text(b"5")
            await ws.flush()
            assert (await client.answer()).status == 400
            assert await ws.receive() == "3probe"


@pytest.mark.parametrize("seed", range(20))
async def test_a_poll_racing_the_end_of_an_upgrade_is_refused(
    seed: int, mock_clock: MockClock
) -> None:
    """Neither suite nor client waits for anything between its last packet and the GET."""
    async with open_engine() as port:
        sid = await port.open()
        async with port.websocket(websocket(sid)) as ws, await port.connect() as client:
            await probe(ws)
            answers: list[Response] = []

            async def ask() -> None:
                answers.append(await client.call(request("GET", polling(sid))))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(partial(ws.send, "5"))
            assert answers[0].status == 400
            await ws.send("4hello")
            assert await ws.receive() == "4hello"
