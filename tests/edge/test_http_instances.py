"""Instances over REST: how they are, and having one connect again."""

from pathlib import Path

from evorelay.model.outcome import Pairing
from tests.edge.http_world import World, error_of, open_world, token

SUPERVISOR = token("supervisor")
RECONNECT = "/v1/instances/loja/reconnect"


async def connection(world: World, state: str, reason: int) -> None:
    data = {"instance": "loja", "state": state, "statusReason": reason}
    await world.webhook({"event": "connection.update", "instance": "loja", "data": data})


async def test_a_supervisor_has_it_connect_and_gets_the_code(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await connection(world, "close", 401)
        world.evolution.pairing = Pairing(code="2@abc", image="data:image/png;base64,AAAA")
        response = await world.ask(RECONNECT, method="POST", token=SUPERVISOR)
        assert response.status_code == 200
        view = await response.get_json()
        assert (view["cause"], view["qrcode"]["code"]) == ("logged_out", "2@abc")
        assert {"polled_at", "suspicion", "registration"} <= view.keys()
        again = await world.ask(RECONNECT, method="POST", token=SUPERVISOR)
        assert await error_of(again) == (429, "too_soon")
        assert world.evolution.calls["connect"] == 1


async def test_agents_may_not(tmp_path: Path) -> None:
    """P7"""
    async with open_world(tmp_path) as world:
        await connection(world, "close", 408)
        for who, answer in (
            (token("agent"), (403, "forbidden")),
            (token("supervisor", ["filial"]), (404, "not_found")),
            (None, (401, "unauthorized")),
        ):
            response = await world.ask(RECONNECT, method="POST", token=who)
            assert await error_of(response) == answer
        assert not world.evolution.calls


async def test_a_code_is_asked_for_on_behalf_of_a_supervisor(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await connection(world, "close", 401)
        world.evolution.pairing = Pairing(code="2@abc")
        path = "/v1/instances/loja/qrcode"
        assert (await world.get(path, token("agent")))["qrcode"] is None
        assert (await world.get(path, SUPERVISOR))["qrcode"]["code"] == "2@abc"
        assert (await world.get(path, token("agent")))["qrcode"]["code"] == "2@abc"
        assert world.evolution.calls["connect"] == 1
