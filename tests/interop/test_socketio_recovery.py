"""P3 seen by the unmodified socket.io-client: cut, restarted, killed; it gets what it missed, once.

``way`` is polling, WebSocket, or polling that moves to a WebSocket after each return.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from tests.interop.socketio_sdk import TRANSPORTS, Sio, open_sio
from tests.support.daemon import Daemon, running, token
from tests.support.posting import handled, post_text, post_texts, ticket_of
from tests.support.proxy import Proxy, proxied
from tests.support.webhooks import INSTANCE

over_each = pytest.mark.parametrize("way", TRANSPORTS)


@asynccontextmanager
async def watching(daemon: Daemon, way: str) -> AsyncIterator[tuple[Sio, Proxy]]:
    """A client in the inbox and in a ticket of it, through a line that can be cut."""
    await post_text(daemon, "BEFORE", "antes")
    ticket = await ticket_of(daemon)
    async with proxied(daemon) as proxy, open_sio() as sio:
        await sio.connect(f"http://{urlsplit(proxy.url).netloc}", way=way, token=token())
        await sio.ask("join-inbox", INSTANCE)
        await sio.ask("join-ticket", ticket)
        yield sio, proxy


def numbered(name: str, count: int) -> dict[str, str]:
    """WhatsApp id -> text."""
    return {f"{name}{n}": f"{name} {n}" for n in range(count)}


async def moved(sio: Sio) -> None:
    """Wait until the present connection is a WebSocket."""
    begun = max(n for n, line in enumerate(sio.lines) if line.get("event") == "open")
    await sio.wait_until(
        lambda: any(line.get("event") == "upgrade" for line in sio.lines[begun:]), "upgrade"
    )


async def recovered(sio: Sio, nth: int = 2) -> None:
    """Wait until the client is back, and see that it was told that it missed nothing."""
    assert (await sio.again(nth))["recovered"] is True


@over_each
async def test_a_cut_line_loses_nothing(daemon: Daemon, way: str) -> None:
    expected: list[str] = []
    async with watching(daemon, way) as (sio, proxy):
        for round_ in range(3):
            proxy.cut()
            await sio.told("disconnect", nth=1 + round_)
            missed = numbered(f"perdida {round_}", 20)
            await post_texts(daemon, missed)
            proxy.mend()
            await recovered(sio, 2 + round_)
            await post_text(daemon, f"LIVE{round_}", f"ao vivo {round_}")
            await sio.has_texts(f"ao vivo {round_}")
            expected += [*missed.values(), f"ao vivo {round_}"]
        assert sio.texts() == expected


@over_each
async def test_nothing_is_lost_while_the_line_flaps(daemon: Daemon, way: str) -> None:
    """Cuts at any moment: in a handshake, in an upgrade, in the middle of a recovery."""
    texts = numbered("rajada", 400)
    async with watching(daemon, way) as (sio, proxy), trio.open_nursery() as nursery:
        nursery.start_soon(post_texts, daemon, texts)
        for round_ in range(8):
            proxy.cut()
            proxy.mend()
            wanted = proxy.accepted + 1 + round_ % 5
            with trio.move_on_after(0.5):  # a client that is settled opens no more connections
                while proxy.accepted < wanted:
                    await trio.sleep(0.005)
        await sio.has_texts("rajada 399")
        assert sio.texts() == list(texts.values())
        returns = [line["recovered"] for line in sio.lines if line.get("event") == "connect"]
        assert returns[1:] == [True] * (len(returns) - 1)


@over_each
async def test_it_comes_and_goes_under_traffic(daemon: Daemon, way: str) -> None:
    """Each return, and with it each move to a WebSocket, in the middle of new messages."""
    texts = numbered("corrente", 600)
    rounds = 12
    async with watching(daemon, way) as (sio, proxy), trio.open_nursery() as nursery:
        nursery.start_soon(post_texts, daemon, texts)
        for round_ in range(rounds):
            proxy.cut()
            await sio.told("disconnect", nth=1 + round_)
            proxy.mend()
            await recovered(sio, 2 + round_)
            if way == "upgrade" and round_ % 2:
                await moved(sio)
        await sio.has_texts("corrente 599")
        assert sio.texts() == list(texts.values())


@over_each
async def test_restarts_and_crashes_lose_nothing(daemon: Daemon, way: str) -> None:
    """P1 and P3: several in one run, and messages that nobody could be told of before."""
    expected: list[str] = []
    async with watching(daemon, way) as (sio, proxy):
        stops: list[Callable[[], object]] = [daemon.terminate, daemon.kill, daemon.kill]
        for round_, stop in enumerate(stops):
            proxy.cut()
            await sio.told("disconnect", nth=1 + round_)
            unseen = numbered(f"às escuras {round_}", 20)
            await post_texts(daemon, unseen)
            await trio.to_thread.run_sync(stop)
            await trio.to_thread.run_sync(daemon.start)
            proxy.mend()
            await recovered(sio, 2 + round_)
            await post_text(daemon, f"LIVE{round_}", f"ao vivo {round_}")
            await sio.has_texts(f"ao vivo {round_}")
            expected += [*unseen.values(), f"ao vivo {round_}"]
        assert sio.texts() == expected


@over_each
async def test_a_stop_tells_clients_to_come_back(daemon: Daemon, way: str) -> None:
    """SIGTERM: the connection ends, which the client takes as its own to mend."""
    async with watching(daemon, way) as (sio, _):
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        told = await sio.told("disconnect")
        # "transport error" is a GET that came when nobody listened any more.
        assert told["reason"] in ("transport close", "transport error")
        await trio.to_thread.run_sync(daemon.start)
        after = numbered("depois", 10)
        await post_texts(daemon, after)
        await recovered(sio)
        await sio.has_texts("depois 9")
        assert sio.texts() == list(after.values())


@over_each
async def test_what_no_cache_holds_comes_from_the_store(tmp_path: Path, way: str) -> None:
    """As hours later: nothing is kept in memory, and the process is another one."""
    with running(tmp_path / "state", CACHE__TTL="0", CACHE__MAX_BYTES="0") as daemon:
        async with watching(daemon, way) as (sio, proxy):
            proxy.cut()
            await sio.told("disconnect")
            missed = numbered("há horas", 900)
            await post_texts(daemon, missed)
            await handled(daemon)
            daemon.kill()
            await trio.to_thread.run_sync(daemon.start)
            proxy.mend()
            await recovered(sio)
            await sio.has_texts("há horas 899")
            assert sio.texts() == list(missed.values())


@over_each
async def test_too_much_missed_is_said(daemon: Daemon, way: str) -> None:
    """Over 1,000: not recovered, in no room, and what is loaded anew goes on without a gap."""
    async with watching(daemon, way) as (sio, proxy):
        proxy.cut()
        await sio.told("disconnect")
        async with trio.open_nursery() as nursery:
            for customer in range(4):
                texts = numbered(f"cliente {customer}:", 260)
                phone = f"55319888800{customer:02}"
                nursery.start_soon(partial(post_texts, daemon, texts, phone=phone))
        await handled(daemon)
        proxy.mend()
        assert (await sio.again())["recovered"] is False
        signed_in = (await sio.told("told", name="signed-in", nth=2))["args"][0]
        assert signed_in["recovered"] is False
        assert sio.texts() == []
        await post_text(daemon, "NOROOM", "em nenhuma sala")
        await handled(daemon)
        await sio.ask("join-inbox", INSTANCE)
        await post_text(daemon, "ROOM", "de novo na sala")
        await sio.has_texts("de novo na sala")
        assert sio.texts() == ["de novo na sala"]
        await sio.call("drop")
        await recovered(sio, 3)


async def claim_of(sio: Sio) -> dict[str, Any]:
    """The ``pid`` and offset a client would come back with."""
    place: dict[str, Any] = await sio.call("place")
    assert place["pid"]
    assert place["offset"]
    return place


async def test_a_pid_is_of_no_use_to_another_agent(daemon: Daemon) -> None:
    """P7. And its owner is not disturbed by the attempt."""
    async with watching(daemon, "websocket") as (sio, _), open_sio() as eva:
        claim = await claim_of(sio)
        await post_text(daemon, "SECRET", "só para a Ana")
        await sio.has_texts("só para a Ana")
        connected = await eva.connect(
            daemon.url, way="websocket", token=token("eva", instances=[]), claim=claim
        )
        assert connected["recovered"] is False
        assert (await claim_of(eva))["pid"] != claim["pid"]
        await post_text(daemon, "MORE", "ainda só para a Ana")
        await sio.has_texts("ainda só para a Ana")
        assert eva.texts() == []
        assert sio.count("disconnect") == 0


async def test_the_same_agent_comes_back_from_another_page(daemon: Daemon) -> None:
    """What a page kept is good after a reload; the connection that was left behind ends."""
    async with watching(daemon, "websocket") as (sio, _):
        claim = await claim_of(sio)
        await post_text(daemon, "ONE", "antes de recarregar")
        await sio.has_texts("antes de recarregar")
        async with open_sio() as reloaded:
            await reloaded.connect(daemon.url, way="websocket", token=token(), claim=claim)
            await reloaded.has_texts("antes de recarregar")
            told = await reloaded.told("told", name="signed-in")
            assert told["args"][0]["recovered"] is True
            await sio.told("disconnect")


@pytest.mark.parametrize("way", ["polling", "websocket"])
async def test_another_store_recovers_nobody(daemon: Daemon, tmp_path: Path, way: str) -> None:
    """Another epoch: the client is told to load anew, never handed somebody else's events."""
    async with watching(daemon, way) as (sio, proxy):
        await post_texts(daemon, numbered("nesta", 5))
        await sio.has_texts("nesta 4")
        proxy.cut()
        await sio.told("disconnect")
        daemon.kill()
        daemon.settings["STATE_DIR"] = str(tmp_path / "another")
        await trio.to_thread.run_sync(daemon.start)
        await post_texts(daemon, numbered("noutra", 50))
        await handled(daemon)
        proxy.mend()
        assert (await sio.again())["recovered"] is False
        await sio.ask("join-inbox", INSTANCE)
        await post_text(daemon, "LIVE", "ao vivo")
        await sio.has_texts("ao vivo")
        assert sio.texts() == [*numbered("nesta", 5).values(), "ao vivo"]
        await sio.call("drop")
        await recovered(sio, 3)
