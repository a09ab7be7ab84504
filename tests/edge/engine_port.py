"""An Engine.IO server behind a real gate on a real port, and raw clients of both transports."""

import json
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import trio
import trio.testing
from msgspec import structs
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from evorelay.config import AuthConfig, ServerConfig
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.polling import Polling
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.engineio.socket import EngineSocket, Handler
from evorelay.edge.engineio.websocket import WebSockets
from evorelay.edge.framestream import Flusher
from evorelay.edge.gate import Gate
from evorelay.edge.handover import Handover
from evorelay.edge.listeners import listeners, listening_sockets
from evorelay.edge.ws import WebSocketEdge
from evorelay.protocol.engineio import message_frame
from evorelay.protocol.frame import binary_frame
from evorelay.relay.ingest import Ingest
from evorelay.telemetry.metrics import NopMetrics
from tests.edge.harness import App, Client, Response

PATH = "/engine.io/"
INTERVAL_S, TIMEOUT_S = 0.3, 0.2
OFFICIAL = EngineOptions(path=PATH, ping_interval_s=INTERVAL_S, ping_timeout_s=TIMEOUT_S)
"""What the protocol's own test suite asks of a server. A busy machine takes longer to answer than
this allows, so the clock of its tests stands still until they say how much later it is."""
PATIENT = EngineOptions(path=PATH)


def frame_of(message: str | bytes) -> bytes:
    return message_frame(message.encode()) if isinstance(message, str) else binary_frame(message)


class Echo:
    """Says everything back; keeps the sessions it has seen."""

    def __init__(self) -> None:
        self.sockets: list[EngineSocket] = []

    async def serve(self, socket: EngineSocket) -> None:
        self.sockets.append(socket)
        while True:
            await socket.send(frame_of(await socket.receive()))


class Deaf(Echo):
    """Takes no message until it may, then echoes."""

    def __init__(self) -> None:
        super().__init__()
        self.may_listen = trio.Event()

    async def serve(self, socket: EngineSocket) -> None:
        await self.may_listen.wait()
        await super().serve(socket)


class EnginePort:
    def __init__(
        self, handler: Handler, options: EngineOptions, auth: AuthConfig, server: ServerConfig
    ) -> None:
        self.server = EngineServer(handler, options, auth)
        self.flusher = Flusher()
        self.gate = Gate(
            server,
            # No request in these tests is for these two.
            cast(Ingest, None),
            WebSocketEdge(cast(CentrifugeEdge, None), auth, self.flusher, WebSockets(self.server)),
            Handover(App()),
            NopMetrics(),
            Polling(self.server, auth),
        )
        self.is_done = trio.Event()
        """Set when ``Gate.run`` has returned."""
        self.service = trio.CancelScope()
        """Covers ``EngineServer.run``."""
        self._config = server
        self._sockets = listening_sockets(server, [])
        self.address = self._sockets[0].getsockname()[:2]

    async def serve(self, *, task_status: trio.TaskStatus[object]) -> None:
        await self.gate.run(listeners(self._config, self._sockets), task_status=task_status)
        self.is_done.set()

    async def run_engine(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.service:
            await self.server.run(task_status=task_status)

    async def connect(self, tls: ssl.SSLContext | None = None) -> Client:
        stream = await trio.open_tcp_stream(*self.address)
        if tls is None:
            return Client(stream)
        return Client(
            trio.SSLStream(stream, tls, server_hostname="relay.example", https_compatible=True)
        )

    async def ask(self, method: str, query: str, body: bytes = b"", *headers: str) -> Response:
        """One request on a connection of its own."""
        async with await self.connect() as client:
            return await client.call(request(method, query, body, *headers))

    async def is_polled(self, sid: str) -> None:
        """Wait until a GET waits for its answer. No clock need go on for it."""
        while True:
            socket = self.server.find(sid)
            assert socket is not None
            assert socket.buffer is not None
            if socket.buffer.is_polled:
                return
            await trio.testing.wait_all_tasks_blocked()

    async def get(self, sid: str) -> Response:
        return await self.ask("GET", polling(sid))

    async def post(self, sid: str, body: bytes) -> Response:
        return await self.ask("POST", polling(sid), body)

    async def open(self, client: Client | None = None) -> str:
        """Shake hands by polling; returns the session's id."""
        if client is None:
            answer = await self.ask("GET", polling())
        else:
            answer = await client.call(request("GET", polling()))
        assert answer.status == 200, answer.body
        sid = json.loads(answer.body[1:])["sid"]
        assert isinstance(sid, str)
        return sid

    @asynccontextmanager
    async def websocket(self, query: str, *headers: str) -> AsyncIterator["WebSocket"]:
        """A WebSocket after its handshake. Raises ``InvalidHandshake`` when it is refused."""
        async with await trio.open_tcp_stream(*self.address) as stream:
            yield await upgraded(stream, query, *headers)

    async def refused(self, query: str, *headers: str) -> int:
        """The status a WebSocket handshake is refused with."""
        lines = (*UPGRADE, *headers)
        return (await self.ask("GET", query, b"", *lines)).status


UPGRADE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def polling(sid: str = "") -> str:
    return "EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")


