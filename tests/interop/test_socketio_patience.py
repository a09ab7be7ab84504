"""What only time shows: Socket.IO clients that stay longer than their credential, all at once."""

import pytest
import trio

from tests.interop.socketio_sdk import TRANSPORTS, open_sio
from tests.support.daemon import Daemon, token
from tests.support.posting import post_text, ticket_of

LIFETIME_S = 8
"""Of a token: on a busy machine it must still be good when the client has started."""
LONGEST_S = 60.0


@pytest.mark.timeout(120)
async def test_who_expires_comes_back_with_a_fresh_token_and_misses_nothing(daemon: Daemon) -> None:
    """The session ends for the client to come back by itself; ``auth`` is asked then."""
    await post_text(daemon, "FIRST", "oi")
    ticket = await ticket_of(daemon)

    async def stay(way: str) -> None:
        async with open_sio() as sio:
            await sio.connect(daemon.url, way=way, tokens=[token(ttl=LIFETIME_S), token()])
            await sio.ask("join-ticket", ticket)
            with trio.fail_after(LONGEST_S):
                while sio.count("disconnect") == 0:
                    await trio.sleep(0.1)
            await post_text(daemon, f"AFTER-{way}", way)
            assert (await sio.again())["recovered"] is True
            await sio.wait_until(lambda: way in sio.texts(), "the message posted meanwhile")
            assert len(set(sio.texts())) == len(sio.texts())
            assert (sio.count("auth"), sio.count("connect_error")) == (2, 0)

    async with trio.open_nursery() as nursery:
        for way in TRANSPORTS:
            nursery.start_soon(stay, way)
