"""WebSocket peers that break the protocol, or use it to hurt: closed with a reason, alone."""

import contextlib
import json
import struct

import pytest
import trio
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

from tests.e2e.neighbour import neighbour
from tests.support.agent import Agent, open_websocket, shake_hands, signed_in
from tests.support.daemon import Daemon, token
from tests.support.http import connected, request
from tests.support.webhooks import INSTANCE

KIB = 1024


def masked(first_byte: int, payload: bytes, *, length: bytes | None = None) -> bytes:
    """A client's frame, byte by byte, with whatever first byte and length it claims."""
    if length is None:
        length = bytes([0x80 | len(payload)])
    return bytes([first_byte]) + length + b"\0\0\0\0" + payload


async def attack(agent: Agent, raw: bytes) -> int:
    """Send bytes; returns the code the daemon closes with, 1006 when it just hangs up."""
    with contextlib.suppress(trio.BrokenResourceError):
        await agent.stream.send_all(raw)
    with trio.fail_after(30):
        close = await agent.closed()
    return 1006 if close is None else close.code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"\x81\x02{}", 1002, id="unmasked"),
        pytest.param(masked(0xC1, b"{}"), 1002, id="reserved-bit-1"),
        pytest.param(masked(0xA1, b"{}"), 1002, id="reserved-bit-2"),
        pytest.param(masked(0x83, b"{}"), 1002, id="unknown-opcode"),
        pytest.param(masked(0x8B, b""), 1002, id="unknown-control"),
        pytest.param(masked(0x80, b"{}"), 1002, id="continuation-of-nothing"),
        pytest.param(masked(0x09, b"x"), 1002, id="fragmented-ping"),
        pytest.param(
            masked(0x89, b"x" * 126, length=b"\xfe" + struct.pack("!H", 126)), 1002, id="long-ping"
        ),
        pytest.param(masked(0x88, b"\x03"), 1002, id="one-byte-close"),
        pytest.param(masked(0x88, struct.pack("!H", 1005)), 1002, id="reserved-close-code"),
        pytest.param(masked(0x01, b"{") + masked(0x01, b"}"), 1002, id="two-beginnings"),
        pytest.param(masked(0x81, b"\xff\xfe"), 1007, id="wrong-utf-8"),
        pytest.param(masked(0x81, b'"\xed\xa0\x80"'), 1007, id="surrogate-in-utf-8"),
        pytest.param(
            masked(0x81, b"x" * 65_537, length=b"\xff" + struct.pack("!Q", 1 << 62)),
            1009,
            id="2^62-bytes",
        ),
        pytest.param(
            masked(0x81, b"", length=b"\xff" + struct.pack("!Q", 1 << 63)), 1002, id="2^63-bytes"
        ),
        pytest.param(masked(0x82, b"{}"), 3501, id="binary"),
        pytest.param(masked(0x81, b"hello"), 3501, id="not-json"),
        pytest.param(masked(0x81, b"[]"), 3501, id="array"),
        pytest.param(masked(0x81, b'{"id":"one"}'), 3501, id="wrong-type"),
        pytest.param(masked(0x81, b'{"id":1,"connect":{}}'), 3501, id="connect-twice"),
        pytest.param(masked(0x81, b'{"rpc":{}}'), 3501, id="no-id"),
    ],
)
async def test_a_broken_frame_closes_its_connection_alone(
    shared_daemon: Daemon, raw: bytes, code: int
) -> None:
    async with neighbour(shared_daemon), signed_in(shared_daemon) as agent:
        assert await attack(agent, raw) == code


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"id":1,"rpc":{"method":"tickets.list"}}', id="rpc"),
        pytest.param('{"id":1,"subscribe":{"channel":"inbox:loja-centro"}}', id="subscribe"),
        pytest.param('{"connect":{}}', id="connect-without-id"),
        pytest.param("{}", id="pong"),
        pytest.param('{"id":1,"connect":{"token":5}}', id="token-of-wrong-type"),
        pytest.param("[" * 60_000, id="deep"),
    ],
)
async def test_nothing_is_answered_before_connect(shared_daemon: Daemon, text: str) -> None:
    """P7: the first command is ``connect`` with a token, or it is the last."""
    async with open_websocket(shared_daemon) as stranger:
        await stranger.send_text(text)
        close = await stranger.closed()
    assert close is not None
    assert close.code == 3501


