"""Behind the real nginx, Caddy and Traefik, with the files from systemd/proxy."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from websockets.exceptions import InvalidStatus

from tests.support.agent import shake_hands
from tests.support.daemon import Daemon, running, token
from tests.support.http import Connection, Reply, request
from tests.support.posting import handled, messages_of, metric, ticket_of
from tests.support.reverse_proxies import KINDS, NAME, Kind, ReverseProxy, reverse_proxy
from tests.support.socketio import SocketClient, WebSocketTransport
from tests.support.waiting import eventually
from tests.support.webhooks import PATH, as_body, text_message

TRUSTING = {"SERVER__TRUSTED_PROXIES": "127.0.0.0/8", "WEBHOOK__ALLOW_FROM": "127.0.0.0/8"}
MIB = 1024 * 1024


class World(NamedTuple):
    daemon: Daemon
    proxy: ReverseProxy


@pytest.fixture(scope="module", params=KINDS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One proxy and the daemon behind it, for all tests of a kind: each leaves them running."""
    kind: Kind = request.param
    directory = tmp_path_factory.mktemp(kind)
    with running(directory / "state", **TRUSTING) as daemon:
        with reverse_proxy(kind, daemon, directory) as proxy:
            yield World(daemon, proxy)


@pytest.fixture
async def proxy(world: World) -> ReverseProxy:
    await eventually(world.proxy.is_routing, what="the proxy's routes")
    return world.proxy


def webhook(whatsapp_id: str) -> bytes:
    return as_body(text_message(whatsapp_id, f"text of {whatsapp_id}"))


async def test_webhooks_go_through_on_a_kept_connection(proxy: ReverseProxy) -> None:
    """P1: answered by EvoRelay itself, as soon as they are durable."""
    async with proxy.connected() as stream:
        connection = Connection(stream)
        seqs = [
            (await connection.ask("POST", PATH, webhook(f"K{n}"))).json["seq"] for n in range(5)
        ]
    assert seqs == list(range(seqs[0], seqs[0] + 5))


def away(reply: Reply) -> bool:
    """What Evolution must be told: to come again. Never 404, for which it drops the event."""
    return reply.status == 503 and int(reply.headers["retry-after"]) > 0


async def test_a_daemon_that_is_down_is_told_as_503(world: World, proxy: ReverseProxy) -> None:
    async with proxy.connected() as stream:
        kept = Connection(stream)
        assert (await kept.ask("POST", PATH, webhook("BEFORE"))).status == 200
        world.daemon.kill()
        try:
            assert away(await kept.ask("POST", PATH, webhook("DOWN")))
            assert away(await proxy.ask("POST", PATH, webhook("DOWN")))
            assert away(await proxy.ask("POST", "/messages-upsert", webhook("DOWN")))
            assert away(await proxy.ask("GET", "/v1/tickets"))
            assert away(await proxy.ask("GET", "/socket.io/?EIO=4&transport=polling"))
        finally:
            await trio.to_thread.run_sync(world.daemon.start)
    await eventually(proxy.is_routing, what="the daemon behind the proxy")
    assert (await proxy.ask("POST", PATH, webhook("DOWN"))).status == 200
    await handled(world.daemon)
    contents = [
        m["content"] for m in await messages_of(world.daemon, await ticket_of(world.daemon))
    ]
    assert contents.count("text of DOWN") == 1
    assert contents.count("text of BEFORE") == 1


async def test_what_evorelay_refuses_is_passed_on_as_it_is(proxy: ReverseProxy) -> None:
    """Its 401, 404, 405 and 413 mean something else than that it is away."""
    assert (await proxy.ask("POST", "/hook/wrong-secret-0123456789", webhook("W"))).status == 401
    assert (await proxy.ask("GET", PATH)).status == 405
    assert (await proxy.ask("GET", "/nothing-here")).status == 404


async def test_what_is_said_of_evolution_is_passed_on(world: World, proxy: ReverseProxy) -> None:
    """P8: a 502 of EvoRelay's own says what is wrong with Evolution, and not that we are away."""
    await proxy.ask("POST", PATH, webhook("KNOWN"))
    await handled(world.daemon)
    asking = {"Authorization": f"Bearer {token(role='admin')}", "Content_Type": "application/json"}
    for method, target in (
        ("POST", "/v1/instances/loja-centro/reconnect"),
        ("GET", "/api/instance/connectionState/loja-centro"),
    ):
        reply = await proxy.ask(method, target, b"{}" if method == "POST" else b"", **asking)
        assert (reply.status, reply.json["error"]["code"]) == (502, "gateway"), target


async def test_an_agents_centrifuge_client_gets_through(proxy: ReverseProxy) -> None:
    async with proxy.connected() as stream:
        url = f"{proxy.url}/connection/websocket"
        agent = await shake_hands(stream, url, origin=f"https://{NAME}:{proxy.https}")
        assert "connect" in await agent.ask(connect={"token": token()})
        assert "subscribe" in await agent.ask(subscribe={"channel": "inbox:loja-centro"})
        await proxy.ask("POST", PATH, webhook("LIVE-C"))
        while (await agent.event()).data.get("message", {}).get("content") != "text of LIVE-C":
            pass


