"""P1, P2 and P3 as socket.io-client sees them: ``kill -9`` and restarts under webhook load.

Every message that was answered 200 reaches every client exactly once, in the one order of the
store's log, whatever carries the client; and each return is told that nothing is missing.
"""

import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.load import Customer
from tests.interop.socketio_sdk import TRANSPORTS, Sio, open_sio
from tests.support.daemon import Daemon, token
from tests.support.posting import handled
from tests.support.webhooks import INSTANCE

ROUNDS = 8
CUSTOMERS = 8
SEED = 20261122


@pytest.mark.timeout(120)
async def test_every_2xx_reaches_every_client_once_and_in_order(tmp_path: Path) -> None:
    """Killed four times and stopped four times, with every client in the middle of something."""
    rand = random.Random(SEED)
    daemon = Daemon(tmp_path / "state")
    daemon.start()
    customers = [Customer(daemon, n, random.Random(SEED + n)) for n in range(CUSTOMERS)]
    try:
        async with AsyncExitStack() as stack:
            clients = [await _enter(stack, daemon, way) for way in TRANSPORTS]
            async with trio.open_nursery() as nursery:
                for customer in customers:
                    nursery.start_soon(customer.write)
                for round_ in range(ROUNDS):
                    await _everybody_moves(customers, clients)
                    await trio.sleep(rand.uniform(0.02, 0.4))
                    stop = daemon.terminate if round_ % 2 else daemon.kill
                    await trio.to_thread.run_sync(stop)
                    await trio.to_thread.run_sync(daemon.start)
                await _everybody_moves(customers, clients)
                for customer in customers:
                    customer.stop_asap()
            await handled(daemon)
            wanted = Counter(id_ for customer in customers for id_ in customer.accepted)
            for sio in clients:
                await _has(sio, wanted.total())
            _check(clients, customers, wanted)
    finally:
        daemon.kill()


async def _enter(stack: AsyncExitStack, daemon: Daemon, way: str) -> Sio:
    sio = await stack.enter_async_context(open_sio())
    await sio.connect(daemon.url, way=way, token=token())
    assert (await sio.ask("join-inbox", INSTANCE))["ok"]
    return sio


async def _has(sio: Sio, count: int) -> None:
    await sio.wait_until(lambda: len(_told(sio)) >= count, f"{count} messages")


def _told(sio: Sio) -> list[str]:
    """WhatsApp ids of the new messages, in the order of arrival."""
    return [message["whatsapp_id"] for message in sio.heard("new-message")]


async def _everybody_moves(customers: list[Customer], clients: list[Sio]) -> None:
    """Wait until this life of the daemon has accepted something of each, and told it to each."""
    accepted = [len(customer.accepted) for customer in customers]
    told = [len(_told(sio)) for sio in clients]
    with trio.fail_after(30):
        while any(len(c.accepted) <= n for c, n in zip(customers, accepted, strict=True)) or any(
            len(_told(sio)) <= n for sio, n in zip(clients, told, strict=True)
        ):
            await trio.sleep(0.01)


def _check(clients: list[Sio], customers: list[Customer], wanted: Counter[Any]) -> None:
    first = _told(clients[0])
    for sio in clients:
        assert Counter(_told(sio)) == wanted
        assert _told(sio) == first
        assert sio.texts() == first
        returns = [line["recovered"] for line in sio.lines if line.get("event") == "connect"]
        assert len(returns) > ROUNDS
        assert returns == [False] + [True] * (len(returns) - 1)
    for customer in customers:
        mine = set(customer.accepted)
        assert [id_ for id_ in first if id_ in mine] == customer.accepted
