"""``GET /v1/overview``: what the console's operator looks at, over a real relay (P8)."""

from pathlib import Path
from typing import Any

import msgspec
import trio

from evorelay.relay.overview_questions import OverviewView
from tests.edge.http_world import World, error_of, open_world, token

ANA = "5531988887777"
BOSS = token("supervisor")


async def overview(world: World, query: str = "") -> Any:
    return await world.get(f"/v1/overview{query}", BOSS)


async def counted(world: World) -> Any:
    """An overview for which the store was asked after everything before this call."""
    world.overview.counts = None
    with trio.fail_after(30):
        while (now := (await overview(world))["now"])["quarantine"] is None:
            await trio.sleep(0.05)
    return now


async def test_what_came_in_is_counted_and_measured(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        await world.message(ANA, "Tudo bem?")
        now = (await overview(world))["now"]
        assert now["received_per_minute"] == 2
        assert now["p50_ms"] > 0
        assert now["p99_ms"] >= now["p50_ms"]
        assert (now["journal_lag"], now["journal_age_seconds"], now["connections"]) == (0, 0, 0)
        assert (now["gaps_total"], now["unknown_outcomes_total"]) == (0, 0)


async def test_what_is_wrong_is_counted_in_the_store(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.webhook({"event": "what.is.this", "instance": "loja", "data": {}})
        await world.webhook(
            {"event": "connection.update", "instance": "loja", "data": {"state": "open"}}
        )
        now = await counted(world)
        assert (now["quarantine"], now["dead_letters"]) == (1, 0)
        assert now["instances"] == {"open": 1, "connecting": 0, "close": 0, "unknown": 0}


async def test_replies_that_wait_are_seen(tmp_path: Path) -> None:
    """No gateway is configured, so this one waits for good."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = (await world.get("/v1/tickets", BOSS))["tickets"][0]["id"]
        body = {"content": "Olá", "op_id": "1"}
        path = f"/v1/tickets/{ticket}/messages"
        assert (await world.ask(path, method="POST", token=BOSS, body=body)).status_code == 202
        now = (await overview(world))["now"]
        assert now["replies_waiting"] == 1
        assert now["oldest_reply_seconds"] >= 0


async def test_the_answer_is_as_described_whatever_the_stretch(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for query, step, steps in (
            ("", 10, 360),
            ("?minutes=1", 10, 6),
            ("?minutes=61", 300, 13),
            ("?minutes=1440", 300, 288),
        ):
            body = await overview(world, query)
            msgspec.convert(body, OverviewView)
            series = body["series"]
            assert series["step_seconds"] == step
            assert {len(value) for value in series.values() if isinstance(value, list)} == {steps}


async def test_a_stretch_that_is_not_kept_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for query in ("?minutes=0", "?minutes=1441", "?minutes=x", "?hours=1"):
            response = await world.ask(f"/v1/overview{query}", token=BOSS)
            assert await error_of(response) == (400, "bad_request"), query


async def test_it_is_for_supervisors(tmp_path: Path) -> None:
    """P7"""
    async with open_world(tmp_path) as world:
        response = await world.ask("/v1/overview", token=token("agent"))
        assert await error_of(response) == (403, "forbidden")
