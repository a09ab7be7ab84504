"""Sockets to listen on, and what a person is told when they cannot be had."""

import os
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.config import ServerConfig
from evorelay.edge.listeners import (
    base_url,
    is_local_only,
    listeners,
    listening,
    listening_sockets,
)
from evorelay.model.errors import ConfigError
from tests.certificates import self_signed


class Opened:
    """Opens listening sockets as configured, and closes them when the test is over."""

    def __init__(self) -> None:
        self._all: list[socket.socket] = []

    def __call__(self, bind: str, *, reuse_port: bool = False) -> list[socket.socket]:
        sockets = listening_sockets(ServerConfig(bind=bind, reuse_port=reuse_port), [])
        self._all += sockets
        return sockets

    def close(self) -> None:
        for sock in self._all:
            sock.close()


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    yield opened
    opened.close()


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize(
    ("bind", "family", "is_local", "url"),
    [
        ("127.0.0.1:0", socket.AF_INET, True, "http://127.0.0.1:{}"),
        ("[::1]:0", socket.AF_INET6, True, "http://[::1]:{}"),
        ("0.0.0.0:0", socket.AF_INET, False, "http://127.0.0.1:{}"),
        ("[::]:0", socket.AF_INET6, False, "http://[::1]:{}"),
    ],
)
def test_an_address_is_listened_on(
    opened: Opened, bind: str, family: socket.AddressFamily, is_local: bool, url: str
) -> None:
    (sock,) = opened(bind)
    assert sock.family is family
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert is_local_only([sock]) is is_local
    assert base_url(ServerConfig(bind=bind), [sock]) == url.format(port_of(sock))


def test_an_address_in_use_is_told_in_one_line(opened: Opened) -> None:
    (sock,) = opened("127.0.0.1:0")
    with pytest.raises(ConfigError) as refused:
        opened(f"127.0.0.1:{port_of(sock)}")
    message = str(refused.value)
    assert message.startswith("server.bind: cannot listen on 127.0.0.1:")
    assert "in use" in message
    assert "\n" not in message


def test_an_address_of_another_machine_is_told_in_one_line(opened: Opened) -> None:
    with pytest.raises(ConfigError, match=r"server\.bind: cannot listen on 192\.0\.2\.1:4000"):
        opened("192.0.2.1:4000")


def test_several_processes_may_share_a_port_when_asked_to(opened: Opened) -> None:
    (first,) = opened("127.0.0.1:0", reuse_port=True)
    (second,) = opened(f"127.0.0.1:{port_of(first)}", reuse_port=True)
    assert port_of(first) == port_of(second)


def test_a_socket_from_systemd_wins(opened: Opened) -> None:
    (inherited,) = opened("127.0.0.1:0")
    assert listening_sockets(ServerConfig(bind="192.0.2.1:4000"), [inherited]) == [inherited]


class TestUnix:
    def test_user_and_group_may_connect_and_nobody_else(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        path = tmp_path / "relay.sock"
        (sock,) = opened(f"unix:{path}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert is_local_only([sock])
        assert base_url(ServerConfig(), [sock]) == f"http+unix:{path}"

    def test_what_a_dead_process_left_is_replaced(self, opened: Opened, tmp_path: Path) -> None:
        path = tmp_path / "relay.sock"
        (dead,) = opened(f"unix:{path}")
        dead.close()
        (alive,) = opened(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert alive.getsockname() == str(path)

    def test_a_living_process_is_not_robbed(self, opened: Opened, tmp_path: Path) -> None:
        path = tmp_path / "relay.sock"
        opened(f"unix:{path}")
        with pytest.raises(ConfigError, match="somebody listens there already"):
            opened(f"unix:{path}")

    def test_a_file_that_is_no_socket_is_left_alone(self, opened: Opened, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("dear diary")
        with pytest.raises(ConfigError, match=r"server\.bind"):
            opened(f"unix:{path}")
        assert path.read_text() == "dear diary"

    def test_its_file_is_gone_afterwards(self, tmp_path: Path) -> None:
        path = tmp_path / "relay.sock"
        with listening(ServerConfig(bind=f"unix:{path}"), []) as (sock,):
            assert path.exists()
        assert sock.fileno() == -1
        assert not path.exists()

    def test_the_file_of_a_socket_from_systemd_stays(self, opened: Opened, tmp_path: Path) -> None:
        path = tmp_path / "relay.sock"
        inherited = opened(f"unix:{path}")
        with listening(ServerConfig(bind=f"unix:{path}"), inherited):
            pass
        assert path.exists()

    def test_the_file_of_a_successor_stays(self, opened: Opened, tmp_path: Path) -> None:
        """It may take the path as soon as our listener is closed, while we still drain."""
        path = tmp_path / "relay.sock"
        with listening(ServerConfig(bind=f"unix:{path}"), []) as (sock,):
            sock.close()
            opened(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_a_file_that_somebody_removed_is_not_missed(self, tmp_path: Path) -> None:
        path = tmp_path / "relay.sock"
        with listening(ServerConfig(bind=f"unix:{path}"), []):
            path.unlink()
        assert not path.exists()

    def test_a_directory_that_is_not_there(self, opened: Opened, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="No such file or directory"):
            opened(f"unix:{tmp_path}/nowhere/relay.sock")


class TestTls:
    async def test_old_versions_are_refused_and_http_1_is_offered(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        cert, key = self_signed(tmp_path)
        config = ServerConfig(tls_cert=str(cert), tls_key=str(key))
        sockets = opened("127.0.0.1:0")
        assert base_url(config, sockets).startswith("https://127.0.0.1:")
        (listener,) = listeners(config, sockets)
        assert isinstance(listener, trio.SSLListener)
        trust = ssl.create_default_context(cafile=str(cert))
        trust.set_alpn_protocols(["h2", "http/1.1"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                trio.serve_listeners, trio.SSLStream[trio.SocketStream].do_handshake, [listener]
            )
            client = await trio.open_ssl_over_tcp_stream(
                "127.0.0.1", port_of(sockets[0]), ssl_context=_named(trust)
            )
            await client.do_handshake()
            assert client.selected_alpn_protocol() == "http/1.1"
            assert client.version() in ("TLSv1.2", "TLSv1.3")
            await trio.aclose_forcefully(client)
            nursery.cancel_scope.cancel()

    async def test_without_a_certificate_there_is_none(self, opened: Opened) -> None:
        (listener,) = listeners(ServerConfig(), opened("127.0.0.1:0"))
        assert isinstance(listener, trio.SocketListener)


def _named(trust: ssl.SSLContext) -> ssl.SSLContext:
    """The certificate is for a name; the test connects to an address."""
    trust.check_hostname = False
    return trust


def test_a_failure_leaves_no_socket_open(opened: Opened) -> None:
    (taken,) = opened("127.0.0.1:0")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ConfigError):
        opened(f"localhost:{port_of(taken)}")
    assert len(os.listdir("/proc/self/fd")) == before
