"""P4 on the real process: ``kill -9`` in the middle of 1,000 replies, at a gateway that drops,
delays, duplicates and loses. Each arrives exactly once, in the order of its conversation.
"""

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from tests.support.daemon import WEBHOOK_SECRET, Daemon, token
from tests.support.http import ask
from tests.support.posting import get, handled, post_text, ticket_of
from tests.support.waiting import eventually
from tests.support.wild_gateway import API_KEY, Mischief, WildGateway, wild_gateway

PEOPLE = 25
EACH = 40
KILLS = 4
SEED = 20261122
SETTINGS = {
    "EVOLUTION__API_KEY": API_KEY,
    "EVOLUTION__TIMEOUT": "2",
    "EVOLUTION__POLL_EVERY": "600",
    "OUTBOX__RATE": "400",
    "OUTBOX__BURST": "400",
    "OUTBOX__RECIPIENT_RATE": "100",
    "OUTBOX__RECIPIENT_BURST": "100",
    "OUTBOX__MAX_ATTEMPTS": "100",
    "OUTBOX__RETRY_INITIAL": "50ms",
    "OUTBOX__RETRY_MAX": "200ms",
    "OUTBOX__SETTLE_AFTER": "1s",
    "OUTBOX__IN_FLIGHT": "25",
}


@pytest.mark.timeout(180)
async def test_a_thousand_replies_arrive_once_through_four_crashes(tmp_path: Path) -> None:
    mischief = Mischief(
        drop_before=0.02,
        drop_after=0.03,
        delay=0.02,
        error=0.003,
        echo_lost=0.3,
        echo_twice=0.3,
        slow_s=0.05,
    )
    async with wild_gateway(SEED, mischief) as gateway:
        daemon = Daemon(tmp_path / "state", {**SETTINGS, "EVOLUTION__URL": gateway.url})
        daemon.start()
        host, port = urlsplit(daemon.url).netloc.split(":")
        gateway.webhook = (host, int(port), f"/hook/{WEBHOOK_SECRET}")
        try:
            phones = [f"55319888{n:05d}" for n in range(PEOPLE)]
            for phone in phones:
                await post_text(daemon, f"IN{phone}", "oi", phone=phone)
            await handled(daemon)
            tickets = {phone: await ticket_of(daemon, phone) for phone in phones}
            async with trio.open_nursery() as nursery:
                for phone in phones:
                    nursery.start_soon(_write_all, daemon, phone, tickets[phone])
                await _be_killed(daemon, gateway)
            await _all_sent(daemon)
            _check(gateway, phones)
            await _check_tickets(daemon, tickets)
            _check_secrets(tmp_path, gateway)
        finally:
            daemon.kill()


async def _write_all(daemon: Daemon, phone: str, ticket: str) -> None:
    """An agent's client: asks again under the same ``op_id`` until it has an answer."""
    for n in range(EACH):
        body = json.dumps({"content": f"{n}", "op_id": f"{phone}-{n}"}).encode()
        while True:
            try:
                reply = await ask(
                    daemon,
                    "POST",
                    f"/v1/tickets/{ticket}/messages",
                    body,
                    Authorization=f"Bearer {token()}",
                    Content_Type="application/json",
                )
            except (OSError, trio.BrokenResourceError, AssertionError):
                await trio.sleep(0.1)
                continue
            assert reply.status in (202, 503), reply
            if reply.status == 202:
                break


async def _be_killed(daemon: Daemon, gateway: WildGateway) -> None:
    rng = random.Random(SEED)
    for kill in range(1, KILLS + 1):
        with trio.fail_after(60):
            while len(gateway.sent) < kill * PEOPLE * EACH // (KILLS + 2):
                await trio.sleep(0.005)
        await trio.sleep(rng.random() * 0.1)
        await trio.to_thread.run_sync(daemon.kill)
        await trio.to_thread.run_sync(daemon.start)


async def _all_sent(daemon: Daemon) -> None:
    async def over() -> bool:
        return not await _outbox(daemon, "waiting")

    await eventually(over, what="nothing waits", within_s=40)
    assert await _outbox(daemon, "failed") == []


async def _outbox(daemon: Daemon, state: str) -> list[Any]:
    credential = f"Bearer {token(role='supervisor')}"
    reply = await ask(daemon, "GET", f"/v1/outbox?state={state}", Authorization=credential)
    found: list[Any] = reply.json["outbox"]
    return found


def _check(gateway: WildGateway, phones: list[str]) -> None:
    by_person: dict[str, list[str]] = defaultdict(list)
    for sent in gateway.sent:
        by_person[sent.number].append(sent.text)
    assert by_person == {phone: [f"{n}" for n in range(EACH)] for phone in phones}


async def _check_tickets(daemon: Daemon, tickets: dict[str, str]) -> None:
    """P2: what agents see is what was sent, once, whatever echoes came."""
    await handled(daemon)
    for ticket in tickets.values():
        page = await get(daemon, f"/v1/tickets/{ticket}/messages?limit=200")
        ours = [row for row in page["messages"] if row["direction"] == "out"]
        assert [row["content"] for row in ours] == [f"{n}" for n in range(EACH)]
        assert {row["status"] for row in ours} == {"sent"}


def _check_secrets(tmp_path: Path, gateway: WildGateway) -> None:
    """P7: the key goes to the gateway and nowhere else."""
    assert any(API_KEY.encode() in head for head in gateway.seen)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert API_KEY.encode() not in path.read_bytes(), path
