"""Sends that stay silent are asked about, at growing distances, and told like any status (P4)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.relay.silent_sends import LOOKS_MS, PER_INSTANCE, SilentSends
from tests.engine.harness import T0, World, open_blobs, reply, status, stored
from tests.engine.listed import ListedEvolution

MINUTE = 60_000


@asynccontextmanager
async def a_world(path: Path) -> AsyncIterator[World]:
    with stored(path) as storage:
        yield World(storage, await open_blobs(path))


async def sent(world: World, id_: str, *, word: str | None = None, instance: str = "loja") -> None:
    """A reply that Evolution took at T0; ``word``: what WhatsApp said of it since."""
    await world.apply(reply(id_, status=word, instance=instance))

    def put(draft: Any) -> None:
        (message,) = draft.tx.messages([(instance, id_)]).values()
        row = OutboxRecord(
            id=f"out-{id_}",
            instance=instance,
            contact_id=message.contact_id,
            ticket_id=message.ticket_id,
            message_id=message.id,
            op_id=id_,
            digest="",
            agent="ana",
            outgoing={},
            state="sent",
            attempts=1,
            created_at=T0,
            queued_at=T0,
            due_at=T0 + LOOKS_MS[0],
            ended_at=T0,
        )
        draft.plan.new_outbox.append(row)

    await world.ledger.change(put)


def message(world: World, id_: str) -> MessageRecord:
    return next(row for row in world.messages() if row.whatsapp_id == id_)


async def due_at(world: World, id_: str) -> int:
    rows = await world.ledger.change(lambda draft: draft.tx.outbox([f"out-{id_}"]))
    return rows[f"out-{id_}"].due_at


@asynccontextmanager
async def asking(world: World, evolution: ListedEvolution) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        silent = SilentSends(evolution, world.reads, world.ledger, now=world.now, tick_s=0.005)
        await nursery.start(silent.run)
        yield
        nursery.cancel_scope.cancel()


async def becomes(world: World, id_: str, due: int) -> None:
    with trio.fail_after(30):
        while await due_at(world, id_) != due:
            await trio.sleep(0.002)


async def test_nobody_is_asked_before_its_time(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await sent(world, "B1")
        evolution = ListedEvolution()
        async with asking(world, evolution):
            await trio.sleep(0.05)
        assert evolution.asked == []


async def test_what_evolution_answers_is_told_like_any_status(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await sent(world, "B1")
        world.now.ms += MINUTE
        evolution = ListedEvolution()
        evolution.said = {"B1": ["sent", "read", "delivered"]}
        before = len(world.events("inbox:loja"))
        async with asking(world, evolution):
            await becomes(world, "B1", 0)
            await trio.sleep(0.03)
        assert message(world, "B1").status == "read"
        told = world.events("inbox:loja")[before:]
        assert [(event["type"], event["message"]["status"]) for event in told] == [
            ("message.updated", "read")
        ]
        assert evolution.asked == ["loja"]


async def test_a_failure_is_told_with_its_reason(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await sent(world, "B1")
        world.now.ms += MINUTE
        evolution = ListedEvolution()
        evolution.said = {"B1": ["failed"]}
        async with asking(world, evolution):
            await becomes(world, "B1", 0)
        found = message(world, "B1")
        assert found.status == "failed"
        assert found.error is not None


async def test_it_is_asked_again_ever_more_rarely_and_then_left(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await sent(world, "B1")
        evolution = ListedEvolution()
        evolution.said = {"B1": ["sent"]}
        async with asking(world, evolution):
            for number, expected in enumerate([*LOOKS_MS[1:], None], 1):
                world.now.ms = await due_at(world, "B1")
                await becomes(world, "B1", T0 + expected if expected else 0)
                assert len(evolution.asked) == number
        assert message(world, "B1").status == "sent"
        assert "unconfirmed" not in message(world, "B1").metadata


@pytest.mark.parametrize("word", ["delivered", "read", "played", "failed"])
async def test_who_is_not_silent_any_more_is_not_asked_about(tmp_path: Path, word: str) -> None:
    async with a_world(tmp_path) as world:
        await sent(world, "B1")
        await world.apply(status("B1", word), seq=90)
        world.now.ms += MINUTE
        evolution = ListedEvolution()
        async with asking(world, evolution):
            await becomes(world, "B1", 0)
        assert evolution.asked == []
        assert message(world, "B1").status == word


@pytest.mark.parametrize(
    ("kind", "due", "asked"),
    [
        (FaultKind.INSTANCE_DOWN, T0 + 6 * MINUTE, 1),
        (FaultKind.GATEWAY_DOWN, T0 + 6 * MINUTE, 1),
        (FaultKind.PERMANENT, T0 + LOOKS_MS[1], 2),
    ],
)
async def test_an_instance_that_cannot_be_asked_is_asked_later(
    tmp_path: Path, kind: FaultKind, due: int, asked: int
) -> None:
    """Once, not once for each of its sends, unless the fault is the send's own."""
    async with a_world(tmp_path) as world:
        await sent(world, "B1")
        await sent(world, "B2")
        world.now.ms += MINUTE
        evolution = ListedEvolution()
        evolution.faults = [GatewayFault(kind, "x", "no")] * 2
        async with asking(world, evolution):
            await becomes(world, "B1", due)
            await becomes(world, "B2", due)
            await trio.sleep(0.02)
        assert len(evolution.asked) == asked


async def test_an_instance_that_hangs_delays_no_other(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await sent(world, "B1", instance="lenta")
        await sent(world, "B2")
        world.now.ms += MINUTE
        evolution = ListedEvolution()
        evolution.hangs = {"lenta"}
        evolution.said = {"B2": ["delivered"]}
        async with asking(world, evolution):
            await becomes(world, "B2", 0)
        assert evolution.asked.count("lenta") == 1


async def test_what_is_settled_while_it_is_read_is_not_asked_again(tmp_path: Path) -> None:
    answer, reads = trio.Event(), 0

    class Waiting(ListedEvolution):
        async def statuses(self, instance: str, whatsapp_id: str) -> list[str]:
            await answer.wait()
            return await super().statuses(instance, whatsapp_id)

    async with a_world(tmp_path) as world:

        async def late(read: Any) -> Any:
            """The second answer is that of before the first question was settled."""
            nonlocal reads
            found = await world.reads(read)
            reads += 1
            if reads == 2:
                answer.set()
                await becomes(world, "B1", 0)
                await trio.testing.wait_all_tasks_blocked()
            return found

        await sent(world, "B1")
        world.now.ms += MINUTE
        evolution = Waiting()
        evolution.said = {"B1": ["delivered"]}
        async with trio.open_nursery() as nursery:
            silent = SilentSends(evolution, late, world.ledger, now=world.now, tick_s=0.005)  # type: ignore[arg-type]  # as called
            await nursery.start(silent.run)
            with trio.fail_after(30):
                while reads < 4:
                    await trio.sleep(0.002)
            nursery.cancel_scope.cancel()
        assert len(evolution.asked) == 1


async def test_many_have_their_turns(tmp_path: Path) -> None:
    count = PER_INSTANCE * 2 + 1
    async with a_world(tmp_path) as world:
        for number in range(count):
            await sent(world, f"B{number}")
        world.now.ms += MINUTE
        evolution = ListedEvolution()
        evolution.said = {f"B{number}": ["delivered"] for number in range(count)}
        async with asking(world, evolution):
            for number in range(count):
                await becomes(world, f"B{number}", 0)
        assert len(evolution.asked) == count
