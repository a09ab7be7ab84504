"""How a request reached us: from whom, over TLS or not, and under which name."""

import trio
from msgspec import Struct

from evorelay.edge.framestream import Transport
from evorelay.protocol.http_head import Head
from evorelay.protocol.peers import UNIX_PEER, Networks

_SECURE = ("https", "wss")
"""Traefik says ``wss`` of an upgrade."""


class Peer(Struct, frozen=True):
    address: str | None
    secure: bool
    """Whether the connection itself is TLS."""

    @classmethod
    def of(cls, transport: Transport) -> "Peer":
        if isinstance(transport, trio.SSLStream):
            return cls(_address(transport.transport_stream), True)
        return cls(_address(transport), False)


class RequestContext(Struct, frozen=True):
    """What the gate knows about a request that is not in its head, or not to be believed there."""

    peer: str | None
    secure: bool
    host: str | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.secure else "http"


class Proxies:
    """``server.trusted_proxies``: what they say of the client's own connection counts."""

    def __init__(self, cidrs: tuple[str, ...]) -> None:
        """Raise ConfigError for a network that cannot be used."""
        self._networks = Networks("server.trusted_proxies", cidrs)

    def context(self, head: Head, peer: Peer) -> RequestContext:
        secure, host = peer.secure, head.header(b"host")
        if peer.address in self._networks:
            forwarded = head.header(b"x-forwarded-proto")
            if forwarded is not None:
                secure = forwarded.strip().lower() in _SECURE
            host = head.header(b"x-forwarded-host") or host
        return RequestContext(peer.address, secure, host)


def _address(stream: trio.SocketStream) -> str | None:
    """The peer's IP address, ``UNIX_PEER``, or None when it left already."""
    try:
        name = stream.socket.getpeername()
    except OSError:
        return None
    return name[0] if isinstance(name, tuple) else UNIX_PEER
