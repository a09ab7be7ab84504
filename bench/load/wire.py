"""The client side of WebSocket (RFC 6455) and of Centrifuge over it, as far as benches need it."""

import base64
import hashlib
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A masked frame. The mask is zero: it is there to fool proxies, and there are none."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    else:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Whole frames at the start of ``data`` as (opcode, payload), and the bytes left over.

    Raises ``ValueError`` for a fragmented or masked frame: the daemon sends neither.
    """
    frames = []
    at, end = 0, len(data)
    while end - at >= 2:
        first, size = data[at], data[at + 1]
        start = at + 2
        if not first & 0x80 or first & 0x70 or size & 0x80:
            raise ValueError(f"unexpected frame head {data[at : at + 2].hex()}")
        if size == 126:
            if end < start + 2:
                break
            (size,) = struct.unpack_from("!H", data, start)
            start += 2
        elif size == 127:
            if end < start + 8:
                break
            (size,) = struct.unpack_from("!Q", data, start)
            start += 8
        if end < start + size:
            break
        frames.append((first & 0x0F, data[start : start + size]))
        at = start + size
    return frames, data[at:]


class WebSocket:
    """A blocking connection: the handshake, and lines as they come; pings are answered."""

    PATH: str
    PING: bytes
    PONG: bytes
    polls = 0
    """What came by long-polling: not here."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 120.0) -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        """Bytes received after the last whole frame."""
        self.pending: list[bytes] = []
        """Payload lines received and not looked at."""
        self._host = f"{host}:{port}"
        self._key = base64.b64encode(os.urandom(16))

    def send_upgrade(self) -> None:
        self.socket.sendall(
            f"GET {self.PATH} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {self._key.decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def finish_upgrade(self) -> None:
        """Read the answer to the upgrade. Raises ``ConnectionError`` when it is not a 101."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, self.rest = data.partition(b"\r\n\r\n")
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest())
        if not head.startswith(b"HTTP/1.1 101") or accept.lower() not in head.lower():
            raise ConnectionError(f"no upgrade: {head[:100]!r}")

    def send_text(self, text: bytes) -> None:
        self.socket.sendall(client_frame(text))

    def take(self, data: bytes) -> bytes | None:
        """What of received bytes is to be read; None when there is no sense in them yet."""
        return data

    def pong(self) -> None:
        self.send_text(self.PONG)

    def proceed(self) -> None:
        """What was taken has been read."""

    def read_line(self) -> bytes:
        """The next line of the protocol; pings are answered here."""
        while True:
            while self.pending:
                line = self.pending.pop(0)
                if line != self.PING:
                    return line
                self.pong()
            self._read_frames()

    def _read_frames(self) -> None:
        chunks = [self.rest]
        while True:
            frames, self.rest = split_frames(b"".join(chunks))
            if frames:
                break
            chunks = [self.rest, self._receive()]
        for opcode, payload in frames:
            if opcode == CLOSE:
                raise ConnectionError(f"closed: {payload[:2].hex()} {payload[2:].decode()}")
            if opcode == TEXT:
                self.pending.extend(payload.split(b"\n"))

    def _receive(self) -> bytes:
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the daemon closed the connection")
        return data

    def close(self) -> None:
        self.socket.close()


class Client(WebSocket):
    """Centrifuge: commands, their answers, and pushes."""

    PATH = "/connection/websocket"
    PING = PONG = b"{}"

    def __init__(self, host: str, port: int, *, timeout_s: float = 120.0) -> None:
        super().__init__(host, port, timeout_s=timeout_s)
        self._last_id = 0

    def send_command(self, kind: str, request: dict[str, Any]) -> None:
        self._last_id += 1
        line = json.dumps({"id": self._last_id, kind: request}, separators=(",", ":"))
        self.send_text(line.encode())

    def read_reply(self, kind: str) -> dict[str, Any]:
        """The answer to the last command; pushes before it stay in ``pending``.

        Raises ``ConnectionError`` when the daemon refuses it.
        """
        wanted = b'{"id":%d,' % self._last_id
        kept = []
        while True:
            line = self.read_line()
            if line.startswith(wanted):
                break
            kept.append(line)
        self.pending = kept + self.pending
        reply = json.loads(line)
        if kind not in reply:
            raise ConnectionError(f"{kind} was refused: {reply.get('error')}")
        found: dict[str, Any] = reply[kind]
        return found

    def call(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        self.send_command(kind, request)
        return self.read_reply(kind)

    def connect(self, token: str) -> None:
        """Shake hands and introduce ourselves."""
        self.send_upgrade()
        self.finish_upgrade()
        self.call("connect", {"token": token})


def open_clients(
    host: str, port: int, token: str, channels: Sequence[tuple[str, ...]], *, at_once: int = 64
) -> tuple[list[Client], list[dict[str, int]]]:
    """Open a client for each tuple of channels and subscribe it to them.

    Returns the clients with the offset at which each subscription began. The handshakes of
    ``at_once`` clients overlap, so that opening thousands takes seconds.
    """
    clients: list[Client] = []
    positions: list[dict[str, int]] = []
    for begin in range(0, len(channels), at_once):
        wanted = channels[begin : begin + at_once]
        wave = [Client(host, port) for _ in wanted]
        for client in wave:
            client.send_upgrade()
        for client in wave:
            client.finish_upgrade()
            client.send_command("connect", {"token": token})
        for client in wave:
            client.read_reply("connect")
        offsets: list[dict[str, int]] = [{} for _ in wave]
        for turn in range(max(map(len, wanted))):
            pairs = [
                (client, names[turn], at)
                for client, names, at in zip(wave, wanted, offsets, strict=True)
                if turn < len(names)
            ]
            for client, name, _ in pairs:
                client.send_command("subscribe", {"channel": name})
            for client, name, at in pairs:
                at[name] = client.read_reply("subscribe").get("offset", 0)
        clients += wave
        positions += offsets
    return clients, positions
