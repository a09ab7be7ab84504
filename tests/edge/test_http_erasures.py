"""``POST /v1/erasures``: who may (P7), what is answered, and what agents are told."""

from pathlib import Path
from typing import Any

from tests.edge.http_world import World, error_of, open_world, token

ADMIN = token("admin")
PHONE = "5531988887777"


async def erase(world: World, who: str | None = ADMIN, **body: Any) -> Any:
    return await world.ask("/v1/erasures", method="POST", token=who, body=body)


async def test_only_an_administrator_of_all_may_erase(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(PHONE, "oi")
        for who, expected in (
            (None, (401, "unauthorized")),
            (token("agent"), (403, "forbidden")),
            (token("supervisor"), (403, "forbidden")),
            (token(None), (403, "forbidden")),
        ):
            assert await error_of(await erase(world, who, phone=PHONE)) == expected
        assert len((await world.get("/v1/tickets", ADMIN))["tickets"]) == 1


async def test_a_person_is_erased(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(PHONE, "oi")
        await world.message("5511988880001", "bom dia")
        rehearsed = await erase(world, phone=PHONE, dry_run=True)
        assert (await rehearsed.get_json())["messages"] == 1
        assert len((await world.get("/v1/tickets", ADMIN))["tickets"]) == 2
        answer = await erase(world, phone="+55 31 98888-7777")
        done = await answer.get_json()
        assert answer.status_code == 200
        assert (done["dry_run"], done["contacts"], done["messages"]) == (False, 1, 1)
        assert done["not_reached"]
        (left,) = (await world.get("/v1/tickets", ADMIN))["tickets"]
        assert left["contact"]["phone"] == "5511988880001"
        again = await (await erase(world, phone=PHONE)).get_json()
        assert (again["contacts"], again["messages"], again["compacted"]) == (0, 0, True)
        assert await error_of(await erase(world, phone="5521900000000")) == (404, "not_found")
        assert await error_of(await erase(world, phone="x")) == (400, "bad_request")
        assert await error_of(await erase(world)) == (400, "bad_request")
