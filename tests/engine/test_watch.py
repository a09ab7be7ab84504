"""Instances are watched: what they say is asked for, and doubted where it cannot be true."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio

from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.relay.instances import NOT_LOADED
from evorelay.relay.watch import Troubles
from tests.engine.harness import HOUR, T0, World, connection, open_blobs, stored
from tests.engine.watched import DOWN, OURS, SECRET, Evolution, Watched

MINUTE = 60_000
CLOSED = GatewayFault(FaultKind.INSTANCE_DOWN, "connection_closed", "Connection Closed")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


async def test_a_state_no_webhook_told_is_found_and_told(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    row = await watched.look()
    assert (row.state, row.state_since, row.polled_at) == ("open", T0, T0)
    assert [view["state"] for view in watched.told()] == ["open"]
    assert watched.signals.state("loja") == "open"
    world.now.ms += MINUTE
    assert (await watched.look()).polled_at == T0 + MINUTE
    assert len(watched.told()) == 1


async def test_an_instance_that_evolution_has_not_loaded_is_closed(world: World) -> None:
    evolution = Evolution("loja")
    evolution.states["loja"] = None
    row = await Watched(world, evolution).look()
    assert (row.state, row.cause) == ("close", NOT_LOADED)


async def test_a_webhook_that_came_after_the_question_knows_better(world: World) -> None:
    evolution = Evolution("loja")
    evolution.hosts["loja"] = "hangs"
    evolution.states["loja"] = "close"
    watched = Watched(world, evolution)
    await world.apply(connection("close", reason=408))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.watch.look, "loja")
        with trio.fail_after(30):
            while not evolution.calls["connection_state"]:
                await trio.sleep(0.001)
        world.now.ms += 10
        await world.apply(connection("open"))
        evolution.stuck.set()
    assert watched.row().state == "open"


async def test_an_evolution_that_is_away_changes_no_state_but_is_shown(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watched = Watched(world, Evolution("loja"), poll_every=1e-9)
    await watched.look()
    watched.evolution.faults["connection_state"] = DOWN
    for _ in range(3):
        world.now.ms += MINUTE
        row = await watched.look()
    assert (row.state, row.suspicion) == (
        "open",
        "Evolution cannot be reached: refused.",
    )
    assert watched.watch.troubles().unreachable == (
        "evolution:8080: Evolution cannot be reached: refused.",
    )
    assert watched.watch.troubles().suspected == ()
    watched.evolution.faults.clear()
    world.now.ms += MINUTE
    assert (await watched.look()).suspicion is None
    assert [view["suspicion"] is None for view in watched.told()] == [True, False, True]
    said = [record.message for record in caplog.records if "suspected" in record.message]
    assert len(said) == 2


async def test_an_instance_evolution_does_not_have_is_no_dead_one(world: World) -> None:
    """P8: a webhook came from it a moment ago; nobody says that it is connected."""
    watched = Watched(world, Evolution("demo"), poll_every=1e-9)
    said = "Evolution has no instance of this name. Create it there, or correct evolution.url."
    watched.evolution.faults["connection_state"] = GatewayFault(
        FaultKind.INSTANCE_DOWN, "no_such_instance", said
    )
    row = await watched.look("demo")
    assert "no instance of this name" in str(row.suspicion)
    found = watched.watch.troubles()
    assert (found.missing, found.suspected, found.unasked) == (("demo",), (), ())
    refused = "Evolution refuses our API key. Correct evolution.api_key."
    watched.evolution.faults["connection_state"] = GatewayFault(
        FaultKind.INSTANCE_DOWN, "bad_api_key", refused
    )
    await watched.look("demo")
    found = watched.watch.troubles()
    assert (found.missing, found.suspected, found.unasked) == ((), (), (("demo", refused),))
    watched.evolution.faults.clear()
    await watched.look("demo")
    assert watched.watch.troubles() == Troubles()


async def test_an_evolution_that_is_away_is_asked_once_a_round(world: World) -> None:
    names = [f"i{n}" for n in range(20)]
    evolution = Evolution(*names)
    evolution.faults["connection_state"] = DOWN
    watched = Watched(world, evolution)
    for name in names:
        assert (await watched.look(name)).suspicion is not None
    assert evolution.calls["connection_state"] == 1


async def test_one_that_hangs_delays_no_other(world: World) -> None:
    """P5: by a real clock, since the store works in threads."""
    evolution = Evolution("a", "b", "c", "d", "e", "loja")
    evolution.hosts = dict.fromkeys("abcde", "hangs")
    watched = Watched(world, evolution, poll_every=0.01)
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watch.run)
        with trio.fail_after(30):
            while evolution.calls["connection_state loja"] < 5:
                await trio.sleep(0.01)
        assert sum(evolution.calls[f"connection_state {name}"] for name in "abcde") == 4
        nursery.cancel_scope.cancel()


async def test_a_bug_over_one_instance_ends_no_watching(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """P5: of that one neither."""
    evolution = Evolution("broken", "loja")
    del evolution.states["broken"]  # a KeyError where it is asked for
    watched = Watched(world, evolution, poll_every=0.01)
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watch.run)
        with trio.fail_after(30):
            while min(evolution.calls[f"connection_state {n}"] for n in ("broken", "loja")) < 3:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert "met a bug" in caplog.text


async def test_instances_that_only_the_store_knows_are_watched(world: World) -> None:
    evolution = Evolution()
    evolution.states["loja"] = "close"
    evolution.registrations["loja"] = OURS
    watched = Watched(world, evolution, poll_every=0.01)
    await world.apply(connection("open"))
    world.now.ms += 1
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watch.run)
        with trio.fail_after(30):
            while watched.row().state != "close":
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_without_evolution_what_webhooks_said_is_watched(world: World) -> None:
    """Health and metrics know instances that only post."""
    evolution = Evolution()
    evolution.hosts["loja"] = ""
    watched = Watched(world, evolution)
    await world.apply(connection("close", reason=401))
    assert (await watched.look()).cause == "logged_out"
    assert not evolution.calls


async def test_a_removed_instance_is_left_alone(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    await watched.know(state="close", cause="removed")
    await watched.look()
    assert not watched.evolution.calls


async def test_a_quiet_night_raises_no_alarm(world: World) -> None:
    """WhatsApp answers: nobody writes, that is all. It is asked once per ``silence``."""
    watched = Watched(world, Evolution("loja"))
    await watched.look()
    for _ in range(8 * 60):
        world.now.ms += MINUTE
        assert (await watched.look()).suspicion is None
    assert len(watched.told()) == 1
    assert 8 <= watched.evolution.calls["probe"] <= 16


async def test_an_open_instance_over_a_dead_socket_is_suspected(world: World) -> None:
    """Evolution says open for hours while nothing works (#1398, #2403)."""
    watched = Watched(world, Evolution("loja"))
    await watched.look()
    watched.evolution.faults["probe"] = CLOSED
    world.now.ms += HOUR
    row = await watched.look()
    assert row.state == "open"
    assert row.suspicion is not None
    assert "WhatsApp does not answer" in row.suspicion
    assert watched.told()[-1]["suspicion"] == row.suspicion
    del watched.evolution.faults["probe"]
    world.now.ms += MINUTE
    assert (await watched.look()).suspicion is None
    assert watched.told()[-1]["suspicion"] is None


async def test_webhooks_that_come_again_end_the_suspicion(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    await watched.look()
    watched.evolution.faults["probe"] = CLOSED
    world.now.ms += HOUR
    assert (await watched.look()).suspicion is not None
    world.now.ms += MINUTE
    await watched.know(last_event_at=world.now.ms)
    assert (await watched.look()).suspicion is None


async def test_an_instance_that_cannot_be_probed_is_not_suspected_for_it(world: World) -> None:
    """The Cloud API has no socket, and Evolution fails when it looks for one."""
    watched = Watched(world, Evolution("loja"))
    await watched.look()
    for fault in (
        GatewayFault(FaultKind.PERMANENT, "no_such_call", "Cannot POST"),
        GatewayFault(FaultKind.RETRY, "evolution_failed", "Cannot read properties of undefined"),
    ):
        watched.evolution.faults["probe"] = fault
        world.now.ms += HOUR
        assert (await watched.look()).suspicion is None


async def test_a_probe_without_an_answer_is_a_reason_to_doubt(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    await watched.look()
    watched.evolution.faults["probe"] = GatewayFault(FaultKind.RETRY, "timeout", "no answer")
    world.now.ms += HOUR
    assert (await watched.look()).suspicion is not None


async def test_a_wiped_registration_is_found_and_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Evolution loses the setting with its container, and says nothing (#2694)."""
    caplog.set_level(logging.INFO)
    watched = Watched(world, Evolution("loja"))
    row = await watched.look()
    assert row.registration is not None
    assert (row.registration["state"], row.registration["since"]) == ("ok", None)
    watched.evolution.registrations["loja"] = msgspec.structs.replace(OURS, url="", events=())
    world.now.ms += MINUTE
    assert (await watched.look()).registration == row.registration  # not its time yet
    for _ in range(3):
        world.now.ms += HOUR
        await watched.know(last_event_at=T0 + HOUR)  # the last that was under way
        row = await watched.look()
    assert row.registration is not None
    assert row.registration["state"] == "missing"
    assert watched.watch.troubles().unregistered == ("loja",)
    assert watched.told()[-1]["registration"]["state"] == "missing"
    assert [r.message for r in caplog.records if "wiped" in r.message] != []
    assert len([r for r in caplog.records if "wiped" in r.message]) == 1
    watched.evolution.registrations["loja"] = OURS
    world.now.ms += HOUR
    assert (await watched.look()).registration["state"] == "ok"  # type: ignore[index]  # it was checked


async def test_a_global_webhook_needs_no_registration(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    watched.evolution.registrations["loja"] = None
    await watched.know(last_event_at=T0)
    for _ in range(3):
        row = await watched.look()
        assert row.registration is not None
        assert row.registration["state"] == "ok"
        assert row.registration["detail"].startswith("not registered here")
        world.now.ms += HOUR
        await watched.know(last_event_at=world.now.ms)


async def test_a_registration_that_cannot_be_read_is_no_news(world: World) -> None:
    watched = Watched(world, Evolution("loja"))
    watched.evolution.faults["registration"] = GatewayFault(FaultKind.RETRY, "http_500", "no")
    row = await watched.look()
    assert (row.state, row.registration, row.suspicion) == ("open", None, None)
    watched.evolution.faults.clear()
    assert (await watched.look()).registration is not None


async def test_no_secret_of_a_registration_is_kept_or_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """P7"""
    foreign = "somebody-elses-secret"
    watched = Watched(world, Evolution("loja"))
    watched.evolution.registrations["loja"] = msgspec.structs.replace(
        OURS, url=f"https://u:{foreign}@relay.example/hook/{foreign}", headers={"apikey": foreign}
    )
    world.now.ms += HOUR
    await watched.know(last_event_at=T0 - HOUR)
    row = await watched.look()
    assert row.registration is not None
    assert row.registration["state"] == "wrong"
    everything = repr(row) + repr(watched.told()) + caplog.text
    assert foreign not in everything
    assert SECRET not in everything
