"""A Socket.IO client in Python, packet by packet, over a bare WebSocket or by polling.

For what the real client never does: broken packets, floods, not reading; and to see every packet.
"""

import json
from collections import deque
from typing import Any, Protocol

import trio
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Origin
from websockets.uri import parse_uri

PATH = "/socket.io/?EIO=4&transport="


class Gone(Exception):
    """The server has ended the connection."""


class Transport(Protocol):
    """Engine.IO packets."""

    answers_pings: bool
    """Whether pings are answered, and not shown."""

    async def send(self, *packets: str | bytes) -> None:
        """Packets as they are: text with its digit, bytes without."""

    async def receive(self) -> str | bytes:
        """The next packet. Raises ``Gone``."""


class WebSocketTransport:
    """A WebSocket on a connected stream, after the open packet."""

    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol) -> None:
        self.stream = stream
        self.opening: dict[str, Any] = {}
        self.answers_pings = True
        self._protocol = protocol
        self._packets: deque[str | bytes] = deque()

    @classmethod
    async def open(
        cls, stream: trio.abc.Stream, url: str, *, origin: str | None = None
    ) -> "WebSocketTransport":
        protocol = ClientProtocol(
            parse_uri(f"{url}{PATH}websocket"),
            origin=None if origin is None else Origin(origin),
            max_size=None,
        )
        protocol.send_request(protocol.connect())
        transport = cls(stream, protocol)
        await transport._flush()
        while protocol.handshake_exc is None and protocol.state is State.CONNECTING:
            if not await transport._read_some():
                break
        if protocol.handshake_exc is not None:
            raise protocol.handshake_exc
        opening = await transport.receive()
        assert isinstance(opening, str)
        assert opening[0] == "0"
        transport.opening = json.loads(opening[1:])
        return transport

    async def send(self, *packets: str | bytes) -> None:
        """Once it is closing this does nothing, as in browsers."""
        if self._protocol.state is not State.OPEN:
            return
        for packet in packets:
            if isinstance(packet, str):
                self._protocol.send_text(packet.encode())
            else:
                self._protocol.send_binary(packet)
        await self._flush()

    async def receive(self) -> str | bytes:
        while True:
            while self._packets:
                packet = self._packets.popleft()
                if packet == "2" and self.answers_pings:
                    await self.send("3")
                else:
                    return packet
            if not await self._read_some():
                raise Gone(self.close)

    @property
    def close(self) -> Close | None:
        return self._protocol.close_rcvd

    async def _read_some(self) -> bool:
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        if not data:
            return False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._packets.append(bytes(event.data).decode())
            elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self._packets.append(bytes(event.data))
        await self._flush()
        return True

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                try:
                    await self.stream.send_all(data)
                except trio.BrokenResourceError:
                    return


class SocketClient:
    """What ``socket.io-client`` does with packets, without ever reconnecting by itself."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.pid: str | None = None
        self.place: str | None = None
        """``_lastOffset``: the last string an event ended in."""
        self._last_id = -1
        self._events: deque[list[Any]] = deque()
        self._acks: dict[int, Any] = {}

    async def connect(self, **auth: Any) -> dict[str, Any]:
        """Connect to the main namespace; the answer, or ``{"message", "data"}`` of a refusal."""
        await self.transport.send("40" + (json.dumps(auth) if auth else ""))
        packet = await self.packet()
        assert packet[:2] in ("40", "44"), packet
        answer: dict[str, Any] = json.loads(packet[2:])
        self.pid = answer.get("pid", self.pid)
        return answer

    async def emit(self, name: str, *args: Any) -> None:
        await self.transport.send("42" + json.dumps([name, *args]))

    async def ask(self, name: str, *args: Any) -> Any:
        """Emit and wait for the ack's one argument."""
        self._last_id += 1
        await self.transport.send(f"42{self._last_id}" + json.dumps([name, *args]))
        while self._last_id not in self._acks:
            self._take(await self.packet())
        return self._acks.pop(self._last_id)

    async def event(self, name: str) -> Any:
        """The argument of the next event of this name; others before it are passed over."""
        while True:
            found, *args = await self.next_event()
            if found == name:
                return args[0]

    async def next_event(self) -> list[Any]:
        """The next event: name and arguments."""
        while not self._events:
            self._take(await self.packet())
        event = self._events.popleft()
        if self.pid is not None and isinstance(event[-1], str) and len(event) > 1:
            self.place = event[-1]
        return event

    def heard(self) -> list[str]:
        """Names of the events that came and were not asked for yet."""
        return [name for name, *_ in self._events]

    async def packet(self) -> str:
        """The next packet, which is text."""
        packet = await self.transport.receive()
        assert isinstance(packet, str)
        return packet

    def _take(self, packet: str) -> None:
        if packet.startswith("42"):
            self._events.append(json.loads(packet[2:]))
        else:
            assert packet.startswith("43"), packet
            head, bracket, rest = packet[2:].partition("[")
            (self._acks[int(head)],) = json.loads(bracket + rest)