async def test_fragments_without_end_are_cut_off(shared_daemon: Daemon) -> None:
    """A message is bounded however it is cut into frames."""
    async with neighbour(shared_daemon), signed_in(shared_daemon) as agent:
        before = shared_daemon.rss_mib()
        await agent.send_frame(Frame(Opcode.TEXT, b'{"id":1,"rpc":{"data":"', fin=False))
        fragment = Frame(Opcode.CONT, b"x" * KIB, fin=False).serialize(mask=True)
        sent = 0
        try:
            while sent < 16 * KIB * KIB:
                await agent.stream.send_all(fragment)
                sent += KIB
        except trio.BrokenResourceError:
            pass
        close = await agent.closed()
        assert close is None or close.code == 1009
        assert sent < 16 * KIB * KIB
        assert shared_daemon.rss_mib() - before < 16


async def test_an_oversized_message_is_refused(shared_daemon: Daemon) -> None:
    """1009, unless the rest of the message, on its way when we close, resets the connection."""
    async with neighbour(shared_daemon), signed_in(shared_daemon) as agent:
        frame = Frame(Opcode.TEXT, b"x" * 1100 * KIB).serialize(mask=True)
        assert await attack(agent, frame) in (1009, 1006)


async def test_a_flood_of_pings_is_answered_and_felt_by_nobody(shared_daemon: Daemon) -> None:
    """10,000 pings without reading one pong; every one is answered once it is read."""
    async with neighbour(shared_daemon) as healthy, signed_in(shared_daemon) as agent:
        pings = b"".join(
            Frame(Opcode.PING, struct.pack("!I", n)).serialize(mask=True) for n in range(10_000)
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.stream.send_all, pings)
            await healthy.notices_nothing()
            assert (await agent.rpc("tickets.list", instance="nobody"))["tickets"] == []


async def test_a_flood_of_commands_is_bounded(shared_daemon: Daemon) -> None:
    """At most 256 commands in one message; more is no client we know."""
    async with neighbour(shared_daemon), signed_in(shared_daemon) as agent:
        commands = "\n".join(json.dumps({"id": n, "ping": {}}) for n in range(2, 259))
        await agent.send_text(commands)
        close = await agent.closed()
        assert close is not None
        assert close.code == 3501


async def test_too_many_channels_are_refused_and_the_rest_goes_on(shared_daemon: Daemon) -> None:
    async with neighbour(shared_daemon), signed_in(shared_daemon) as agent:
        for n in range(512):
            assert "subscribe" in await agent.ask(subscribe={"channel": f"inbox:i{n}"})
        refused = await agent.ask(subscribe={"channel": "inbox:one-more"})
        assert "error" in refused
        twice = await agent.ask(subscribe={"channel": "inbox:i0"})
        assert twice["error"]["code"] == 105
        await agent.ask(unsubscribe={"channel": "inbox:i0"})
        assert "subscribe" in await agent.ask(subscribe={"channel": f"inbox:{INSTANCE}"})


async def test_a_stranger_is_not_let_in(shared_daemon: Daemon) -> None:
    for credential in ("", "x", token()[:-3] + "abc", "x" * 60_000):
        async with open_websocket(shared_daemon) as stranger:
            await stranger.send_text(json.dumps({"id": 1, "connect": {"token": credential}}))
            close = await stranger.closed()
            assert close is not None
            assert (close.code, close.reason) == (3500, "invalid token")


async def test_a_page_of_another_origin_is_refused(shared_daemon: Daemon) -> None:
    """403 before any frame: a browser sends its cookies and its user's network position along."""
    for origin, allowed in (
        ("https://evil.example", False),
        ("null", False),
        (shared_daemon.url, True),
    ):
        stream = await trio.open_tcp_stream(shared_daemon.host, shared_daemon.port)
        async with stream:
            if allowed:
                await shake_hands(stream, shared_daemon.websocket_url, origin=origin)
            else:
                with pytest.raises(InvalidStatus) as refused:
                    await shake_hands(stream, shared_daemon.websocket_url, origin=origin)
                assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({"Sec-WebSocket-Version": "8"}, "/connection/websocket"),
        ({"Sec-WebSocket-Key": "short"}, "/connection/websocket"),
        ({}, "/elsewhere"),
    ],
)
async def test_a_wrong_handshake_is_answered(
    shared_daemon: Daemon, headers: dict[str, str], target: str
) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **headers,
    }
    async with neighbour(shared_daemon), connected(shared_daemon) as connection:
        await connection.send(request("GET", target, headers=upgrade))
        with trio.fail_after(30):
            reply = await connection.read_reply()
            assert reply is None or reply.status in (400, 404, 426)
            assert await connection.is_closed()
