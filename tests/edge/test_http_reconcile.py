"""Comparisons with Evolution over REST: who may ask, and how they are told (P6, P7)."""

from pathlib import Path
from typing import Any

from tests.edge.http_world import World, error_of, open_world, text_of, token

SUPERVISOR = token("supervisor", ["loja"], sub="sonia")
BODY = {"since": "2026-11-01T00:00:00Z"}


async def post(world: World, body: Any, who: str | None) -> Any:
    return await world.ask("/v1/reconcile", method="POST", token=who, body=body)


async def test_a_comparison_is_asked_for_and_followed(tmp_path: Path) -> None:
    async with open_world(tmp_path, evolution="http://127.0.0.1:9") as world:
        await world.message("5531988887777", "oi")
        response = await post(world, BODY, SUPERVISOR)
        assert response.status_code == 200, await response.get_data()
        (run,) = (await response.get_json())["runs"]
        assert run == {
            "id": run["id"],
            "instance": "loja",
            "trigger": "command",
            "state": "waiting",
            "since": BODY["since"],
            "until": None,
            "looked_at": 0,
            "recovered": 0,
            "changes": 0,
            "not_understood": 0,
            "cut": False,
            "error": None,
        }
        assert (await world.get("/v1/reconcile", SUPERVISOR))["runs"] == [run]
        foreign = token("supervisor", ["outra"])
        assert (await world.get("/v1/reconcile", foreign))["runs"] == []


async def test_without_an_evolution_it_says_what_to_set(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message("5531988887777", "oi")
        response = await post(world, BODY, SUPERVISOR)
        assert "evolution.url" in await text_of(response)
        assert await error_of(response) == (400, "bad_request")


async def test_who_may_not_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path, evolution="http://127.0.0.1:9") as world:
        await world.message("5531988887777", "oi")
        foreign = token("supervisor", ["outra"])
        for body, who, expected in (
            (BODY, None, (401, "unauthorized")),
            (BODY, token("agent"), (403, "forbidden")),
            (BODY | {"instance": "loja"}, foreign, (404, "not_found")),
            (BODY | {"instance": "nenhuma"}, SUPERVISOR, (404, "not_found")),
            ({}, SUPERVISOR, (400, "bad_request")),
            ({"since": "soon"}, SUPERVISOR, (400, "bad_request")),
            ({"since": "2099-01-01T00:00:00Z"}, SUPERVISOR, (400, "bad_request")),
            (BODY | {"trigger": "start"}, SUPERVISOR, (400, "bad_request")),
        ):
            assert await error_of(await post(world, body, who)) == expected
        listed = await world.ask("/v1/reconcile", token=token("agent"))
        assert await error_of(listed) == (403, "forbidden")
