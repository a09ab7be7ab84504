"""Where the daemon listens: systemd's socket, a shared port, a unix path, TLS (design §2)."""

import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.certificates import self_signed
from tests.support.activated import socket_unit
from tests.support.agent import shake_hands
from tests.support.daemon import Daemon, running, token
from tests.support.http import Connection, connected, request
from tests.support.posting import handled, messages_of, post_text, ticket_of
from tests.support.webhooks import PATH, as_body, text_message


async def test_a_restart_under_socket_activation_refuses_nobody(tmp_path: Path) -> None:
    """P1: a webhook that comes while no process runs waits in the socket and is answered."""
    with socket_unit(tmp_path / "state") as daemon:
        await trio.to_thread.run_sync(daemon.activate)
        await post_text(daemon, "FIRST", "antes")
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        async with connected(daemon) as waiting:
            body = as_body(text_message("SECOND", "no meio"))
            await waiting.send(request("POST", PATH, body))
            await trio.to_thread.run_sync(daemon.activate)
            reply = await waiting.read_reply()
        assert reply is not None
        assert reply.status == 200
        await handled(daemon)
        contents = [m["content"] for m in await messages_of(daemon, await ticket_of(daemon))]
        assert contents == ["antes", "no meio"]


def test_several_nodes_are_refused_without_what_they_need(tmp_path: Path) -> None:
    """As evorelay@.service starts them: exit 2 within 5 s, and one line (contract §1)."""
    node = Daemon(tmp_path / "one", {"SERVER__REUSE_PORT": "true"})
    try:
        assert node.spawn().wait(5) == 2
    finally:
        node.kill()
    (line,) = node.log().splitlines()
    assert "PostgreSQL (storage.url) and Redis (redis.url)" in line
    assert not node.state_dir.exists()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A unix socket's path may have 108 bytes, which pytest's own directories use up."""
    with tempfile.TemporaryDirectory(prefix="evorelay-") as name:
        yield Path(name)


async def test_a_unix_socket_carries_everything(tmp_path: Path, short_path: Path) -> None:
    path = short_path / "relay.sock"
    with running(tmp_path / "state", SERVER__BIND=f"unix:{path}") as daemon:
        assert path.stat().st_mode & 0o777 == 0o660
        async with await trio.open_unix_socket(path) as stream:
            body = as_body(text_message("FIRST", "oi"))
            reply = await Connection(stream).ask("POST", PATH, body)
            assert reply.status == 200
        async with await trio.open_unix_socket(path) as stream:
            agent = await shake_hands(stream, "ws://relay.example/connection/websocket")
            assert "connect" in await agent.ask(connect={"token": token()})
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        assert not path.exists()


async def test_a_stale_unix_socket_is_replaced(tmp_path: Path, short_path: Path) -> None:
    """A killed daemon leaves its socket behind; the next one must not need a person."""
    path = short_path / "relay.sock"
    with running(tmp_path / "state", SERVER__BIND=f"unix:{path}") as daemon:
        daemon.kill()
        assert path.is_socket()
        await trio.to_thread.run_sync(daemon.start)
        async with await trio.open_unix_socket(path) as stream:
            assert (await Connection(stream).ask("GET", "/livez")).status == 200


async def test_tls_on_the_port_itself(tmp_path: Path) -> None:
    """Webhook, REST and WebSocket through TLS; a client without TLS is no danger."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=str(certificate))
    settings = {"SERVER__TLS_CERT": str(certificate), "SERVER__TLS_KEY": str(key)}
    with running(tmp_path / "state", **settings) as daemon:

        async def dial() -> trio.SSLStream[trio.SocketStream]:
            plain = await trio.open_tcp_stream(daemon.host, daemon.port)
            return trio.SSLStream(
                plain, context, server_hostname="relay.example", https_compatible=True
            )

        async with await dial() as stream:
            agent = await shake_hands(stream, "wss://relay.example/connection/websocket")
            assert "connect" in await agent.ask(connect={"token": token()})
            assert "subscribe" in await agent.ask(subscribe={"channel": "inbox:loja-centro"})
            async with connected(daemon) as plain:
                await plain.send(request("GET", "/livez"))
                assert await plain.is_closed()
            async with await dial() as posting:
                connection = Connection(posting)
                body = as_body(text_message("FIRST", "x" * 50_000))
                assert (await connection.ask("POST", PATH, body)).status == 200
                assert (await connection.ask("GET", "/livez")).status == 200
            event = await agent.event()
            assert (event.offset, event.data["type"]) == (1, "ticket.created")
