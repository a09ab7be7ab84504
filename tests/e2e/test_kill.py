"""P1, P2 and P3 on the real process: ``kill -9`` at random moments under load."""

import random
from collections import Counter
from pathlib import Path

import trio

from tests.e2e.load import Customer
from tests.support.agent import signed_in, whole_log
from tests.support.daemon import Daemon
from tests.support.posting import handled, messages_of, ticket_of
from tests.support.webhooks import INSTANCE

ROUNDS = 6
CUSTOMERS = 8
SEED = 20261122


async def test_every_2xx_is_there_once_and_in_order(tmp_path: Path) -> None:
    """Killed five times and stopped once, with every connection in the middle of something."""
    rand = random.Random(SEED)
    daemon = Daemon(tmp_path / "state")
    daemon.start()
    customers = [Customer(daemon, n, random.Random(SEED + n)) for n in range(CUSTOMERS)]
    try:
        async with trio.open_nursery() as nursery:
            for customer in customers:
                nursery.start_soon(customer.write)
            for round_ in range(ROUNDS):
                await _everybody_was_answered(customers)
                await trio.sleep(rand.uniform(0.02, 0.4))
                if round_ == ROUNDS - 1:
                    assert await trio.to_thread.run_sync(daemon.terminate) == 0
                else:
                    await trio.to_thread.run_sync(daemon.kill)
                await trio.to_thread.run_sync(daemon.start)
            await _everybody_was_answered(customers)
            for customer in customers:
                customer.stop_asap()
        await handled(daemon)
        await _check_tickets(daemon, customers)
        await _check_log(daemon, customers)
        _check_journal(customers)
    finally:
        daemon.kill()


async def _everybody_was_answered(customers: list[Customer]) -> None:
    """Wait until this life of the daemon has accepted something of each."""
    before = [len(customer.accepted) for customer in customers]
    with trio.fail_after(30):
        while any(len(c.accepted) <= n for c, n in zip(customers, before, strict=True)):
            await trio.sleep(0.005)


async def _check_tickets(daemon: Daemon, customers: list[Customer]) -> None:
    for customer in customers:
        messages = await messages_of(daemon, await ticket_of(daemon, customer.phone))
        assert [message["content"] for message in messages] == customer.accepted


async def _check_log(daemon: Daemon, customers: list[Customer]) -> None:
    """The inbox told every message once, under contiguous offsets."""
    async with signed_in(daemon) as agent:
        log = await whole_log(agent, f"inbox:{INSTANCE}")
    assert [offset for offset, _ in log] == list(range(1, len(log) + 1))
    told = [data["message"]["whatsapp_id"] for _, data in log if data["type"] == "message.created"]
    assert Counter(told) == Counter(id_ for customer in customers for id_ in customer.accepted)
    for customer in customers:
        mine = set(customer.accepted)
        assert [id_ for id_ in told if id_ in mine] == customer.accepted


def _check_journal(customers: list[Customer]) -> None:
    """``seq`` goes on where it was, and no two webhooks ever got the same."""
    for customer in customers:
        assert customer.seqs == sorted(customer.seqs)
    seqs = [seq for customer in customers for seq in customer.seqs]
    assert len(set(seqs)) == len(seqs)
    assert max(seqs) <= sum(customer.posts for customer in customers)
