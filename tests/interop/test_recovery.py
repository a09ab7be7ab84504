"""P3 seen by the unmodified SDK: cut, restarted, killed; it gets exactly what it missed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.interop.sdk import Sdk, open_sdk
from tests.support.daemon import Daemon, token
from tests.support.posting import handled, post_text, post_texts
from tests.support.proxy import Proxy, proxied
from tests.support.webhooks import INSTANCE

INBOX = f"inbox:{INSTANCE}"


@asynccontextmanager
async def watching(daemon: Daemon) -> AsyncIterator[tuple[Sdk, Proxy]]:
    """An SDK subscribed to the inbox through a line that can be cut."""
    async with proxied(daemon) as proxy, open_sdk() as sdk:
        await sdk.connect(proxy.url, token=token())
        await sdk.subscribe(INBOX)
        await post_text(daemon, "BEFORE", "antes")
        await sdk.told("publication", channel=INBOX)
        yield sdk, proxy


def texts_of(sdk: Sdk) -> list[str]:
    created = [p for p in sdk.publications(INBOX) if p["data"]["type"] == "message.created"]
    return [p["data"]["message"]["content"] for p in created]


async def has_texts(sdk: Sdk, last: str) -> None:
    """Wait until the newest message that reached the application is this one."""
    await sdk.wait_until(lambda: texts_of(sdk)[-1:] == [last], f"message {last!r}")


def assert_gapless(sdk: Sdk) -> None:
    offsets = [p["offset"] for p in sdk.publications(INBOX)]
    assert offsets == list(range(1, len(offsets) + 1))


async def recovered(sdk: Sdk) -> None:
    """Wait until the SDK is subscribed anew, and see that it was told everything is there."""
    again = await sdk.told("subscribed", nth=2)
    assert (again["wasRecovering"], again["recovered"]) == (True, True)


async def test_a_cut_line_loses_nothing(daemon: Daemon) -> None:
    async with watching(daemon) as (sdk, proxy):
        for round_ in range(3):
            proxy.cut()
            await sdk.told("connecting", nth=2 + round_)
            missed = {f"M{round_}-{n}": f"perdida {round_}-{n}" for n in range(20)}
            await post_texts(daemon, missed)
            proxy.mend()
            again = await sdk.told("subscribed", nth=2 + round_)
            assert again["recovered"]
            await post_text(daemon, f"LIVE{round_}", f"ao vivo {round_}")
            await has_texts(sdk, f"ao vivo {round_}")
        expected = ["antes"]
        for round_ in range(3):
            expected += [f"perdida {round_}-{n}" for n in range(20)] + [f"ao vivo {round_}"]
        assert texts_of(sdk) == expected
        assert_gapless(sdk)


async def test_nothing_is_lost_while_the_line_flaps(daemon: Daemon) -> None:
    """Cuts at any moment, also in the middle of a recovery."""
    texts = {f"F{n}": f"rajada {n}" for n in range(300)}
    async with watching(daemon) as (sdk, proxy), trio.open_nursery() as nursery:
        nursery.start_soon(post_texts, daemon, texts)
        for accepted in range(2, 8):
            proxy.cut()
            proxy.mend()
            with trio.fail_after(30):
                while proxy.accepted < accepted:
                    await trio.sleep(0.005)
        await has_texts(sdk, "rajada 299")
        assert texts_of(sdk) == ["antes", *texts.values()]
        assert_gapless(sdk)


async def test_a_restart_loses_nothing(daemon: Daemon) -> None:
    """SIGTERM says 3001, the SDK waits for the next process and goes on from its offset."""
    async with watching(daemon) as (sdk, _):
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        told = await sdk.told("connecting", nth=2)
        assert (told["code"], told["reason"]) == (3001, "shutdown")
        await trio.to_thread.run_sync(daemon.start)
        await post_texts(daemon, {f"A{n}": f"depois {n}" for n in range(10)})
        await recovered(sdk)
        await sdk.told("publication", nth=12, channel=INBOX)
        assert texts_of(sdk) == ["antes", *(f"depois {n}" for n in range(10))]
        assert_gapless(sdk)


async def test_a_killed_daemon_loses_nothing(daemon: Daemon) -> None:
    """P1 and P3: answered 200, killed before anybody could be told, and yet it arrives."""
    async with watching(daemon) as (sdk, proxy):
        proxy.cut()
        await sdk.told("connecting", nth=2)
        await post_texts(daemon, {f"K{n}": f"às escuras {n}" for n in range(10)})
        daemon.kill()
        await trio.to_thread.run_sync(daemon.start)
        proxy.mend()
        await recovered(sdk)
        await post_text(daemon, "LIVE", "ao vivo")
        await sdk.told("publication", nth=13, channel=INBOX)
        assert texts_of(sdk) == ["antes", *(f"às escuras {n}" for n in range(10)), "ao vivo"]
        assert_gapless(sdk)


async def test_too_much_missed_is_said_and_can_be_paged(daemon: Daemon) -> None:
    """Over 1,000 missed: recovered is false, and the history from the old offset has it all."""
    async with watching(daemon) as (sdk, proxy):
        known = sdk.publications(INBOX)[-1]["offset"]
        proxy.cut()
        await sdk.told("connecting", nth=2)
        async with trio.open_nursery() as nursery:
            for customer in range(4):
                phone = f"55319888800{customer:02}"
                texts = {f"C{customer}-{n}": f"{customer}-{n}" for n in range(300)}
                nursery.start_soon(partial(post_texts, daemon, texts, phone=phone))
        await handled(daemon)
        proxy.mend()
        again = await sdk.told("subscribed", nth=2)
        assert (again["wasRecovering"], again["recovered"]) == (True, False)
        position = again["streamPosition"]
        assert position["offset"] > known + 1000
        since = {"offset": known, "epoch": position["epoch"]}
        paged: list[int] = []
        while since["offset"] < position["offset"]:
            page = await sdk.call("history", channel=INBOX, options={"limit": 500, "since": since})
            paged += [p["offset"] for p in page["publications"]]
            since["offset"] = paged[-1]
        assert paged == list(range(known + 1, position["offset"] + 1))


async def test_an_offset_of_another_store_is_void(daemon: Daemon) -> None:
    """Another epoch: the client is told to reload, never handed somebody else's events."""
    await post_texts(daemon, {f"M{n}": "oi" for n in range(3)})
    await handled(daemon)
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, token=token())
        foreign = {"offset": 1, "epoch": "of-a-restored-backup"}
        subscribed = await sdk.subscribe(INBOX, since=foreign)
        assert (subscribed["wasRecovering"], subscribed["recovered"]) == (True, False)
        assert subscribed["streamPosition"]["epoch"] != foreign["epoch"]
        assert sdk.publications(INBOX) == []
