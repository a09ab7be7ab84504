"""Socket.IO clients of a real port, over a WebSocket or by polling."""

import itertools
import json
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol

from evorelay.relay.questions import TicketsParams
from tests.edge.harness import HOOK, Client, Port, request, token, until
from tests.engine.harness import ADMIN
from tests.support.socketio import PATH, Gone, SocketClient, WebSocketTransport
from tests.support.webhooks import as_body, text_message

_NUMBERS = itertools.count()
TransportName = Literal["websocket", "polling"]
TRANSPORTS: tuple[TransportName, ...] = ("websocket", "polling")


class Connectable(Protocol):
    """A port that is served."""

    async def connect(self) -> Client: ...


class PollingTransport:
    """One connection for GETs, one for POSTs; nothing is sent while a GET is being answered."""

    def __init__(self, get: Client, post: Client, *headers: str, host: str = "relay") -> None:
        self.opening: dict[str, Any] = {}
        self.answers_pings = True
        self._get = get
        self._post = post
        self._headers = headers
        self._host = host
        self._target = f"{PATH}polling"
        self._packets: deque[str | bytes] = deque()

    @classmethod
    async def open(
        cls, get: Client, post: Client, *headers: str, host: str = "relay"
    ) -> "PollingTransport":
        """``headers``: further lines of every GET."""
        transport = cls(get, post, *headers, host=host)
        await transport._poll()
        opening = transport._packets.popleft()
        assert isinstance(opening, str)
        transport.opening = json.loads(opening[1:])
        transport._target += f"&sid={transport.opening['sid']}"
        return transport

    async def send(self, *packets: str | bytes) -> None:
        parts = [_part(packet) for packet in packets]
        answer = await self._post.call(request(self._target, b"\x1e".join(parts), host=self._host))
        if answer.status != 200:
            raise Gone(answer.body)
        assert answer.body == b"ok"

    async def receive(self) -> str | bytes:
        while True:
            while self._packets:
                packet = self._packets.popleft()
                if packet == "2" and self.answers_pings:
                    await self.send("3")
                elif packet == "1":
                    raise Gone("close packet")
                elif packet != "6":
                    return packet
            await self._poll()

    async def _poll(self) -> None:
        answer = await self._get.call(request(self._target, None, *self._headers, host=self._host))
        if answer.status != 200:
            raise Gone(answer.body)
        self._packets.extend(map(_packet, answer.body.decode().split("\x1e")))


def _part(packet: str | bytes) -> bytes:
    return packet.encode() if isinstance(packet, str) else b"b" + b64encode(packet)


def _packet(part: str) -> str | bytes:
    return b64decode(part[1:]) if part.startswith("b") else part


@asynccontextmanager
async def stranger(
    port: Connectable, over: TransportName = "websocket", *, host: str = "relay"
) -> AsyncIterator[SocketClient]:
    """A client after the Engine.IO handshake, nothing said yet."""
    async with await port.connect() as client:
        if over == "websocket":
            yield SocketClient(await WebSocketTransport.open(client.stream, f"ws://{host}"))
            return
        async with await port.connect() as other:
            yield SocketClient(await PollingTransport.open(client, other))


@asynccontextmanager
async def agent(
    port: Port, sub: str = "agent", *, over: TransportName = "websocket", **grant: Any
) -> AsyncIterator[SocketClient]:
    """A client that is connected; an admin when nothing else is granted."""
    async with stranger(port, over) as client:
        answer = await client.connect(token=token(sub, **grant))
        assert "sid" in answer, answer
        await client.event("signed-in")
        yield client


async def come_back(client: SocketClient, before: SocketClient, sub: str = "agent") -> list[Any]:
    """Connect with what a client was told before; the events that came with the answer."""
    answer = await client.connect(token=token(sub), pid=before.pid, offset=before.place)
    assert "sid" in answer, answer
    found = []
    while True:
        found.append(await client.next_event())
        if found[-1][0] == "signed-in":
            return found


async def customer_writes(
    port: Port, text: str = "oi", *, phone: str = "5531988887777", instance: str = "a"
) -> str:
    """A customer's message arrives and is stored; the id of its ticket."""
    body = as_body(text_message(f"W{next(_NUMBERS)}", text, phone=phone, instance=instance))
    async with await port.connect() as client:
        assert (await client.call(request(HOOK, body))).status == 200
    await until(lambda: port.pipeline.lag == 0)
    page = await port.centrifuge.engine.desk.tickets_list(ADMIN, TicketsParams(instance=instance))
    (ticket,) = [ticket for ticket in page.tickets if ticket.contact.phone == phone]
    return ticket.id
