"""When Evolution's list is compared with ours, from where on, and for whom (P6, P7)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.model.clock import utc
from evorelay.model.errors import Code, Refusal
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.principal import Principal
from evorelay.relay.instances import Instances
from evorelay.relay.questions import NoParams
from evorelay.relay.reconcile_questions import ReconcileParams, ReconcileRun
from tests.engine.harness import ADMIN, HOUR, T0, World, open_blobs, stored, webhook
from tests.engine.listed import UNREACHABLE, ListedEvolution, Reconciled, row

DAY = 24 * HOUR


@asynccontextmanager
async def a_world(path: Path, *names: str) -> AsyncIterator[World]:
    """``names`` are open and were heard of an hour ago, when all of theirs was here."""
    with stored(path) as storage:
        world = World(storage, await open_blobs(path))
        async with trio.open_nursery() as nursery:
            await world.start(nursery)
            for name in names or ("loja",):
                await know(
                    world, name, last_event_at=T0 - HOUR, reconciled_at=T0 - HOUR, created_at=0
                )
            yield world
            nursery.cancel_scope.cancel()


async def know(world: World, name: str, **fields: Any) -> None:
    def put(draft: Any) -> None:
        instances = Instances(draft, [name])
        instances.polled(name, fields.get("state", "open"), asked_at=T0)
        for field, value in fields.items():
            setattr(instances[name], field, value)

    await world.ledger.change(put)


@asynccontextmanager
async def running(reconciled: Reconciled) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(reconciled.reconciler.run)
        yield
        nursery.cancel_scope.cancel()


async def runs(reconciled: Reconciled, who: Principal = ADMIN) -> list[ReconcileRun]:
    return (await reconciled.reconciler.runs(who, NoParams())).runs


def reconciled_at(world: World, name: str = "loja") -> int:
    found = world.storage.readers[0].instance(name)
    assert found is not None
    return found.reconciled_at


async def test_after_our_start_what_was_missed_meanwhile_is_there(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(
            loja=[row("OLD", at=T0 - 9 * HOUR), row("A1", at=T0 - HOUR // 2)]
        )
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended()
            await world.handled()
            (run,) = await runs(reconciled)
        assert (run.trigger, run.state, run.recovered, run.cut) == ("start", "done", 1, False)
        assert run.since == utc(T0 - HOUR - 30 * 60_000)
        assert world.ids() == ["A1"]


async def test_it_goes_back_no_further_than_it_may_and_says_so(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await know(world, "loja", reconciled_at=T0 - 3 * DAY)
        evolution = ListedEvolution(loja=[row("OLD", at=T0 - 2 * DAY), row("A1", at=T0 - HOUR)])
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended()
            await world.handled()
        assert world.ids() == ["A1"]
        assert reconciled.metrics.outcomes == [("start", "cut")]


async def test_a_gap_stays_until_it_was_looked_at_whatever_happens_meanwhile(
    tmp_path: Path,
) -> None:
    """We start, live webhooks come, and we crash before Evolution answers: nothing is forgotten."""
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[row("A1", at=T0 - HOUR // 2)])
        evolution.hangs = {"loja"}
        async with running(Reconciled(world, evolution)):
            await evolution.hung.wait()
            await world.journal.submit(webhook("A2", sent_at=T0))
            await world.handled()
        assert reconciled_at(world) == T0 - HOUR
        evolution.hangs = set()
        again = Reconciled(world, evolution)
        async with running(again):
            await again.ended()
            await world.handled()
        assert world.ids() == ["A1", "A2"]
        assert reconciled_at(world) == T0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"last_event_at": T0 - 1000}, T0 - 1000),
        ({"last_event_at": T0 - 3 * DAY}, T0 - DAY // 2),  # a quiet weekend
        ({"last_event_at": T0 - 1000, "state": "close"}, T0 - HOUR),
    ],
)
async def test_how_far_nothing_is_missing_follows_what_was_heard(
    tmp_path: Path, fields: dict[str, Any], expected: int
) -> None:
    async with a_world(tmp_path) as world:
        await know(world, "loja", **({"reconciled_at": min(T0 - HOUR, expected)} | fields))
        reconciled = Reconciled(world, ListedEvolution(loja=[]), tick_s=HOUR)
        async with running(reconciled):
            await reconciled.ended()
        assert reconciled_at(world) == expected


async def test_an_instance_that_opens_is_looked_at_and_one_that_stays_open_is_not(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[])
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended()
            for state, looks in (("open", 1), ("connecting", 1), ("open", 2), ("close", 2)):
                world.signals.note("loja", state)
                await reconciled.has_heard("loja", state)
                await reconciled.ended(looks)
            evolution.rows["loja"] = [row("A1", at=T0 - 5000)]
            world.signals.note("loja", "open")
            await reconciled.ended(3)
            await world.handled()
        triggers = [trigger for trigger, _ in reconciled.metrics.outcomes]
        assert triggers == ["start", "open", "open"]
        assert world.ids() == ["A1"]


async def test_an_open_instance_that_is_silent_is_looked_at_once_per_silence(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path, "loja", "fechada") as world:
        await know(world, "fechada", state="close")
        evolution = ListedEvolution(loja=[], fechada=[])
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended(2)
            for silences in (1, 2):
                world.now.ms += HOUR + 1
                await reconciled.ended(2 + silences)
                await trio.sleep(0.05)
                assert len(reconciled.metrics.outcomes) == 2 + silences
            await know(world, "loja", last_event_at=world.now.ms + HOUR)
            world.now.ms += HOUR + 1
            await trio.sleep(0.05)
        assert reconciled.metrics.outcomes[2:] == [("silence", "done")] * 2
        assert evolution.asked.count("fechada") == 1


async def test_what_is_heard_while_it_looks_is_no_silence(tmp_path: Path) -> None:
    """The store answers late: its rows are newer than the moment it was asked."""
    async with a_world(tmp_path) as world:
        reconciled = Reconciled(world, ListedEvolution(loja=[]))
        asked, may_answer = trio.Event(), trio.Event()

        async def late(question: Callable[[Any], Any]) -> Any:
            rows = await world.reads(question)
            asked.set()
            await may_answer.wait()
            return rows

        async with running(reconciled):
            await reconciled.ended()
            reconciled.reconciler._reads = late  # type: ignore[assignment]
            await asked.wait()
            await know(world, "loja", last_event_at=world.now.ms + HOUR)
            world.now.ms += HOUR + 1
            may_answer.set()
            await trio.sleep(0.05)
        assert reconciled.metrics.outcomes == [("start", "done")]


async def test_what_failed_is_told_and_tried_again_until_it_succeeds(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[row("A1", at=T0 - HOUR)])
        evolution.faults = [UNREACHABLE] * 7  # three attempts for each of two comparisons, and one
        reconciled = Reconciled(world, evolution, again_s=(0.01,))
        async with running(reconciled):
            await reconciled.ended()
            (failed, *_) = await runs(reconciled)
            assert failed.error is not None
            assert (failed.state, failed.error.code) == ("failed", "unreachable")
            ((name, _, why),) = reconciled.reconciler.failing()
            assert (name, why) == ("loja", failed.error.message)
            assert reconciled_at(world) == T0 - HOUR
            await reconciled.ended(3)
            await world.handled()
        assert world.ids() == ["A1"]
        assert reconciled.metrics.outcomes == [("start", "failed")] * 2 + [("start", "done")]
        assert reconciled.reconciler.failing() == []


@pytest.mark.parametrize(
    "fault",
    [
        GatewayFault(FaultKind.INSTANCE_DOWN, "no_such_instance", "Evolution has none"),
        GatewayFault(FaultKind.PERMANENT, "no_such_call", "Evolution cannot do that"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again_by_itself(
    tmp_path: Path, fault: GatewayFault
) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[])
        evolution.faults = [fault]
        reconciled = Reconciled(world, evolution, again_s=(0.0,))
        async with running(reconciled):
            await reconciled.ended()
            await trio.sleep(0.05)
            (run,) = await runs(reconciled)
        assert run.state == "failed"
        assert reconciled.reconciler.failing() == []
        assert reconciled_at(world) == T0 - HOUR


async def test_an_instance_that_was_removed_is_left_alone(tmp_path: Path) -> None:
    async with a_world(tmp_path, "loja", "removida") as world:
        await know(world, "removida", state="close", cause="removed")
        evolution = ListedEvolution(loja=[], removida=[])
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended()
        assert evolution.asked == ["loja"]


async def test_an_evolution_that_hangs_holds_up_its_own_instances_only(tmp_path: Path) -> None:
    names = ("a1", "a2", "a3", "b1", "b2")
    async with a_world(tmp_path, *names) as world:
        evolution = ListedEvolution(**{name: [] for name in names})
        evolution.hosts = {name: name[0] for name in names}
        evolution.hangs = {"a1", "a2", "a3"}
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended(2)
            states = {run.instance: run.state for run in await runs(reconciled)}
        assert states["b1"] == states["b2"] == "done"
        waiting = [states[name] for name in ("a1", "a2", "a3")]
        assert sorted(waiting) == ["running", "running", "waiting"]


async def test_requests_for_one_instance_are_joined(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[])
        evolution.hangs = {"loja"}
        reconciled = Reconciled(world, evolution)
        ask = partial(reconciled.reconciler.reconcile, ADMIN)
        async with running(reconciled):
            await evolution.hung.wait()
            (covered,) = (await ask(ReconcileParams(since=utc(T0 - HOUR)))).runs
            (first,) = (await ask(ReconcileParams(since=utc(T0 - 5 * HOUR)))).runs
            (second,) = (await ask(ReconcileParams(since=utc(T0 - 9 * HOUR)))).runs
            found = await runs(reconciled)
        assert [run.state for run in found] == ["running", "waiting"]
        assert (covered.id, first.id) == (found[0].id, found[1].id)
        assert (second.id, second.since) == (first.id, utc(T0 - 9 * HOUR))


async def test_a_person_may_ask_for_more_and_it_leaves_a_gap_where_it_is(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await know(world, "loja", reconciled_at=T0 - 2 * DAY, created_at=0)
        evolution = ListedEvolution(loja=[row("A1", at=T0 - 3 * DAY)])
        evolution.faults = [UNREACHABLE] * 3  # our start's
        reconciled = Reconciled(world, evolution)
        async with running(reconciled):
            await reconciled.ended()
            await reconciled.reconciler.reconcile(ADMIN, ReconcileParams(since=utc(T0 - 4 * DAY)))
            await reconciled.ended(2)
            await world.handled()
        assert world.ids() == ["A1"]


async def test_who_may_ask_and_for_what(tmp_path: Path) -> None:
    async with a_world(tmp_path, "loja", "outra") as world:
        evolution = ListedEvolution(loja=[], outra=[])
        evolution.unconfigured = {"outra"}
        reconciler = Reconciled(world, evolution).reconciler
        agent = Principal(sub="a", role="agent", instances="*")
        mine = Principal(sub="s", role="supervisor", instances=frozenset({"loja"}))
        hour = utc(T0 - HOUR)
        for who, params, code in (
            (agent, ReconcileParams(since=hour), Code.FORBIDDEN),
            (mine, ReconcileParams(since=hour, instance="outra"), Code.NOT_FOUND),
            (ADMIN, ReconcileParams(since=hour, instance="nenhuma"), Code.NOT_FOUND),
            (ADMIN, ReconcileParams(since=hour, instance="outra"), Code.BAD_REQUEST),
            (mine, ReconcileParams(since=utc(T0 + HOUR)), Code.BAD_REQUEST),
        ):
            with pytest.raises(Refusal) as refused:
                await reconciler.reconcile(who, params)
            assert refused.value.code is code
        (run,) = (await reconciler.reconcile(mine, ReconcileParams(since=hour))).runs
        assert run.instance == "loja"
        with pytest.raises(Refusal):
            await reconciler.runs(agent, NoParams())
        foreign = Principal(sub="s", role="supervisor", instances=frozenset({"outra"}))
        assert (await reconciler.runs(foreign, NoParams())).runs == []
