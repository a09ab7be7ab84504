"""Webhooks the hot path does not take: large, chunked, or asking for ``100 Continue``.

An ASGI application in front of the HTTP one. Not a Quart route: Quart gathers a body in memory
without a bound, while ``receive`` here is only called when the disk has taken what came before.
The gate has already judged credential and size (edge/gate.py).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio

from evorelay.protocol.webhook import match_path
from evorelay.relay.ingest import Answer, Ingest

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Asgi = Callable[[Any, Receive, Send], Awaitable[None]]


class SenderLeft(Exception):
    """The sender hung up in the middle of its body; nobody waits for an answer."""


class UnusualWebhooks:
    def __init__(self, ingest: Ingest, others: Asgi) -> None:
        self._ingest = ingest
        self._others = others

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        path = match_path(scope["raw_path"].decode("latin-1"))
        if scope["method"] != "POST" or path is None:
            await self._others(scope, receive, send)
            return
        began = trio.current_time()
        try:
            answer = await self._ingest.take_streamed(path, _chunks(receive))
        except SenderLeft:
            return
        await _send(send, answer)
        self._ingest.answered(answer, trio.current_time() - began)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise SenderLeft
        if message["body"]:
            yield message["body"]
        if not message["more_body"]:
            return


async def _send(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
    ]
    if answer.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % answer.retry_after_s))
    if answer.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
