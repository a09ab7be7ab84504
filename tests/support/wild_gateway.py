"""A gateway that is not the simulator: bare HTTP over a socket, and as unreliable as asked.

It speaks as much of Evolution 2.3 as a reply needs. Whatever goes wrong, ``sent`` is what WhatsApp
would have, so counting in it is counting what customers see.
"""

import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote

import trio
from msgspec import Struct

API_KEY = "key-of-the-wild-gateway-0123456789"


class Sent(NamedTuple):
    instance: str
    number: str
    text: str
    whatsapp_id: str
    at_s: float


class Mischief(Struct, kw_only=True):
    """Chances, of each send."""

    drop_before: float = 0.0
    """The connection is cut and nothing is sent."""
    drop_after: float = 0.0
    """It is sent, and the connection is cut in the middle of the answer."""
    delay: float = 0.0
    """The connection is cut, and it is sent a while later all the same."""
    late_s: float = 0.5
    error: float = 0.0
    """500 "Connection Closed": nothing was sent."""
    echo_lost: float = 0.0
    echo_twice: float = 0.0
    slow_s: float = 0.0


class WildGateway:
    def __init__(self, seed: int, mischief: Mischief) -> None:
        self.mischief = mischief
        self.sent: list[Sent] = []
        self.webhook: tuple[str, int, str] | None = None
        """(host, port, path) that ``send.message`` is posted to."""
        self.seen: list[bytes] = []
        """Heads of all requests."""
        self.is_down = False
        self.url = ""
        self._rng = random.Random(seed)
        self._nursery: trio.Nursery | None = None

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, until somebody has had enough."""
        try:
            async with stream:
                buffer = b""
                while not self.is_down:
                    while b"\r\n\r\n" not in buffer:
                        chunk = await stream.receive_some(65536)
                        if not chunk:
                            return
                        buffer += chunk
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    size = _length_of(head)
                    while len(buffer) < size:
                        chunk = await stream.receive_some(65536)
                        if not chunk:
                            return
                        buffer += chunk
                    body, buffer = buffer[:size], buffer[size:]
                    self.seen.append(head)
                    answer = await self._answer(head, body)
                    if answer is None:
                        return
                    is_cut, data = answer
                    await stream.send_all(data[: len(data) // 2] if is_cut else data)
                    if is_cut:
                        return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the daemon was killed, or hung up

    async def _answer(self, head: bytes, body: bytes) -> tuple[bool, bytes] | None:
        """(whether it is cut in half, the answer); None: hang up without one."""
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        parts = [unquote(part) for part in path.split("?")[0].strip("/").split("/")]
        asked = json.loads(body) if body else {}
        match [method, *parts]:
            case ["GET", ""]:
                return False, _json(200, {"status": 200, "version": "2.3.6"})
            case ["POST", "message", "sendText", instance]:
                return await self._send(instance, asked)
            case ["POST", "chat", "findMessages", instance]:
                return False, _json(200, self._find(instance, asked))
            case ["GET", "instance", "connectionState", instance]:
                state = {"instance": {"instanceName": instance, "state": "open"}}
                return False, _json(200, state)
            case ["GET", "webhook", "find", _]:
                return False, _json(200, None)
            case ["POST", "chat", "findStatusMessage", _]:
                return False, _json(200, [])
        return False, _json(404, {"status": 404, "error": "Not Found"})

    async def _send(self, instance: str, asked: dict[str, Any]) -> tuple[bool, bytes] | None:
        mischief, chance = self.mischief, self._rng.random()
        if mischief.slow_s:
            await trio.sleep(self._rng.random() * mischief.slow_s)
        if chance < mischief.drop_before:
            return None
        chance -= mischief.drop_before
        if chance < mischief.delay:
            assert self._nursery is not None
            self._nursery.start_soon(self._send_late, instance, asked)
            return None
        chance -= mischief.delay
        if chance < mischief.error:
            closed = {"status": 500, "error": "", "response": {"message": "Connection Closed"}}
            return False, _json(500, closed)
        chance -= mischief.error
        answer = self._sent(instance, asked)
        return chance < mischief.drop_after, _json(201, answer)

    async def _send_late(self, instance: str, asked: dict[str, Any]) -> None:
        await trio.sleep(self._rng.random() * self.mischief.late_s)
        self._sent(instance, asked)

    def _sent(self, instance: str, asked: dict[str, Any]) -> dict[str, Any]:
        whatsapp_id = f"3EB0{len(self.sent):018X}"
        sent = Sent(instance, asked["number"], asked["text"], whatsapp_id, trio.current_time())
        self.sent.append(sent)
        row = self._row(sent)
        assert self._nursery is not None
        echoes = 0 if self._rng.random() < self.mischief.echo_lost else 1
        echoes += self._rng.random() < self.mischief.echo_twice
        for _ in range(echoes):
            self._nursery.start_soon(self._post, {**row, "status": "PENDING"}, instance)
        return {**row, "status": "PENDING"}

    def _row(self, sent: Sent) -> dict[str, Any]:
        return {
            "key": {
                "id": sent.whatsapp_id,
                "fromMe": True,
                "remoteJid": f"{sent.number}@s.whatsapp.net",
            },
            "pushName": "Você",
            "message": {"conversation": sent.text},
            "messageType": "conversation",
            "messageTimestamp": int(time.time() - trio.current_time() + sent.at_s),
            "source": "unknown",
        }

    def _find(self, instance: str, asked: dict[str, Any]) -> dict[str, Any]:
        key = asked.get("where", {}).get("key", {})
        rows = [
            self._row(sent)
            for sent in reversed(self.sent)
            if sent.instance == instance and key.get("id") in (None, sent.whatsapp_id)
        ]
        page, size = asked.get("page", 1), asked.get("offset", 50)
        return {
            "messages": {
                "total": len(rows),
                "pages": max(1, -(-len(rows) // size)),
                "currentPage": page,
                "records": rows[(page - 1) * size : page * size],
            }
        }

    async def _post(self, data: dict[str, Any], instance: str) -> None:
        """``send.message``, now or a little later; not repeated when nobody listens."""
        if self.webhook is None:
            return
        await trio.sleep(self._rng.random() * 0.2)
        host, port, path = self.webhook
        body = json.dumps({"event": "send.message", "instance": instance, "data": data}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            async with await trio.open_tcp_stream(host, port) as stream:
                await stream.send_all(head.encode() + body)
                with trio.move_on_after(5):
                    await stream.receive_some(4096)
        except (OSError, trio.BrokenResourceError):
            return


@asynccontextmanager
async def wild_gateway(seed: int, mischief: Mischief) -> AsyncIterator[WildGateway]:
    """Listening on a port of loopback; gone with all its connections afterwards."""
    gateway = WildGateway(seed, mischief)
    async with trio.open_nursery() as nursery:
        gateway._nursery = nursery
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        gateway.url = f"http://127.0.0.1:{port}"
        nursery.start_soon(trio.serve_listeners, gateway.serve, listeners)
        yield gateway
        nursery.cancel_scope.cancel()


def _length_of(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _json(status: int, value: Any) -> bytes:
    body = json.dumps(value).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n"
    )
    return head.encode() + body
