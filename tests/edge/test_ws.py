"""WebSocket connections: who is let in, what a broken peer is told, and ends that cannot hang."""

import gc
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from trio_websocket import WebSocketConnection
from websockets.frames import Frame, Opcode

from evorelay.edge.framestream import FrameStream
from evorelay.edge.ws_connection import MESSAGE_BYTES_MAX
from tests.edge.harness import Port, open_port, request, token, until
from tests.support.agent import Agent, shake_hands

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
PLAIN_REASONS = {
    "a frame breaks the WebSocket protocol (RFC 6455)",
    "text is not UTF-8",
    "bad request",
}
HANDSHAKE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", KEY)


@asynccontextmanager
async def agent_of(port: Port) -> AsyncIterator[Agent]:
    """A WebSocket after its handshake."""
    async with await port.connect() as client:
        yield await shake_hands(client.stream, "ws://relay/connection/websocket")


async def sign_in(agent: Agent, **more: object) -> dict[str, object]:
    reply = await agent.ask(connect={"token": token(), **more})
    connected: dict[str, object] = reply["connect"]
    return connected


async def test_the_handshake_of_rfc_6455(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(request("/connection/websocket?x=1", None, *HANDSHAKE))
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-extensions" not in answer.headers


async def test_no_compression_is_agreed_on(tmp_path: Path) -> None:
    """A client's compressed frame would inflate without a bound."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(request("/connection/websocket", None, *HANDSHAKE, offer))
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/elsewhere", HANDSHAKE, 404),
        ("/connection/websocket", (*HANDSHAKE[:2], KEY), 400),
        ("/connection/websocket", (*HANDSHAKE[:2], "Sec-WebSocket-Version: 8", KEY), 400),
        ("/connection/websocket", HANDSHAKE[:3], 400),
        ("/connection/websocket", (*HANDSHAKE[:3], "Sec-WebSocket-Key: short"), 400),
        ("/connection/websocket", (*HANDSHAKE, "Content-Length: 5"), 400),
        ("/connection/websocket", (*HANDSHAKE, "Transfer-Encoding: chunked"), 400),
        ("/connection/websocket", (*HANDSHAKE, "Origin: https://evil.example"), 403),
        ("/connection/websocket", (*HANDSHAKE, "Origin: null"), 403),
        ("/connection/websocket", (*HANDSHAKE, "Origin: http://relay"), 101),
        ("/connection/websocket", (*HANDSHAKE, "Origin: https://relay"), 403),
    ],
)
async def test_who_is_let_in(
    tmp_path: Path, target: str, headers: tuple[str, ...], status: int
) -> None:
    """P7: the page's origin is ours; a wrong handshake is refused in words."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(request(target, None, *headers))
        assert answer.status == status
        if status != 101:
            assert answer.json["error"]["message"]
            assert await client.is_ended()


@pytest.mark.parametrize("scheme", ["https", "wss"])  # the latter is Traefik's word
@pytest.mark.parametrize(("proxies", "status"), [((), 403), (("127.0.0.1/32",), 101)])
async def test_a_trusted_proxy_says_how_the_page_reached_us(
    tmp_path: Path, proxies: tuple[str, ...], status: int, scheme: str
) -> None:
    forwarded = (f"X-Forwarded-Proto: {scheme}", "X-Forwarded-Host: crm.example")
    async with open_port(tmp_path, trusted_proxies=proxies) as port:
        async with await port.connect() as client:
            page = "Origin: https://crm.example"
            head = request("/connection/websocket", None, *HANDSHAKE, *forwarded, page)
            assert (await client.call(head)).status == status


async def test_who_does_not_wait_for_the_handshakes_answer_is_refused(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        early = Frame(Opcode.TEXT, b"{}").serialize(mask=True)
        await client.send(request("/connection/websocket", None, *HANDSHAKE) + early)
        assert (await client.answer()).status == 400
        assert await client.is_ended()


async def test_a_message_may_come_in_fragments(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        text = b'{"id":9,"ping":{}}'
        for n, byte in enumerate(text):
            opcode = Opcode.CONT if n else Opcode.TEXT
            await agent.send_frame(Frame(opcode, bytes([byte]), fin=n == len(text) - 1))
            await agent.send_frame(Frame(Opcode.PING, b"between"))
        while 9 not in agent._replies:
            assert await agent.read_some()


async def test_empty_fragments_without_end_cost_no_memory(tmp_path: Path) -> None:
    """P5: the library would keep a list of them."""
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        await agent.send_frame(Frame(Opcode.TEXT, b"", fin=False))
        empties = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 20_000
        await agent.stream.send_all(empties)
        await trio.testing.wait_all_tasks_blocked(0.01)
        ours = [found for found in gc.get_objects() if isinstance(found, WebSocketConnection)]
        assert ours
        assert not any(found._message_parts for found in ours)
        await agent.send_frame(Frame(Opcode.CONT, b'{"id":9,"ping":{}}', fin=False))
        await agent.send_frame(Frame(Opcode.CONT, b"", fin=True))
        while 9 not in agent._replies:
            assert await agent.read_some()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x81\x02{}", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x09\x80\0\0\0\0", 1002),
        (b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x82\x82\0\0\0\0{}", 3501),
        (b"\x81\x81\0\0\0\0{", 3501),
        (b"\x81\x80\0\0\0\0", 3501),
    ],
)
async def test_a_broken_peer_is_told_and_its_neighbour_notices_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, raw: bytes, code: int
) -> None:
    async with open_port(tmp_path) as port, agent_of(port) as neighbour:
        await sign_in(neighbour)
        async with agent_of(port) as agent:
            if code != 3501 or raw[0] == 0x82:
                await sign_in(agent)
            await agent.stream.send_all(raw)
            with trio.fail_after(30):
                close = await agent.closed()
            assert close is not None
            assert close.code == code
            assert close.reason in PLAIN_REASONS
        assert "ping" in await neighbour.ask(ping={})
        await until(lambda: port.gate.connections == 1)
    assert not caplog.records


