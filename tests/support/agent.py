"""An agent's client in Python, on an independent WebSocket library's codec and a bare socket.

For what the SDK never does: stop reading, send broken frames, count every offset.
"""

import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Origin
from websockets.uri import parse_uri

from tests.support.daemon import Daemon, token


class Event(NamedTuple):
    channel: str
    offset: int
    data: dict[str, Any]


class Agent:
    def __init__(self, stream: trio.abc.Stream, protocol: ClientProtocol) -> None:
        self.stream = stream
        self._protocol = protocol
        self._last_id = 0
        self._replies: dict[int, dict[str, Any]] = {}
        self._pushes: deque[dict[str, Any]] = deque()

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Send one command and wait for its reply: ``await agent.ask(rpc={…})``."""
        self._last_id += 1
        await self.send_text(json.dumps({"id": self._last_id, **request}))
        while self._last_id not in self._replies:
            assert await self.read_some(), f"closed instead of an answer: {self.close}"
        return self._replies.pop(self._last_id)

    async def rpc(self, method: str, **data: Any) -> Any:
        reply = await self.ask(rpc={"method": method, "data": data})
        assert "error" not in reply, reply
        return reply["rpc"]["data"]

    async def send_text(self, text: str) -> None:
        """Once it is closing this does nothing, as in browsers."""
        if self._protocol.state is not State.OPEN:
            return
        self._protocol.send_text(text.encode())
        await self.flush()

    async def send_frame(self, frame: Frame) -> None:
        """Send a frame as it is, however wrong, masked as a client's must be."""
        await self.stream.send_all(frame.serialize(mask=True))

    async def event(self) -> Event:
        """The next publication with an offset."""
        while True:
            while self._pushes:
                push = self._pushes.popleft()
                if "offset" in push.get("pub", {}):
                    return Event(push["channel"], push["pub"]["offset"], push["pub"]["data"])
            assert await self.read_some(), f"closed instead of an event: {self.close}"

    async def events_up_to(self, offset: int) -> list[Event]:
        """Publications of the one channel subscribed to, up to and with an offset."""
        found = [await self.event()]
        while found[-1].offset < offset:
            found.append(await self.event())
        return found

    async def closed(self) -> Close | None:
        """Read until the daemon ends it; the close frame it sent, if any."""
        while await self.read_some():
            pass
        return self.close

    @property
    def close(self) -> Close | None:
        return self._protocol.close_rcvd

    async def read_some(self) -> bool:
        """Take what came; False when the connection has ended."""
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        if not data:
            return False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                for line in bytes(event.data).decode().splitlines():
                    await self._take(json.loads(line))
        await self.flush()
        return True

    async def _take(self, message: dict[str, Any]) -> None:
        if not message:
            await self.send_text("{}")
        elif "push" in message:
            self._pushes.append(message["push"])
        else:
            self._replies[message["id"]] = message

    async def flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                try:
                    await self.stream.send_all(data)
                except trio.BrokenResourceError:
                    return


@asynccontextmanager
async def open_websocket(
    daemon: Daemon, *, receive_buffer: int | None = None
) -> AsyncIterator[Agent]:
    """A WebSocket after its handshake, nothing said yet.

    ``receive_buffer`` makes the kernel hold little for a client that does not read.
    """
    sock = trio.socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await sock.connect((daemon.host, daemon.port))
    async with trio.SocketStream(sock) as stream:
        yield await shake_hands(stream, daemon.websocket_url)


async def shake_hands(stream: trio.abc.Stream, url: str, *, origin: str | None = None) -> Agent:
    """Make a WebSocket of a connected stream. Raises what ``websockets`` raises for a refusal."""
    protocol = ClientProtocol(
        parse_uri(url), origin=None if origin is None else Origin(origin), max_size=None
    )
    protocol.send_request(protocol.connect())
    agent = Agent(stream, protocol)
    await agent.flush()
    while protocol.handshake_exc is None and protocol.state is State.CONNECTING:
        if not await agent.read_some():
            break
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    return agent


@asynccontextmanager
async def signed_in(
    daemon: Daemon, credential: str | None = None, *, receive_buffer: int | None = None
) -> AsyncIterator[Agent]:
    """A connected agent, by default one that may see everything."""
    async with open_websocket(daemon, receive_buffer=receive_buffer) as agent:
        reply = await agent.ask(connect={"token": credential or token()})
        assert "connect" in reply, reply
        yield agent


async def whole_log(agent: Agent, channel: str) -> list[tuple[int, dict[str, Any]]]:
    """Every event of a channel by paging through its history, as (offset, data)."""
    found: list[tuple[int, dict[str, Any]]] = []
    since: dict[str, Any] = {"offset": 0, "epoch": ""}
    while True:
        reply = await agent.ask(history={"channel": channel, "limit": 1000, "since": since})
        page = reply["history"]["publications"]
        if not page:
            return found
        found += [(publication["offset"], publication["data"]) for publication in page]
        since = {"offset": found[-1][0], "epoch": reply["history"]["epoch"]}
