"""As much of Evolution 2.3 as a reply needs, and a record of what was sent through it."""

import json
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

import trio

API_KEY = "key-of-the-bench"


class Gateway:
    """Answers at once. While ``is_down`` every connection is closed before it has said anything."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        """(instance, the number that the text is) in the order of arrival."""
        self.at: array[float] = array("d")
        """When, by Trio's clock."""
        self.is_down = False
        self.url = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        held = b""
        async with stream:
            while not self.is_down:
                while b"\r\n\r\n" not in held:
                    chunk = await stream.receive_some(65536)
                    if not chunk:
                        return
                    held += chunk
                head, _, held = held.partition(b"\r\n\r\n")
                size = next(
                    (
                        int(line.partition(b":")[2])
                        for line in head.split(b"\r\n")
                        if line[:15].lower() == b"content-length:"
                    ),
                    0,
                )
                while len(held) < size:
                    held += await stream.receive_some(65536)
                body, held = held[:size], held[size:]
                await stream.send_all(self._answer(head.split(b" ", 2)[1].decode(), body))

    def _answer(self, path: str, body: bytes) -> bytes:
        action, _, instance = path.rpartition("/")
        answer: object = {"status": 200, "version": "2.3.6"}
        status = 200
        if action == "/message/sendText":
            asked = json.loads(body)
            whatsapp_id = f"3EB0{len(self.sent):018X}"
            self.sent.append((unquote(instance), int(asked["text"])))
            self.at.append(trio.current_time())
            jid = f"{asked['number']}@s.whatsapp.net"
            key = {"id": whatsapp_id, "fromMe": True, "remoteJid": jid}
            status, answer = 201, {"key": key, "status": "PENDING"}
        elif action == "/instance/connectionState":
            answer = {"instance": {"instanceName": unquote(instance), "state": "open"}}
        elif action == "/chat/findMessages":
            answer = {"messages": {"total": 0, "pages": 1, "currentPage": 1, "records": []}}
        elif action == "/webhook/find":
            answer = None
        data = json.dumps(answer).encode()
        return (
            f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        ).encode() + data


@asynccontextmanager
async def open_gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        gateway.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, gateway.serve, listeners)
        yield gateway
        nursery.cancel_scope.cancel()