async def test_a_socketio_client_gets_through_by_websocket(
    world: World, proxy: ReverseProxy
) -> None:
    await proxy.ask("POST", PATH, webhook("FIRST-S"))
    await handled(world.daemon)
    async with proxy.connected() as stream:
        client = SocketClient(
            await WebSocketTransport.open(stream, proxy.url, origin=f"https://{NAME}:{proxy.https}")
        )
        assert "sid" in await client.connect(token=token())
        assert (await client.ask("join-ticket", await ticket_of(world.daemon)))["ok"]
        await proxy.ask("POST", PATH, webhook("LIVE-S"))
        while (await client.event("new-message"))["content"] != "text of LIVE-S":
            pass


async def test_a_socketio_client_gets_through_by_polling(proxy: ReverseProxy) -> None:
    """A poll waits on one connection while another brings what it is answered with."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = await proxy.ask("GET", path)
    assert opened.body.startswith(b'0{"sid":"')
    sid = opened.body.split(b'"')[3].decode()
    polled: list[bytes] = []

    async def poll() -> None:
        polled.append((await proxy.ask("GET", f"{path}&sid={sid}")).body)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(poll)
        connect = f'40{{"token":"{token()}"}}'.encode()
        assert (await proxy.ask("POST", f"{path}&sid={sid}", connect)).body == b"ok"
    assert polled[0].startswith(b'40{"sid":"')


async def test_a_large_webhook_goes_through_as_it_comes(world: World, proxy: ReverseProxy) -> None:
    """120 MiB, below ``webhook.max_body_bytes``; not gathered in the proxy on its way."""
    start, end = video("LARGE").split(b"BASE64")
    async with proxy.connected() as stream:
        connection = Connection(stream)
        await connection.send(head_of(len(start) + 120 * MIB + len(end)) + start)
        for sent in range(120):
            await connection.send(b"A" * MIB)
            if sent == 60:
                await eventually(partial(is_spilling, world.daemon), what="its half at the daemon")
        await connection.send(end)
        reply = await connection.read_reply()
    assert reply is not None
    assert reply.status == 200
    await handled(world.daemon)
    messages = await messages_of(world.daemon, await ticket_of(world.daemon))
    (stored,) = [one for one in messages if one["content"] == "text of LARGE"]
    assert stored["media"]["size"] == 120 * MIB * 3 // 4


def video(whatsapp_id: str) -> bytes:
    """A video whose bytes are in the webhook, where it says BASE64."""
    webhook = text_message(whatsapp_id, "")
    webhook["data"]["messageType"] = "videoMessage"
    webhook["data"]["message"] = {
        "videoMessage": {"mimetype": "video/mp4", "caption": f"text of {whatsapp_id}"},
        "base64": "BASE64",
    }
    return as_body(webhook)


def head_of(length: int) -> bytes:
    """The head of a webhook whose body is written bit by bit."""
    return request("POST", PATH).replace(b"Content-Length: 0", b"Content-Length: %d" % length)


async def is_spilling(daemon: Daemon) -> bool:
    """Whether a good part of a body is on the daemon's disk, finished or not."""
    files = [path for path in (daemon.state_dir / "blobs").rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) > 20 * MIB


async def test_one_too_large_is_refused_by_evorelay(world: World, proxy: ReverseProxy) -> None:
    """Its word is 413; a proxy in Go may hang up before a sender that goes on has read it."""
    refused = 'evorelay_webhooks_refused_total{reason="too_large"}'
    before = await metric(world.daemon, refused)
    async with proxy.connected() as stream:
        connection = Connection(stream)

        async def send() -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await connection.send(head_of(170 * MIB))
                for _ in range(170):
                    await connection.send(b"A" * MIB)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            reply = await connection.read_reply()
            nursery.cancel_scope.cancel()
    assert reply is None or reply.status == 413
    assert await metric(world.daemon, refused) == before + 1


async def test_a_client_cannot_say_where_it_comes_from(proxy: ReverseProxy) -> None:
    """P7: the proxy's word for it replaces the client's own, or stands beside it."""
    forged = {"X_Forwarded_Host": "evil.example", "X_Forwarded_For": "127.0.0.1"}
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": "https://evil.example",
    }
    reply = await proxy.ask("GET", "/connection/websocket", b"", **upgrade, **forged)
    assert reply.status == 403
    # webhook.allow_from has loopback, which is where the proxy comes from.
    for headers in ({}, forged, {"Forwarded": "for=127.0.0.1"}):
        reply = await proxy.ask("POST", "/webhook/evolution", webhook("X"), **headers)
        assert reply.status == 401
    assert (await proxy.ask("GET", "/metrics")).status == 401


@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_that_is_not_trusted_is_not_believed(tmp_path: Path, kind: Kind) -> None:
    """P7: without ``server.trusted_proxies`` nobody's X-Forwarded-Proto makes it https."""
    with running(tmp_path / "state") as daemon, reverse_proxy(kind, daemon, tmp_path) as proxy:
        await eventually(proxy.is_routing, what="the proxy's routes")
        async with proxy.connected() as stream:
            with pytest.raises(InvalidStatus) as refused:
                await shake_hands(
                    stream,
                    f"{proxy.url}/connection/websocket",
                    origin=f"https://{NAME}:{proxy.https}",
                )
        assert refused.value.response.status_code == 403


async def test_plain_http_redirects_pages_and_no_webhook(proxy: ReverseProxy) -> None:
    """A redirected webhook is a lost one: Evolution follows as a GET and takes it for success."""
    page = await proxy.ask_in_clear("GET", "/console")
    assert page.status in (301, 308)
    assert page.headers["location"].startswith(f"https://{NAME}")
    assert away(await proxy.ask_in_clear("POST", PATH, webhook("CLEAR")))
    assert away(await proxy.ask_in_clear("POST", "/messages-upsert", webhook("CLEAR")))
