"""The cases of the Socket.IO protocol's own test suite for servers, over both transports.

Source: socketio/socket.io, docs/socket.io-protocol/v5-test-suite/test-suite.js. Where a case needs
a server that echoes or has a second namespace, a small one made of our parts stands in.
"""

import json
from pathlib import Path

import pytest

from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.socket import EngineSocket
from evorelay.edge.socketio import connection
from evorelay.edge.socketio.packets import Malformed, Packets
from evorelay.protocol import socketio as wire
from evorelay.protocol.socketio import Kind
from tests.edge.engine_port import open_engine
from tests.edge.harness import open_port, token
from tests.edge.socketio_world import TRANSPORTS, TransportName, agent, stranger
from tests.edge.test_socketio_connect import ends
from tests.support.socketio import SocketClient

OPTIONS = EngineOptions(ping_interval_s=0.3, ping_timeout_s=0.2)
"""As the suite has them."""

pytestmark = pytest.mark.parametrize("over", TRANSPORTS)


class EchoServer:
    """The server that the suite describes: two namespaces, and what is said in them comes back."""

    async def serve(self, socket: EngineSocket) -> None:
        packets, joined = Packets(socket), set()
        while True:
            try:
                packet = await packets.next()
            except Malformed:
                return
            there = packet.namespace
            if packet.kind is Kind.CONNECT:
                joined.add(there)
                socket.admit()
                await socket.send(wire.encode_connect("SID", namespace=there))
                await socket.send(wire.encode_event("auth", packet.data, namespace=there))
            elif there not in joined:
                return
            elif packet.kind is Kind.DISCONNECT:
                joined.discard(there)
            elif packet.id is not None:
                args = packet.data[1:]
                await socket.send(wire.encode_ack(packet.id, *args, namespace=there))
            else:
                args = packet.data[1:]
                await socket.send(wire.encode_event("message-back", *args, namespace=there))


async def says(client: SocketClient, *expected: str | bytes) -> None:
    for packet in expected:
        assert await client.transport.receive() == packet


async def connected(client: SocketClient) -> SocketClient:
    await client.transport.send("40")
    await says(client, '40{"sid":"SID"}', '42["auth",{}]')
    return client


class TestConnect:
    async def test_should_allow_connection_to_the_main_namespace(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        """With a payload, which here it must have."""
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            await client.transport.send(f'40{{"token":"{token()}"}}')
            packet = await client.packet()
            assert packet.startswith("40")
            assert isinstance(json.loads(packet[2:])["sid"], str)

    async def test_should_allow_connection_with_a_payload(self, over: TransportName) -> None:
        async with open_engine(EchoServer(), OPTIONS) as port, stranger(port, over) as client:
            await client.transport.send('40{"token":"123"}')
            await says(client, '40{"sid":"SID"}', '42["auth",{"token":"123"}]')

    async def test_should_allow_connection_to_a_custom_namespace(self, over: TransportName) -> None:
        async with open_engine(EchoServer(), OPTIONS) as port, stranger(port, over) as client:
            await client.transport.send("40/custom,")
            await says(client, '40/custom,{"sid":"SID"}', '42/custom,["auth",{}]')

    async def test_should_allow_connection_to_a_custom_namespace_with_a_payload(
        self, over: TransportName
    ) -> None:
        async with open_engine(EchoServer(), OPTIONS) as port, stranger(port, over) as client:
            await client.transport.send('40/custom,{"token":"abc"}')
            await says(client, '40/custom,{"sid":"SID"}', '42/custom,["auth",{"token":"abc"}]')

    async def test_should_disallow_connection_to_an_unknown_namespace(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            await client.transport.send("40/random")
            await says(client, '44/random,{"message":"Invalid namespace"}')

    async def test_should_disallow_connection_with_an_invalid_handshake(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            await client.transport.send("4abc")
            await ends(client)

    async def test_should_close_the_connection_if_no_handshake_is_received(
        self, tmp_path: Path, over: TransportName, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "STALE_AFTER_S", 0.1)
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            await ends(client)


class TestDisconnect:
    async def test_should_disconnect_from_the_main_namespace(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        """The next that is heard is a ping."""
        async with open_port(tmp_path, engineio=OPTIONS) as port:
            async with agent(port, over=over) as client:
                await client.transport.send("41")
                client.transport.answers_pings = False
                await says(client, "2")

    async def test_should_connect_then_disconnect_from_a_custom_namespace(
        self, over: TransportName
    ) -> None:
        async with open_engine(EchoServer(), OPTIONS) as port, stranger(port, over) as client:
            await connected(client)
            await client.transport.send("40/custom")
            await says(client, '40/custom,{"sid":"SID"}', '42/custom,["auth",{}]')
            await client.transport.send("41/custom", '42["message","message to main namespace"]')
            await says(client, '42["message-back","message to main namespace"]')


PLACES = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
FILES = (bytes([1, 2, 3]), bytes([4, 5, 6]))


class TestMessage:
    @pytest.mark.parametrize(
        ("sent", "answered"),
        [
            (
                ['42["message",1,"2",{"3":[true]}]'],
                ['42["message-back",1,"2",{"3":[true]}]'],
            ),
            (
                [f'452-["message",{PLACES}]', *FILES],
                [f'452-["message-back",{PLACES}]', *FILES],
            ),
            (
                ['42456["message-with-ack",1,"2",{"3":[false]}]'],
                ['43456[1,"2",{"3":[false]}]'],
            ),
            (
                [f'452-789["message-with-ack",{PLACES}]', *FILES],
                [f"462-789[{PLACES}]", *FILES],
            ),
        ],
        ids=["plain text", "binary", "ack", "binary ack"],
    )
    async def test_should_send_a_packet(
        self, over: TransportName, sent: list[str | bytes], answered: list[str | bytes]
    ) -> None:
        async with open_engine(EchoServer(), OPTIONS) as port, stranger(port, over) as client:
            await connected(client)
            await client.transport.send(*sent)
            await says(client, *answered)

    @pytest.mark.parametrize(
        "packet",
        ["4abc", "42{}", '42abc["message-with-ack",1,"2",{"3":[false]}]'],
        ids=["unknown packet type", "invalid payload format", "invalid ack id"],
    )
    async def test_should_close_the_connection_upon_invalid_format(
        self, tmp_path: Path, over: TransportName, packet: str
    ) -> None:
        async with open_port(tmp_path) as port, agent(port, over=over) as client:
            await client.transport.send(packet)
            await ends(client)
