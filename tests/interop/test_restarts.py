"""P1, P2, P3: ten restarts through a socket unit, under load, before 50 agents on the real SDK."""

import time
from pathlib import Path

import pytest
import trio

from tests.interop.crowd import crowd_at
from tests.support.activated import socket_unit
from tests.support.daemon import token
from tests.support.posting import handled, messages_of, post_text, ticket_of
from tests.support.steady_load import SteadyLoad
from tests.support.webhooks import PATH

RESTARTS = 10
RATE = 300.0
AGENTS = 50
CATCH_UP_S = 8.0
"""On a machine too busy for the rate the next restart comes all the same."""


@pytest.mark.timeout(400)
async def test_restarts_under_load_refuse_and_lose_nothing(tmp_path: Path) -> None:
    """How long the agents were away is measured by ``python -m bench.restarts``."""
    with socket_unit(tmp_path / "state") as daemon:
        await trio.to_thread.run_sync(daemon.activate)
        load = SteadyLoad(daemon.host, daemon.port, PATH, rate=RATE, senders=30, instances=10)
        for n in range(10):  # an inbox exists once somebody has written to it
            await post_text(daemon, f"FIRST{n}", "oi", instance=load.instance(n))
        async with crowd_at(daemon.websocket_url, token(), load, size=AGENTS) as agents:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.run)
                for _ in range(RESTARTS):
                    await load.catches_up(CATCH_UP_S)
                    since_ms = time.time_ns() // 1_000_000
                    assert await trio.to_thread.run_sync(daemon.restart) == 0
                    await agents.all_back(since_ms)
                await load.catches_up(CATCH_UP_S)
                load.stop_asap()
            print(f"{len(load.latencies)} accepted, attempts: {dict(load.outcomes)}")
            assert load.outcomes["refused"] == 0
            assert load.outcomes.keys() <= {"200", "503", "hung up"}
            assert await agents.problems(load) == []
        await handled(daemon)
        for sender, accepted in enumerate(load.accepted):
            ticket = await ticket_of(daemon, load.phone(sender))
            assert [one["content"] for one in await messages_of(daemon, ticket)] == accepted
        assert "not everything was finished" not in daemon.log()
