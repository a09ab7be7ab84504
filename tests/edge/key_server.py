"""A small real identity provider: keys that sign tokens, and an HTTP server for their set."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
import trio
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def ec_key(name: str = "one") -> ec.EllipticCurvePrivateKey:
    """A P-256 key; the same for the same name."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def jwk(key: PrivateKey, kid: str, /, **changes: Any) -> dict[str, Any]:
    """The public JWK as Supabase publishes it."""
    public = key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        members = jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True)
        algorithm = "ES256"
    else:
        members = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True)
        algorithm = "RS256"
    members.pop("key_ops", None)
    return members | {"kid": kid, "alg": algorithm, "use": "sig"} | changes


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


class KeyServer:
    """Answers every request with what it is told to, and counts."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.body = key_set()
        self.status = "200 OK"
        self.headers = "Content-Type: application/json\r\n"
        self.requests = 0
        self.asked = trio.Event()
        self.silent = False
        """Whether requests stay unanswered until ``speak``."""
        self._speak = trio.Event()

    def speak(self) -> None:
        self.silent = False
        self._speak.set()

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    received = await stream.receive_some()
                    if not received:
                        return
                    head += received
                self.requests += 1
                self.asked.set()
                if self.silent:
                    await self._speak.wait()
                await stream.send_all(
                    f"HTTP/1.1 {self.status}\r\n{self.headers}Connection: close\r\n"
                    f"Content-Length: {len(self.body)}\r\n\r\n".encode()
                    + self.body
                )
            except trio.BrokenResourceError:
                return  # the client had enough, as some tests want


@asynccontextmanager
async def open_key_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[KeyServer]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        server = KeyServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}/jwks.json")

        async def handle(stream: trio.SocketStream) -> None:
            await server.serve(
                trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
                if tls
                else stream
            )

        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield server
        nursery.cancel_scope.cancel()