async def test_an_oversized_message_is_refused(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        await agent.send_frame(Frame(Opcode.TEXT, b" " * (MESSAGE_BYTES_MAX + 1)))
        close = await agent.closed()
        assert close is not None
        assert close.code == 1009


@pytest.mark.parametrize(("signed_in", "limit"), [(False, 65_536), (True, 1_048_576)])
@pytest.mark.parametrize(
    ("header", "code", "reason"),
    [
        (b"\x81\xff{over}", 1009, "a message is over {limit} bytes"),
        (b"\x02\xff" + (1 << 62).to_bytes(8, "big"), 1009, "a message is over {limit} bytes"),
        (b"\x89\xfe", 1002, "a frame breaks the WebSocket protocol (RFC 6455)"),
        (b"\x8a\xff", 1002, "a frame breaks the WebSocket protocol (RFC 6455)"),
        (b"\x88\xfe", 1002, "a frame breaks the WebSocket protocol (RFC 6455)"),
    ],
)
async def test_a_frame_that_announces_too_much_is_refused_at_its_header(
    tmp_path: Path, header: bytes, code: int, reason: str, signed_in: bool, limit: int
) -> None:
    """P5: not one byte of the payload is waited for, from strangers least of all."""
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        if signed_in:
            await sign_in(agent)
        over = (limit + 1).to_bytes(8, "big")
        await agent.stream.send_all(header.replace(b"{over}", over))
        with trio.fail_after(30):
            close = await agent.closed()
        assert close is not None
        assert (close.code, close.reason) == (code, reason.format(limit=limit))


async def test_the_largest_message_is_taken_however_its_header_drips_in(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        text = b'{"id":9,"ping":{}}'
        frame = Frame(Opcode.TEXT, text + b" " * (MESSAGE_BYTES_MAX - len(text))).serialize(
            mask=True
        )
        for byte in frame[:14]:
            await agent.stream.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        await agent.stream.send_all(frame[14:])
        while 9 not in agent._replies:
            assert await agent.read_some()


async def test_fragments_are_too_large_together(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        await agent.send_frame(Frame(Opcode.TEXT, b" " * 600_000, fin=False))
        await agent.send_frame(Frame(Opcode.CONT, b" " * 600_000, fin=False))
        close = await agent.closed()
        assert close is not None
        assert close.code == 1009


async def test_a_peers_own_close_is_answered_in_its_own_words(tmp_path: Path) -> None:
    """Not with ours, which would tell it of a fault it did not commit."""
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        await agent.send_frame(Frame(Opcode.CLOSE, (1002).to_bytes(2, "big") + b"I leave"))
        close = await agent.closed()
        assert close is not None
        assert (close.code, close.reason) == (1002, "I leave")


@pytest.mark.parametrize("signed_in", [False, True])
async def test_a_peer_that_vanishes_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, signed_in: bool
) -> None:
    async with open_port(tmp_path) as port:
        async with agent_of(port) as agent:
            if signed_in:
                await sign_in(agent)
                await agent.ask(subscribe={"channel": "inbox:a"})
            assert isinstance(agent.stream, trio.SocketStream)
            reset = struct.pack("ii", 1, 0)
            agent.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        await until(lambda: port.gate.connections == 0)
        assert len(port.sessions) == 0
        assert port.hub.watched() == {}
    assert not caplog.records


async def test_a_close_is_answered(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        await agent.send_frame(Frame(Opcode.CLOSE, (1000).to_bytes(2, "big")))
        close = await agent.closed()
        assert close is not None
        assert close.code == 1000
        assert len(port.sessions) == 0


async def test_closing_does_not_wait_for_a_peer_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trio-websocket alone would wait a minute."""
    monkeypatch.setattr("evorelay.edge.ws.CLOSE_TIMEOUT_S", 0.1)
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        port.sessions.close_all_asap()
        await until(lambda: port.gate.connections == 0)


async def test_closing_a_stalled_peer_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evorelay.edge.ws.CLOSE_TIMEOUT_S", 0.1)
    async with open_port(tmp_path) as port, agent_of(port) as agent:
        await sign_in(agent)
        (session,) = port.sessions
        assert isinstance(session.wire, FrameStream)
        session.push(b"x" * 30_000_000)
        await trio.testing.wait_all_tasks_blocked()
        assert session.wire.pending
        port.sessions.close_all_asap()
        await until(lambda: port.gate.connections == 0)


async def test_draining_tells_every_client_to_come_back(tmp_path: Path) -> None:
    """3001 makes SDKs reconnect, which finds the next process; strangers go too."""
    async with open_port(tmp_path) as port:
        async with agent_of(port) as known, agent_of(port) as stranger, agent_of(port) as late:
            await sign_in(known)
            expired = await late.ask(connect={"token": token(ttl_s=-60)})
            assert expired["error"]["code"] == 109
            await trio.testing.wait_all_tasks_blocked()
            port.gate.close_asap()
            port.sessions.close_all_asap()
            with trio.fail_after(30):
                for agent in (known, stranger, late):
                    close = await agent.closed()
                    assert close is not None
                    assert (close.code, close.reason) == (3001, "shutdown")
                await port.is_done.wait()
