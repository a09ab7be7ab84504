"""Evolution's list compared with ours: all that is missing, nothing twice, within bounds (P6)."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.errors import JournalUnavailable
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.answer import Answer
from evorelay.protocol.evolution.answers import TOO_LARGE, found_page
from evorelay.protocol.recovery import recovered_envelope
from evorelay.relay.comparison import Compared
from evorelay.relay.walk import Walk
from tests.engine.harness import HOUR, T0, World, open_blobs, stored, webhook
from tests.engine.listed import (
    UNREACHABLE,
    Counted,
    ListedEvolution,
    comparer,
    reaction,
    row,
)


@asynccontextmanager
async def a_world(path: Path) -> AsyncIterator[World]:
    with stored(path) as storage:
        world = World(storage, await open_blobs(path))
        async with trio.open_nursery() as nursery:
            await world.start(nursery)
            yield world
            nursery.cancel_scope.cancel()


async def compare(
    world: World, evolution: ListedEvolution, *, since: int = T0 - HOUR, **changed: Any
) -> tuple[Compared, list[str]]:
    found, metrics = Compared(), Counted()
    await comparer(world, evolution, metrics, **changed).compare(
        "loja", since=since, until=T0, found=found
    )
    await world.handled()
    return found, metrics.kinds


async def test_what_never_came_is_there_once_in_its_order_and_marked(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.journal.submit(webhook("A2", sent_at=T0 - 2000))
        evolution = ListedEvolution(
            loja=[row(f"A{n}", at=T0 - 4000 + 1000 * n) for n in range(1, 4)]
        )
        found, kinds = await compare(world, evolution)
        assert (found.looked_at, found.recovered, kinds) == (3, 2, ["text", "text"])
        assert world.ids() == ["A1", "A2", "A3"]
        marks = [message.metadata.get("recovered") for message in world.messages()]
        assert marks == [True, None, True]
        (ticket,) = world.tickets()
        assert ticket.unread == 3
        told = [event["type"] for event in world.events("inbox:loja")]
        assert told.count("message.created") == 3
        again, kinds = await compare(world, evolution)
        assert (again.recovered, again.changes, kinds) == (0, 0, [])


async def test_statuses_reactions_and_deletions_that_never_came_are_changes(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        ours = row("B1", from_me=True, at=T0 - 9000)
        await world.journal.submit(recovered_envelope("loja", ours, received_at=T0))
        await world.journal.submit(webhook("A1", sent_at=T0 - 8000))
        revoke = {"protocolMessage": {"key": {"id": "A1"}, "type": "REVOKE"}}
        evolution = ListedEvolution(
            loja=[
                row("B1", from_me=True, at=T0 - 9000, statuses=["DELIVERY_ACK", "READ"]),
                row("A1", at=T0 - 8000, statuses=["READ"]),  # on our own phone: says nothing here
                reaction("A2", "B1", at=T0 - 7000),
                row("A3", at=T0 - 6000, message=revoke, messageType="protocolMessage"),
                reaction("A4", "OF-NO-MESSAGE-HERE", at=T0 - 5000),
            ]
        )
        found, kinds = await compare(world, evolution)
        assert (found.recovered, sorted(kinds)) == (0, ["reaction", "reaction", "revoke", "status"])
        by_id = {message.whatsapp_id: message for message in world.messages()}
        assert by_id["B1"].status == "read"
        assert len(by_id["B1"].reactions) == 1
        assert by_id["A1"].deleted_at is not None
        assert (await compare(world, evolution))[0].changes == 0


async def test_a_status_never_moves_back(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        ours = row("B1", from_me=True, statuses=["READ"])
        await world.journal.submit(recovered_envelope("loja", ours, received_at=T0))
        evolution = ListedEvolution(loja=[row("B1", from_me=True, statuses=["SERVER_ACK"])])
        found, _ = await compare(world, evolution)
        assert (found.changes, world.messages()[0].status) == (0, "read")


async def test_what_is_on_its_way_is_not_called_dropped(tmp_path: Path) -> None:
    """Its webhook comes while we look; and what waits in the journal is waited for."""
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[row("A1", at=T0)])

        async def late() -> None:
            await trio.sleep(0.05)
            await world.journal.submit(webhook("A1", sent_at=T0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(late)
            found, _ = await compare(world, evolution, settle_s=2.0)
        assert (found.looked_at, found.recovered) == (1, 0)
        assert "recovered" not in world.messages()[0].metadata


async def test_a_late_webhook_of_a_recovered_message_changes_nothing(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await compare(world, ListedEvolution(loja=[row("A1", "oi", at=T0 - 5000)]))
        before = [event["type"] for event in world.events("inbox:loja")]
        for _ in range(3):
            await world.journal.submit(webhook("A1", "oi", sent_at=T0 - 5000))
        await world.handled()
        assert world.ids() == ["A1"]
        assert [event["type"] for event in world.events("inbox:loja")] == before


async def test_rows_nobody_can_read_are_counted_and_left(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        rows = [row("A1"), row("A2", message="no object"), row("A3") | {"key": {"id": "A3"}}]
        found, _ = await compare(world, ListedEvolution(loja=rows))
        assert (found.looked_at, found.recovered, found.not_understood) == (3, 1, 2)
        assert world.storage.readers[0].quarantine(before=None, limit=9) == []


async def test_ten_thousand_rows_are_walked_in_pieces_and_in_order(tmp_path: Path) -> None:
    """Memory holds some hundred of them, whatever is missing."""
    async with a_world(tmp_path) as world:
        size, span = 10_000, 20 * HOUR
        evolution = ListedEvolution(
            loja=[row(f"A{n:05d}", "x" * 500, at=T0 - span + n * span // size) for n in range(size)]
        )
        tracemalloc.start()
        found, _ = await compare(world, evolution, since=T0 - span)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (found.looked_at, found.recovered, found.is_cut) == (size, size, False)
        assert world.ids() == [f"A{n:05d}" for n in range(size)]
        assert evolution.most == 100
        assert evolution.answered < 1.5 * size
        assert peak < 60 * 1024 * 1024


async def test_beyond_its_bound_the_newest_are_looked_at_and_it_says_so(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        rows = [row(f"A{n:04d}", at=T0 - HOUR + n * 1000) for n in range(1000)]
        evolution = ListedEvolution(loja=rows)
        found, _ = await compare(world, evolution, rows_max=200)
        assert found.is_cut
        assert world.ids() == [f"A{n:04d}" for n in range(800, 1000)]


async def test_a_fault_that_may_pass_is_tried_again_and_others_are_not(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[row("A1")])
        evolution.faults = [UNREACHABLE, UNREACHABLE]
        assert (await compare(world, evolution))[0].recovered == 1
        for kind in (FaultKind.INSTANCE_DOWN, FaultKind.PERMANENT, FaultKind.LICENCE):
            evolution.faults, evolution.asked = [GatewayFault(kind, "x", "no")], []
            with pytest.raises(GatewayFault):
                await compare(world, evolution)
            assert len(evolution.asked) == 1
        evolution.faults = [UNREACHABLE] * 3
        with pytest.raises(GatewayFault):
            await compare(world, evolution)


async def test_rows_that_carry_their_files_are_asked_for_in_smaller_pages(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        evolution = ListedEvolution(loja=[row(f"A{n}", at=T0 - 9000 + n) for n in range(30)])
        evolution.faults = [GatewayFault(FaultKind.PERMANENT, TOO_LARGE, "too large")]
        found, _ = await compare(world, evolution)
        assert (found.recovered, evolution.most) == (30, 10)


async def test_a_full_disk_ends_it_and_what_it_did_stays_done(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.free_bytes = 0
        world.journal.check_disk()
        evolution = ListedEvolution(loja=[row("A1")])
        with pytest.raises(JournalUnavailable):
            await compare(world, evolution)
        world.free_bytes = 1 << 40
        world.journal.check_disk()
        assert (await compare(world, evolution))[0].recovered == 1


@pytest.mark.parametrize("size", [3, 100, 101, 450])
async def test_evolution_1_is_asked_for_its_newest_until_they_reach_back(
    tmp_path: Path, size: int
) -> None:
    """It knows no windows and no pages (research/evolution.md §4.2)."""
    async with a_world(tmp_path) as world:
        inside = [row(f"A{n:04d}", at=T0 - HOUR + n * 1000) for n in range(size)]
        older = [row(f"Z{n:04d}", at=T0 - 9 * HOUR + n * 1000) for n in range(1500)]
        evolution = ListedEvolution(loja=[*older, *inside])
        evolution.generation = 1
        found, _ = await compare(world, evolution)
        assert (found.is_cut, world.ids()) == (False, [f"A{n:04d}" for n in range(size)])


async def test_evolution_1_with_more_than_it_may_answer_at_once_is_cut(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        rows = [row(f"A{n:04d}", at=T0 - HOUR + n * 500) for n in range(3000)]
        evolution = ListedEvolution(loja=rows)
        evolution.generation = 1
        found, _ = await compare(world, evolution)
        assert found.is_cut
        assert world.ids() == [f"A{n:04d}" for n in range(2000, 3000)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=900), st.sampled_from([1, 2]))
def test_every_row_of_a_window_is_handed_out_once_and_in_order(
    seconds: list[int], generation: int
) -> None:
    """However the rows lie in time, all of one second included."""
    rows = [row(f"A{n}", at=T0 + second * 1000) for n, second in enumerate(seconds)]
    evolution = ListedEvolution(loja=rows)
    evolution.generation = generation

    async def walk() -> list[Any]:
        walk = Walk(
            lambda window, page, size: evolution.find_messages(
                "loja", window, page=page, page_size=size
            ),
            since=T0 // 1000,
            until=T0 // 1000 + 3000,
            rows_max=10_000,
        )
        found: list[Any] = []
        while (stretch := await walk.stretch()) is not None:
            found += stretch
        assert (walk.looked_at, walk.is_cut) == (len(rows), False)
        return found

    found = trio.run(walk)
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in rows)
    moments = [row["messageTimestamp"] for row in found]
    assert moments == sorted(moments)


def test_an_answer_that_was_cut_says_that_fewer_rows_have_to_be_asked_for() -> None:
    cut = Answer(status=200, body=b'{"messages": {"records": [', is_cut=True)
    with pytest.raises(GatewayFault) as fault:
        found_page(cut, lambda: UNREACHABLE)
    assert (fault.value.kind, fault.value.code) == (FaultKind.PERMANENT, TOO_LARGE)
