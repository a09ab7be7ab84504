"""HTTP over a bare socket: what is sent is exactly what the test wrote."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from tests.support.daemon import Daemon


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """Send bytes, read answers. Every answer of the daemon's has a ``Content-Length``."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._held = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_reply(self) -> Reply | None:
        """The next answer; None when the daemon closed the connection instead."""
        while b"\r\n\r\n" not in self._held:
            if not await self._fill():
                return None
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100 "):
            return await self.read_reply()
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", 0))
        while len(self._held) < length:
            if not await self._fill():
                return None
        body, self._held = self._held[:length], self._held[length:]
        return Reply(int(first.split()[1]), headers, body)

    async def is_closed(self, within_s: float = 30.0) -> bool:
        """Whether the daemon ends the connection and sends nothing more."""
        with trio.move_on_after(within_s):
            return not self._held and not await self._fill()
        return False

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        """One request and its answer."""
        await self.send(request(method, target, body, headers))
        reply = await self.read_reply()
        assert reply is not None, "the daemon closed the connection without an answer"
        return reply

    async def _fill(self) -> bool:
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            return False
        self._held += data
        return bool(data)


def request(
    method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of an ordinary request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: relay.example"]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def connected(daemon: Daemon) -> AsyncIterator[Connection]:
    stream = await trio.open_tcp_stream(daemon.host, daemon.port)
    async with stream:
        yield Connection(stream)


async def ask(daemon: Daemon, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
    """One request on a connection of its own."""
    async with connected(daemon) as connection:
        return await connection.ask(method, target, body, **headers)
