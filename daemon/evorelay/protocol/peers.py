"""What a direct peer's address and its request headers prove about where a request came from.

Every rule that trusts a place instead of a credential asks here: ``webhook.allow_from``,
``metrics.allow_from``, ``server.trusted_proxies`` and ``auth.mode = "open"``.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from evorelay.model.errors import ConfigError

Headers = Sequence[tuple[bytes, bytes]]
"""Raw header lines in the order received; names in any case, values as sent."""

UNIX_PEER = "unix"
"""The peer of a connection over a unix socket. ``None`` is a peer we could not learn: trust it
with nothing."""

_FORWARDING = (b"forwarded", b"via", b"x-real-ip")


class Networks:
    """Some CIDRs. ``peer in networks`` is false for unix sockets and for anything not an address.

    ``key`` is the configuration key, for the ``ConfigError`` that a malformed CIDR raises.
    """

    def __init__(self, key: str, cidrs: Sequence[str]) -> None:
        try:
            self._networks = tuple(ip_network(cidr, strict=False) for cidr in cidrs)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}; write networks like 10.1.0.0/16") from None

    def __contains__(self, peer: str | None) -> bool:
        if not self._networks:
            return False
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


def is_loopback(peer: str | None) -> bool:
    address = _address(peer)
    return address is not None and address.is_loopback


def is_forwarded(headers: Headers) -> bool:
    """Whether a proxy says it passed this request on, so that the direct peer is not the client.

    A proxy that adds no header at all cannot be told from a client; nobody can see that.
    """
    for name, _ in headers:
        lowered = name.lower()
        if lowered in _FORWARDING or lowered.startswith(b"x-forwarded"):
            return True
    return False


def names_this_machine(host: str) -> bool:
    """Whether a ``Host`` header is a loopback name, as no web page of somebody else's can have.

    A page that has its own domain resolve to 127.0.0.1 (DNS rebinding) is of the same origin as
    we are, and comes from a loopback peer; its ``Host`` still says the domain.
    """
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] == "[::1"
    name = name.partition(":")[0]
    return name == "localhost" or is_loopback(name)


def _address(peer: str | None) -> IPv4Address | IPv6Address | None:
    if peer is None:
        return None
    try:
        address = ip_address(peer)
    except ValueError:
        return None
    # A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
