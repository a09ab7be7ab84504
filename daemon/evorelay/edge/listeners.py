"""Sockets to listen on: from systemd, a unix path, or host and port."""

import os
import socket
import ssl
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

from evorelay.config import ServerConfig
from evorelay.model.errors import ConfigError
from evorelay.settings.values import UnixBind, host_in_url, parse_bind

BACKLOG = 1024
Listener = trio.SocketListener | trio.SSLListener[trio.SocketStream]


def listening_sockets(
    config: ServerConfig, inherited: Sequence[socket.socket]
) -> list[socket.socket]:
    """Sockets that already listen; those systemd passed win over ``server.bind``.

    Raises ``ConfigError`` that says why an address cannot be had.
    """
    if inherited:
        return list(inherited)
    bind = parse_bind(config.bind)
    try:
        if isinstance(bind, UnixBind):
            return [_unix_socket(Path(bind.path))]
        return _tcp_sockets(bind.host, bind.port, reuse_port=config.reuse_port)
    except OSError as error:
        raise ConfigError(
            f"server.bind: cannot listen on {config.bind} ({error.strerror or error});"
            " stop what is using it, or choose another address"
        ) from None


@contextmanager
def listening(
    config: ServerConfig, inherited: Sequence[socket.socket]
) -> Iterator[list[socket.socket]]:
    """``listening_sockets``, closed at the end, and the unix path that we made taken away.

    What systemd passed stays: it listens on while nobody serves.
    """
    sockets = listening_sockets(config, inherited)
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        bind = parse_bind(config.bind)
        if not inherited and isinstance(bind, UnixBind):
            # Whoever took the path over in the meantime listens there.
            with suppress(OSError):
                _remove_dead_socket(Path(bind.path))


def _tcp_sockets(host: str, port: int, *, reuse_port: bool) -> list[socket.socket]:
    found: list[socket.socket] = []
    addresses = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    for family, kind, protocol, _, address in dict.fromkeys(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError:
            for opened in (sock, *found):
                opened.close()
            raise
        found.append(sock)
    return found


def _unix_socket(path: Path) -> socket.socket:
    """A socket at ``path`` for this user and group; one that nobody listens on is replaced."""
    _remove_dead_socket(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        os.chmod(path, 0o660)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_dead_socket(path: Path) -> None:
    """Raises ``OSError`` when somebody listens there; leaves what is no socket alone."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                raise OSError(None, "somebody listens there already")
        path.unlink()


def is_local_only(sockets: Sequence[socket.socket]) -> bool:
    """Whether nobody outside this machine can reach any of them (``auth.mode = "open"``)."""
    return all(
        sock.family == socket.AF_UNIX
        or sock.getsockname()[0] == "::1"
        or sock.getsockname()[0].startswith("127.")
        for sock in sockets
    )


def listeners(config: ServerConfig, sockets: Sequence[socket.socket]) -> list[Listener]:
    """Wrap sockets for Trio, with TLS when a certificate is configured."""
    plain = [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in sockets]
    if config.tls_cert is None:
        return list(plain)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(config.tls_cert, config.tls_key)
    # HTTP clients hang up without TLS's own goodbye; each message says where it ends.
    return [trio.SSLListener(listener, context, https_compatible=True) for listener in plain]


def base_url(config: ServerConfig, sockets: Sequence[socket.socket]) -> str:
    """How a person on this machine reaches us, with the port really bound."""
    scheme = "https" if config.tls_cert else "http"
    first = sockets[0]
    if first.family == socket.AF_UNIX:
        return f"{scheme}+unix:{first.getsockname()}"
    host, port = first.getsockname()[:2]
    return f"{scheme}://{host_in_url(host)}:{port}"
