"""Having an instance connect again: who may, how often, and when it happens by itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.model.errors import Code, Refusal
from evorelay.model.outcome import FaultKind, GatewayFault, Pairing
from evorelay.relay.questions import InstanceRef
from tests.engine.harness import HOUR, T0, World, open_blobs, stored
from tests.engine.office import ADMIN, ANA, CHEFE, STRANGER, refused
from tests.engine.watched import DOWN, Evolution, Watched

MINUTE = 60_000
LOJA = InstanceRef(name="loja")
CODE = Pairing(code="2@abc", image="data:image/png;base64,AAAA", pairing_code="WZYE")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


async def closed(world: World, **fields: Any) -> Watched:
    """A watch over an instance that was paired and has lost its connection."""
    evolution = Evolution("loja")
    evolution.states["loja"] = "close"
    watched = Watched(world, evolution)
    fields = {"state": "close", "cause": "connection_lost", "phone": "5511", **fields}
    await watched.know(**fields)
    world.now.ms += HOUR
    return watched


async def test_the_code_to_scan_is_on_the_row_and_told(world: World) -> None:
    watched = await closed(world, cause="logged_out")
    watched.evolution.pairing = CODE
    view = await watched.reconnects.reconnect(CHEFE, LOJA)
    assert view.qrcode is not None
    assert (view.qrcode.code, view.qrcode.pairing_code) == ("2@abc", "WZYE")
    assert watched.told()[-1]["qrcode"]["image"] == CODE.image
    assert watched.evolution.calls["connect"] == 1


async def test_an_open_instance_makes_its_socket_anew(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    await watched.know(suspicion="nothing comes")
    await watched.reconnects.reconnect(ADMIN, LOJA)
    assert (watched.evolution.calls["restart"], watched.evolution.calls["connect"]) == (1, 0)


async def test_the_cool_down_says_for_how_long(world: World) -> None:
    watched = await closed(world)
    await watched.reconnects.reconnect(CHEFE, LOJA)
    world.now.ms += 20_500
    code, said = await refused(watched.reconnects.reconnect(CHEFE, LOJA))
    assert code is Code.TOO_SOON
    assert "in 40 s" in said
    world.now.ms += 39_500
    await watched.reconnects.reconnect(CHEFE, LOJA)
    assert watched.evolution.calls["connect"] == 2


async def test_of_many_who_ask_at_once_one_is_let(world: World) -> None:
    watched = await closed(world)
    refusals: list[Code] = []

    async def ask() -> None:
        try:
            await watched.reconnects.reconnect(CHEFE, LOJA)
        except Refusal as refusal:
            refusals.append(refusal.code)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
    assert watched.evolution.calls["connect"] == 1
    assert refusals == [Code.TOO_SOON] * 9


async def test_agents_may_not_and_strangers_learn_nothing(world: World) -> None:
    """P7"""
    watched = await closed(world)
    assert (await refused(watched.reconnects.reconnect(ANA, LOJA)))[0] is Code.FORBIDDEN
    assert (await refused(watched.reconnects.reconnect(STRANGER, LOJA)))[0] is Code.NOT_FOUND
    assert (await refused(watched.reconnects.qrcode(STRANGER, LOJA)))[0] is Code.NOT_FOUND
    assert not watched.evolution.calls


async def test_an_evolution_that_refuses_says_why(world: World) -> None:
    watched = await closed(world)
    watched.evolution.faults["connect"] = DOWN
    code, said = await refused(watched.reconnects.reconnect(CHEFE, LOJA))
    assert (code, said) == (Code.GATEWAY, "Evolution cannot be reached: refused.")


async def test_without_evolution_it_says_what_to_set(world: World) -> None:
    watched = await closed(world)
    watched.evolution.hosts["loja"] = ""
    code, said = await refused(watched.reconnects.reconnect(CHEFE, LOJA))
    assert code is Code.GATEWAY
    assert "evolution.url" in said


async def test_a_code_is_asked_for_when_there_is_none(world: World) -> None:
    watched = await closed(world, cause="logged_out")
    watched.evolution.pairing = CODE
    answer = await watched.reconnects.qrcode(CHEFE, LOJA)
    assert answer.qrcode is not None
    await watched.reconnects.qrcode(CHEFE, LOJA)
    assert watched.evolution.calls["connect"] == 1


@pytest.mark.parametrize(
    "fields",
    [{"state": "open", "cause": None}, {"cause": "banned"}, {"cause": "removed"}],
)
async def test_no_code_is_asked_for_in_vain(world: World, fields: dict[str, Any]) -> None:
    watched = await closed(world, **fields)
    assert (await watched.reconnects.qrcode(CHEFE, LOJA)).qrcode is None
    assert not watched.evolution.calls


async def test_an_agent_sees_the_code_that_is_there(world: World) -> None:
    code = {"code": "2@x", "pairing_code": None, "image": None, "at": T0}
    watched = await closed(world, qrcode=code)
    assert (await watched.reconnects.qrcode(ANA, LOJA)).qrcode is not None
    assert not watched.evolution.calls


async def test_a_lost_connection_is_made_again_with_growing_waits(world: World) -> None:
    watched = await closed(world)
    watched.evolution.pairing = Pairing()
    tried: list[int] = []
    for minute in range(300):
        before = watched.evolution.calls["connect"]
        await watched.look()
        if watched.evolution.calls["connect"] > before:
            tried.append(minute)
        world.now.ms += MINUTE
    assert tried == [0, 2, 6, 14, 30, 62, 122, 182, 242]


async def test_what_opened_begins_anew(world: World) -> None:
    watched = await closed(world)
    watched.evolution.pairing = Pairing()
    for _ in range(10):
        await watched.look()
        world.now.ms += MINUTE
    assert watched.evolution.calls["connect"] == 3
    watched.evolution.states["loja"] = "open"
    await watched.look()
    world.now.ms += HOUR
    watched.evolution.states["loja"] = "close"
    await watched.look()
    world.now.ms += MINUTE
    await watched.look()
    assert watched.evolution.calls["connect"] == 4


@pytest.mark.parametrize(
    "fields",
    [
        {"cause": "logged_out"},
        {"cause": "banned"},
        {"cause": "account_restricted"},
        {"cause": "removed"},
        {"cause": "replaced"},
        {"phone": None},
    ],
)
async def test_what_needs_a_person_is_left_to_one(world: World, fields: dict[str, Any]) -> None:
    watched = await closed(world, **fields)
    await watched.look()
    assert watched.evolution.calls["connect"] == 0


async def test_whoever_answers_with_a_code_waits_for_a_person(world: World) -> None:
    watched = await closed(world)
    watched.evolution.pairing = CODE
    for _ in range(60):
        await watched.look()
        world.now.ms += MINUTE
    assert watched.evolution.calls["connect"] == 1


async def test_a_fault_of_evolution_ends_nothing(world: World) -> None:
    watched = await closed(world)
    watched.evolution.faults["connect"] = GatewayFault(FaultKind.RETRY, "http_500", "no")
    await watched.look()
    world.now.ms += 2 * MINUTE
    await watched.look()
    assert watched.evolution.calls["connect"] == 2
