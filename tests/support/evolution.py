"""A raw loopback server in Evolution's place: it answers, stalls and breaks off as it is told."""

import json
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import trio

Act = Callable[["RawEvolution", trio.abc.Stream], Awaitable[bool]]
"""Writes an answer; returns whether the connection stays open."""


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RawEvolution:
    """``acts`` are used up in order, then everything is answered ``otherwise``."""

    url: str
    version: str | None = "2.3.6"
    acts: deque[Act] = field(default_factory=deque)
    requests: list[Received] = field(default_factory=list)
    """Without those for ``/``."""
    roots: int = 0
    connections: int = 0
    bytes_received: int = 0
    """Of HTTP, after the TLS."""
    bytes_sent: int = 0
    asked: trio.Event = field(default_factory=trio.Event)
    """A request other than for ``/`` is here whole."""
    left: trio.Event = field(default_factory=trio.Event)
    """A client has closed a connection that was being held."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        async with stream:
            try:
                while (request := await self._read(stream)) is not None:
                    if not await self._answer(request, stream):
                        return
            except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
                return  # the client had enough, or did not trust us

    async def _read(self, stream: trio.abc.Stream) -> Received | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (received := await self._receive(stream)):
                return None
            data += received
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        chunks = [body]
        missing = int(headers.get("content-length", "0")) - len(body)
        while missing > 0:
            if not (received := await self._receive(stream)):
                return None
            chunks.append(received)
            missing -= len(received)
        return Received(method, path, headers, b"".join(chunks))

    async def _receive(self, stream: trio.abc.Stream) -> bytes:
        received = bytes(await stream.receive_some(65536))
        self.bytes_received += len(received)
        return received

    async def _answer(self, request: Received, stream: trio.abc.Stream) -> bool:
        if re.fullmatch(r"(/[a-z]*)?/", request.path):
            self.roots += 1
            if self.version is None:
                return await says(404, {"status": 404})(self, stream)
            return await says(200, {"version": self.version})(self, stream)
        self.requests.append(request)
        act = self.acts.popleft() if self.acts else accepts()
        self.asked.set()
        return await act(self, stream)

    async def send(self, stream: trio.abc.Stream, data: bytes) -> None:
        for start in range(0, len(data), 65536):
            await stream.send_all(data[start : start + 65536])
            self.bytes_sent += len(data[start : start + 65536])


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(status: int, document: Any, *headers: str) -> Act:
    """Answer with JSON, or with bytes as they are, and keep the connection."""

    async def act(server: RawEvolution, stream: trio.abc.Stream) -> bool:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        await server.send(stream, answer(status, body, *headers))
        return True

    return act


def accepts(whatsapp_id: str = "3EB0ACCEPTED") -> Act:
    return says(201, {"key": {"id": whatsapp_id, "fromMe": True, "remoteJid": "1@s.whatsapp.net"}})


def refuses(status: int, *message: Any) -> Act:
    """An error as Evolution writes it."""
    return says(status, {"status": status, "error": "X", "response": {"message": list(message)}})


def hangs(first: bytes = b"") -> Act:
    """Write ``first`` and nothing more until the client leaves."""

    async def act(server: RawEvolution, stream: trio.abc.Stream) -> bool:
        await server.send(stream, first)
        with suppress(trio.BrokenResourceError):
            await stream.receive_some(1)
        server.left.set()
        return False

    return act


def breaks_off(first: bytes = b"") -> Act:
    """Write ``first`` and close."""

    async def act(server: RawEvolution, stream: trio.abc.Stream) -> bool:
        await server.send(stream, first)
        return False

    return act


@asynccontextmanager
async def open_evolution(
    tls: ssl.SSLContext | None = None, *, version: str | None = "2.3.6", path: str = ""
) -> AsyncIterator[RawEvolution]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        origin = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        server = RawEvolution(origin + path, version=version)

        async def handle(stream: trio.SocketStream) -> None:
            if tls is None:
                await server.serve(stream)
            else:
                await server.serve(
                    trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
                )

        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield server
        nursery.cancel_scope.cancel()
