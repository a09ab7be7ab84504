"""Which addresses are the Internet's: the only ones we call because a client said so."""

import ipaddress

_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
"""All that is given out (RFC 4291); whatever is outside has a meaning of its own."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_TUNNELS = (ipaddress.ip_network("2001::/32"), ipaddress.ip_network("2002::/16"))
"""Teredo and 6to4: they lead to an IPv4 address written inside of them, and nobody uses them."""


def is_public(address: str) -> bool:
    """Whether an address, as the resolver gives it, is one of the public Internet.

    Loopback, private networks, link-local (a cloud's metadata service), CGNAT, multicast, the
    unspecified address and all that is reserved are not. An IPv4 address inside an IPv6 one
    (mapped, NAT64) is judged itself. Anything that is no address is not public.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global and not found.is_multicast
    if found.ipv4_mapped is not None:
        return is_public(str(found.ipv4_mapped))
    if found in _NAT64:
        return is_public(str(ipaddress.IPv4Address(found.packed[-4:])))
    if found not in _GLOBAL_IPV6 or any(found in tunnel for tunnel in _TUNNELS):
        return False
    return found.is_global
