"""Replay over REST and RPC: who may, what is answered, and that a rehearsal changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.edge.harness import open_port
from tests.edge.http_world import World, error_of, open_world, token
from tests.edge.test_centrifuge_edge import agent

ODD = {"event": "messages.upsert", "instance": "loja", "data": 5}
SUPERVISOR = token("supervisor", ["loja"], sub="sonia")
ADMIN = token("admin")


async def entry(world: World) -> str:
    """The id of the one webhook in quarantine."""
    (row,) = (await world.get("/v1/quarantine", ADMIN))["quarantine"]
    id_: str = row["id"]
    return id_


async def replayed(world: World, id_: str, body: Any = None, who: str = SUPERVISOR) -> Any:
    path = f"/v1/quarantine/{id_}/replay"
    response = await world.ask(path, method="POST", token=who, body=body or {})
    assert response.status_code == 200, await response.get_data()
    return await response.get_json()


async def test_a_quarantined_webhook_is_replayed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.webhook(ODD)
        answer = await replayed(world, await entry(world), {"dry_run": True})
        assert answer == {
            "id": await entry(world),
            "outcome": "still_quarantined",
            "reason": "bad_data",
            "detail": answer["detail"],
            "differences": [],
            "differences_left_out": 0,
        }


async def test_who_may_not_replay_is_told_no_more_than_who_asks_for_nothing(
    tmp_path: Path,
) -> None:
    """P7."""
    async with open_world(tmp_path) as world:
        await world.webhook(ODD)
        path = f"/v1/quarantine/{await entry(world)}/replay"
        foreign = token("supervisor", ["outra"])
        for who, where, expected in (
            (foreign, path, (404, "not_found")),
            (SUPERVISOR, "/v1/quarantine/nothing/replay", (404, "not_found")),
            (token("agent"), path, (403, "forbidden")),
            (token(None), path, (403, "forbidden")),
            (None, path, (401, "unauthorized")),
            (SUPERVISOR, "/v1/journal/replay", (403, "forbidden")),
        ):
            body = {"after_seq": 0} if "journal" in where else {}
            response = await world.ask(where, method="POST", token=who, body=body)
            assert await error_of(response) == expected


async def test_the_journal_is_replayed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message("5531988887777", "oi")
        for body in ({"after_seq": 0}, {"since": "2020-01-01T00:00:00Z", "dry_run": True}):
            response = await world.ask("/v1/journal/replay", method="POST", token=ADMIN, body=body)
            assert await response.get_json() == {
                "next_seq": None,
                "entries": 1,
                "counts": {},
                "differences": [],
                "differences_left_out": 0,
            }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"after_seq": -1},
        {"after_seq": 1, "since": "2020-01-01T00:00:00Z"},
        {"since": "yesterday"},
        {"since": "2020-01-01T00:00:00"},
        {"after_seq": 0, "limit": 0},
        {"after_seq": 0, "dry_run": "yes"},
        {"after_seq": 0, "instances": "loja"},
    ],
)
async def test_a_stretch_that_makes_no_sense_is_refused(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async with open_world(tmp_path) as world:
        response = await world.ask("/v1/journal/replay", method="POST", token=ADMIN, body=body)
        assert await error_of(response) == (400, "bad_request")


async def test_replay_is_offered_to_clients_too(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent(port) as admin:
        reply = await admin.ask(
            rpc={"method": "quarantine.replay", "data": {"quarantine_id": "nothing"}}
        )
        assert reply["error"]["code"] == 1004
