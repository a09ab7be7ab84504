"""A web server on loopback that says, byte for byte, what a test wants said."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
Say = Callable[[trio.abc.Stream], Awaitable[None]]


class FilesServer:
    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, bytes | Say] = {}
        """By path: all of the answer, or what writes it."""
        self.heads: list[str] = []
        """Of the requests, in order."""

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]

    async def serve(self, stream: trio.abc.Stream) -> None:
        try:
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = await stream.receive_some()
                    if not more:
                        return
                    head += more
                self.heads.append(head.decode("latin-1"))
                path = self.paths[-1].partition("?")[0]
                said = self.answers.get(path, NOT_FOUND)
                if isinstance(said, bytes):
                    await stream.send_all(said)
                else:
                    await said(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # clients leave in the middle, which is what some tests are about


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(location: str) -> bytes:
    return answer(b"", f"Location: {location}", status="302 Found")


@asynccontextmanager
async def files_server(certificate: tuple[Path, Path] | None = None) -> AsyncIterator[FilesServer]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = FilesServer(listeners[0].socket.getsockname()[1])

    async def serve(stream: trio.SocketStream) -> None:
        if certificate is None:
            await server.serve(stream)
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        await server.serve(trio.SSLStream(stream, context, server_side=True))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield server
        nursery.cancel_scope.cancel()
