"""Socket.IO 5 as a client, over WebSocket and by long-polling, as far as benches need it."""

import json
import socket
from collections.abc import Sequence

from bench.load.wire import WebSocket

PATH = "/socket.io/?EIO=4&transport="


class SocketIoClient(WebSocket):
    PATH = f"{PATH}websocket"
    PING = b"2"
    PONG = b"3"

    def read_packet(self, start: bytes) -> bytes:
        """The next packet that begins like this; those before it are passed over."""
        while not (packet := self.read_line()).startswith(start):
            _check(packet)
        return packet


class PollingClient:
    """One connection for everything: a POST only while no GET waits, as nothing else is to do."""

    PING = b"2"
    PONG = b"3"

    def __init__(self, host: str, port: int, *, timeout_s: float = 120.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        """As far as a receiver is concerned: it is given whole payloads."""
        self.pending: list[bytes] = []
        self.polls = 0
        """GETs that were answered."""
        self._target = f"{PATH}polling"
        self._host = f"{host}:{port}"
        self._held = b""
        self._is_posting = False

    def open(self) -> None:
        """Shake hands. Raises ``ConnectionError`` when the daemon refuses."""
        opening = json.loads(self._ask("GET")[1:])
        self._target += f"&sid={opening['sid']}"

    def post(self, packet: bytes) -> None:
        """Send a packet; no GET may be waiting."""
        self._ask("POST", packet)

    def read_packet(self, start: bytes) -> bytes:
        """Poll for a packet that begins like this; those before it are passed over."""
        while True:
            while self.pending:
                packet = self.pending.pop(0)
                if packet.startswith(start):
                    return packet
                _check(packet)
            self.pending = self._ask("GET").split(b"\x1e")

    def take(self, data: bytes) -> bytes | None:
        """The payload that received bytes complete, to be read, then ``proceed``."""
        self._held += data
        body = self._answer()
        if body is None:
            return None
        if self._is_posting:
            self._is_posting = False
            self.proceed()
            return None
        self.polls += 1
        return body

    def pong(self) -> None:
        self._is_posting = True
        self._send("POST", self.PONG)

    def proceed(self) -> None:
        """Poll on; behind a POST it waits for that."""
        if not self._is_posting:
            self._send("GET")

    def close(self) -> None:
        self.socket.close()

    def _ask(self, method: str, body: bytes = b"") -> bytes:
        self._send(method, body)
        while (answer := self._answer()) is None:
            data = self.socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the daemon closed the connection")
            self._held += data
        return answer

    def _send(self, method: str, body: bytes = b"") -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{method} {self._target} HTTP/1.1\r\nHost: {self._host}\r\n{length}\r\n"
        self.socket.sendall(head.encode() + body)

    def _answer(self) -> bytes | None:
        """The body of an answer that is whole. Raises ``ConnectionError`` for a refusal."""
        head, separator, rest = self._held.partition(b"\r\n\r\n")
        if not separator:
            return None
        start = head.lower().index(b"content-length:") + 15
        length = int(head[start:].partition(b"\r\n")[0])
        if len(rest) < length:
            return None
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"refused: {head[:40]!r} {rest[:200]!r}")
        self._held = rest[length:]
        return rest[:length]


def _check(packet: bytes) -> None:
    if packet.startswith((b"44", b"1", b"41")):
        raise ConnectionError(f"the daemon refused: {packet[:200]!r}")


def open_websockets(
    host: str, port: int, token: str, channels: Sequence[tuple[str, ...]], *, at_once: int = 64
) -> list[SocketIoClient]:
    """Open a client for each tuple of inboxes and have it join them; ``at_once`` overlap."""
    clients: list[SocketIoClient] = []
    for begin in range(0, len(channels), at_once):
        wanted = channels[begin : begin + at_once]
        wave = [SocketIoClient(host, port) for _ in wanted]
        for client in wave:
            client.send_upgrade()
        for client in wave:
            client.finish_upgrade()
            client.send_text(_connect(token))
        for client, names in zip(wave, wanted, strict=True):
            client.read_packet(b"40")
            for name in names:
                client.send_text(_join(name))
        for client, names in zip(wave, wanted, strict=True):
            for _ in names:
                _check_joined(client.read_packet(b"430"))
        clients += wave
    return clients


def open_pollers(
    host: str, port: int, token: str, channels: Sequence[tuple[str, ...]]
) -> list[PollingClient]:
    """The same by long-polling, one after the other; each has a GET waiting in the end."""
    clients = []
    for names in channels:
        client = PollingClient(host, port)
        client.open()
        client.post(_connect(token))
        client.read_packet(b"40")
        for name in names:
            client.post(_join(name))
            _check_joined(client.read_packet(b"430"))
        clients.append(client)
    for client in clients:
        client.proceed()
    return clients


def _connect(token: str) -> bytes:
    return b"40" + json.dumps({"token": token}).encode()


def _join(channel: str) -> bytes:
    return b"420" + json.dumps(["join-inbox", channel.removeprefix("inbox:")]).encode()


def _check_joined(answer: bytes) -> None:
    if not json.loads(answer[3:])[0]["ok"]:
        raise ConnectionError(f"not joined: {answer!r}")