def websocket(sid: str = "") -> str:
    return "EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")


def request(method: str, query: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {PATH}?{query} HTTP/1.1", "Host: relay"]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


class WebSocket:
    """A client's WebSocket; ``receive`` gives packets as they came."""

    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol) -> None:
        self.stream = stream
        self.protocol = protocol
        self._messages: deque[str | bytes] = deque()

    async def send(self, message: str | bytes) -> None:
        """Once it is closing this does nothing, as in browsers."""
        if self.protocol.state is not State.OPEN:
            return
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        await self.flush()

    async def receive(self) -> str | bytes:
        while not self._messages:
            assert await self.read_some(), f"closed instead of a packet: {self.close}"
        return self._messages.popleft()

    async def closed(self) -> Close | None:
        """Read until the server ends it; the close frame it sent, if any."""
        while await self.read_some():
            pass
        return self.close

    @property
    def close(self) -> Close | None:
        return self.protocol.close_rcvd

    async def read_some(self) -> bool:
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            return False
        if not data:
            return False
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._messages.append(bytes(event.data).decode())
            elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self._messages.append(bytes(event.data))
        await self.flush()
        return True

    async def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                try:
                    await self.stream.send_all(data)
                except trio.BrokenResourceError:
                    return


async def upgraded(stream: trio.abc.Stream, query: str, *headers: str) -> WebSocket:
    protocol = ClientProtocol(parse_uri(f"ws://relay{PATH}?{query}"), max_size=None)
    opening = protocol.connect()
    for header in headers:
        name, _, value = header.partition(": ")
        opening.headers[name] = value
    protocol.send_request(opening)
    ws = WebSocket(stream, protocol)
    await ws.flush()
    while protocol.handshake_exc is None and protocol.state is State.CONNECTING:
        if not await ws.read_some():
            break
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    return ws


async def probe(ws: WebSocket) -> None:
    """The first half of an upgrade."""
    await ws.send("2probe")
    assert await ws.receive() == "3probe"


@asynccontextmanager
async def open_engine(
    handler: Handler | None = None,
    options: EngineOptions = PATIENT,
    *,
    auth: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[EnginePort]:
    """Serve until the block ends; ``changes`` are of the options."""
    port = EnginePort(
        handler or Echo(),
        structs.replace(options, **changes),
        AuthConfig(**(auth or {})),
        ServerConfig(**({"bind": "127.0.0.1:0"} | (server or {}))),
    )
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        await nursery.start(port.flusher.run)
        await nursery.start(port.run_engine)
        await nursery.start(port.serve)
        yield port
