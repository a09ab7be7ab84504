"""Text of a configuration -> values: durations, sizes, lists, addresses, fingerprints.

Every function is pure and raises ``ValueError`` with "what is wrong; what to do". The message
never repeats the text, which may be a secret put under the wrong key.
"""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

_QUANTITY = re.compile(r"(-?[0-9]{1,18}(?:\.[0-9]{1,9})?) *([A-Za-z]*)")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "": 1,
    "b": 1,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared with, not bound
_UNIX_PATH_MAX = 107
"""``sun_path`` of unix(7) without its final NUL."""
_HTTP_PORTS = {"http": 80, "https": 443}


class TcpBind(NamedTuple):
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class UnixBind(NamedTuple):
    path: str

    @property
    def is_loopback(self) -> bool:
        return True


def parse_seconds(text: str) -> float:
    """``"30m"`` -> 1800.0; a bare number is seconds."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in _SECONDS:
        raise ValueError("is not a duration; write seconds as a number, or text like 30m, 12h, 7d")
    return float(match[1]) * _SECONDS[match[2].lower()]


def parse_bytes(text: str) -> int:
    """``"160MiB"`` -> 167772160; a bare number is bytes, MB is 1,000,000 of them."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError("is not a size; write bytes as a number, or text like 64MiB, 2GiB")
    number, unit = match[1], _BYTES[match[2].lower()]
    return round(float(number) * unit) if "." in number else int(number) * unit


def parse_bool(text: str) -> bool:
    word = _WORDS.get(text.strip().lower())
    if word is None:
        raise ValueError("is neither true nor false; write one of them")
    return word


def parse_list(text: str) -> tuple[str, ...]:
    """Comma-separated; blanks around an item and empty items are dropped."""
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def parse_fingerprint(text: str) -> str:
    """SHA-256 of a certificate as 64 lower-case hex digits; colons and case are ignored."""
    digits = text.strip().replace(":", "").lower()
    if re.fullmatch(r"[0-9a-f]{64}", digits) is None:
        raise ValueError(
            "is not a SHA-256 fingerprint of 64 hex digits; take it from"
            " `openssl x509 -noout -fingerprint -sha256`"
        )
    return digits


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A CIDR or a single address."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            "has an entry that is not a network; write CIDRs like 10.0.0.0/8 or fd00::/8"
        ) from None
    raise ValueError(f"has an address beyond its network's mask; write {meant}")


def parse_base_url(text: str) -> str:
    """An address others are called at, without the slash at its end.

    Narrower than a URL may be: whatever passes here can be connected to, or fails as a name that
    nobody has.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("is no URL; write it like https://relay.example.com") from None
    if "@" in parts.netloc:
        raise ValueError("carries a user name or a password; leave it out")
    if parts.scheme not in _HTTP_PORTS or port == 0 or not _is_host(host, parts.netloc):
        raise ValueError("is not an http:// or https:// URL; write the base address")
    if "?" in text or "#" in text:
        raise ValueError("has a part after ? or #; write the base address alone")
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("has characters that cannot stand in a URL; write %20 for a blank")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def parse_host(text: str) -> tuple[str, int | None]:
    """``host``, ``host:port`` or a base URL -> (host, port); None stands for every port."""
    is_url = "://" in text
    try:
        parts = urlsplit(parse_base_url(text if is_url else f"http://{text}"))
    except ValueError:
        raise ValueError(
            "has an entry that is no host; write host or host:port, such as minio:9000"
        ) from None
    assert parts.hostname is not None
    return parts.hostname, parts.port or (_HTTP_PORTS[parts.scheme] if is_url else None)


def parse_api_key(text: str) -> str:
    """A key as it stands in a header. HTTP libraries quote a value they cannot send (P7)."""
    if not re.fullmatch(r"[!-~](?:[ -~]*[!-~])?", text):
        raise ValueError("has characters that cannot stand in a header; copy it again")
    return text


def _is_host(host: str, netloc: str) -> bool:
    """In lower case, and without brackets, which ``netloc`` shows."""
    if "[" in netloc or ":" in host:
        # ``urlsplit`` reads past whatever stands between the bracket and the colon.
        is_whole = re.fullmatch(r"\[[0-9a-fA-F:.]+\](:[0-9]*)?", netloc) is not None
        return is_whole and _is_ip(host, ipaddress.IPv6Address)
    if re.fullmatch(r"[0-9.]+", host):
        return _is_ip(host, ipaddress.IPv4Address)
    labels = host.removesuffix(".").split(".")
    if not all(re.fullmatch(r"[a-z0-9_-]{1,63}", label) for label in labels):
        return False
    try:
        host.encode().decode("idna")
    except UnicodeError:  # ``xn--`` and nothing that was encoded
        return False
    return True


def _is_ip(host: str, family: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bool:
    try:
        family(host)
    except ValueError:
        return False
    return True


def is_every_address(host: str) -> bool:
    """Whether a host to listen on means all addresses of this machine."""
    return host in _LOOPBACK_OF


def host_in_url(host: str) -> str:
    """A host that is listened on, as a URL on this machine names it.

    Each family listens for itself: 127.0.0.1 would not find a socket on ``::``.
    """
    reached = _LOOPBACK_OF.get(host, host)
    return f"[{reached}]" if ":" in reached else reached


def parse_bind(text: str) -> TcpBind | UnixBind:
    """``host:port``, ``[ipv6]:port`` or ``unix:/path``. Port 0 lets the system choose one."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError("must name an absolute path; write unix:/run/evorelay/evorelay.sock")
        if len(path.encode()) > _UNIX_PATH_MAX:
            raise ValueError(f"has a socket path over {_UNIX_PATH_MAX} bytes; use a shorter one")
        return UnixBind(path)
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("is not host:port or unix:/path; write it like 127.0.0.1:4000")
    if not host:
        raise ValueError(f"names no host; write 127.0.0.1:{port}, or 0.0.0.0:{port} for all")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("has no IPv6 address in its brackets; write [::1]:4000") from None
    elif ":" in host:
        raise ValueError(f"needs brackets around an IPv6 address; write [::1]:{port}")
    elif not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise ValueError("has a host that is no name or address; write it like 127.0.0.1:4000")
    return TcpBind(host, int(port))
