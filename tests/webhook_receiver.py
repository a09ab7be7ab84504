"""A tiny real HTTP server that takes webhooks and answers as a test tells it to."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import msgspec
import trio


class Request(msgspec.Struct):
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])


HANG_UP = 0
STALL = -1
Behaviour = Callable[[Request], int]
"""A status to answer with, HANG_UP to close without a word, STALL to never answer."""


class Receiver:
    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""

    def of(self, event: str) -> list[dict[str, Any]]:
        return [body for r in self.requests if r.body and (body := r.json)["event"] == event]

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection; a client that breaks it off in the middle is nothing unusual."""
        self.connections += 1
        with suppress(trio.BrokenResourceError):
            await self._serve(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        held = b""
        async with stream:
            while True:
                while b"\r\n\r\n" not in held:
                    data = await stream.receive_some()
                    if not data:
                        return
                    held += data
                head, _, held = held.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
                length = int(headers.get("content-length", 0))
                while len(held) < length:
                    data = await stream.receive_some()
                    if not data:
                        return
                    held += data
                method, path, _ = first.split(" ")
                request = Request(method, path, headers, held[:length])
                held = held[length:]
                self.requests.append(request)
                status = self.behave(request)
                if status == HANG_UP:
                    return
                if status == STALL:
                    await trio.sleep_forever()
                redirect = "Location: /redirected\r\n" if 300 <= status < 400 else ""
                await stream.send_all(
                    f"HTTP/1.1 {status} X\r\n{redirect}Content-Length: 2\r\n\r\n{{}}".encode()
                )


@asynccontextmanager
async def open_receiver(behave: Behaviour = lambda request: 200) -> AsyncIterator[Receiver]:
    receiver = Receiver(behave)
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, receiver.serve, 0, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        receiver.url = f"http://127.0.0.1:{port}/hook/a-secret"
        yield receiver
        nursery.cancel_scope.cancel()
