"""What only time shows: clients that fall silent in each way there is, all at once.

One daemon and half a minute for all of them, because each waits for a limit of its own.
"""

import pytest
import trio

from tests.interop.sdk import open_sdk
from tests.support.agent import Agent, open_websocket, signed_in
from tests.support.daemon import Daemon, token
from tests.support.posting import metric, post_text, post_texts
from tests.support.waiting import eventually
from tests.support.webhooks import INSTANCE

INBOX = f"inbox:{INSTANCE}"
LONGEST_S = 60.0
LIFETIME_S = 8
"""Of a token: on a busy machine it must still be good when the client has started."""


@pytest.mark.timeout(120)
async def test_silent_clients_are_closed_with_the_reason(daemon: Daemon) -> None:
    """P5: nobody holds a connection for ever, and everybody is told why it ended."""
    async with signed_in(daemon) as healthy, trio.open_nursery() as nursery:
        await healthy.ask(subscribe={"channel": INBOX})
        for silent in (never_connects, expires, sdk_expires, never_pongs, never_reads):
            nursery.start_soon(silent, daemon)
        await _stays(healthy, daemon, nursery)


async def _stays(healthy: Agent, daemon: Daemon, silent: trio.Nursery) -> None:
    """The one that answers pings is still there when all others are gone."""
    with trio.move_on_after(LONGEST_S):
        while silent.child_tasks:
            with trio.move_on_after(0.5):
                await healthy.event()
    await post_text(daemon, "STILL", "ainda aqui?", phone="5511911112222")
    with trio.fail_after(30):
        while (await healthy.event()).data.get("message", {}).get("whatsapp_id") != "STILL":
            pass


async def never_connects(daemon: Daemon) -> None:
    async with open_websocket(daemon) as agent:
        assert await _close_code(agent) == 3502


async def expires(daemon: Daemon) -> None:
    """A client that never refreshes lives for the grace after ``exp`` and no longer."""
    async with signed_in(daemon, token(ttl=LIFETIME_S)) as agent:
        began = trio.current_time()
        assert await _close_code(agent) == 3005
        assert 20 < trio.current_time() - began < LONGEST_S


async def sdk_expires(daemon: Daemon) -> None:
    """The SDK while its login is away: told 3005, it goes on trying by itself."""
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, tokens=[token(ttl=LIFETIME_S), ""])
        await trio.sleep(LONGEST_S / 2)
        told = await sdk.told("connecting", nth=2)
        assert (told["code"], told["reason"]) == (3005, "connection expired")
        assert sdk.count("disconnected") == 0


async def never_pongs(daemon: Daemon) -> None:
    async with signed_in(daemon) as agent:
        await _closed_for(daemon, "no_pong")
        assert await _close_code(agent) == 3012


async def never_reads(daemon: Daemon) -> None:
    """Hopeless: for 30 s not one byte taken, although megabytes wait."""
    async with signed_in(daemon, receive_buffer=8192) as agent:
        await agent.ask(subscribe={"channel": INBOX})
        await post_texts(daemon, {f"BIG{n}": f"{n} " + "á" * 30_000 for n in range(200)})
        await _closed_for(daemon, "slow")
        # Told behind everything that was on its way already, because it reads on now.
        assert await _close_code(agent) == 3008


async def _closed_for(daemon: Daemon, reason: str) -> None:
    sample = f'evorelay_sessions_closed_total{{dialect="centrifuge",reason="{reason}"}}'

    async def is_closed() -> bool:
        await trio.sleep(0.2)
        return await metric(daemon, sample) == 1

    await eventually(is_closed, what=f"session closed for {reason}", within_s=LONGEST_S)


async def _close_code(agent: Agent) -> int:
    with trio.fail_after(LONGEST_S):
        close = await agent.closed()
    return 1006 if close is None else close.code
