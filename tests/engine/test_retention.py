"""Housekeeping: the disk watermark, and what is old enough to go."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from evorelay.model.change import Change, Status
from evorelay.model.errors import StoreUnavailable
from evorelay.model.records import UploadRecord
from evorelay.relay import retention as housekeeping
from evorelay.relay.draft import Draft
from evorelay.relay.retention import Retention
from evorelay.relay.uploads import KEPT_MS
from evorelay.storage.ports import Maintenance
from tests.engine.harness import HOUR, World, envelope, open_blobs, status, stored, webhook


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


def make(world: World, maintenance: Maintenance | None = None) -> Retention:
    return Retention(
        world.journal,
        world.pipeline,
        world.ledger,
        maintenance or world.storage.maintenance,
        world.cache,
        journal_ms=HOUR,
        events_ms=HOUR,
        now=world.now,
    )


async def filled(world: World) -> None:
    """Three commits of one message each, handled; the journal stamps them with the real clock."""
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        for number in range(3):
            await world.journal.submit(webhook(f"W{number}"))
            await world.handled()
        nursery.cancel_scope.cancel()


LONG_AFTER = 1 << 45


async def test_what_is_young_stays(world: World) -> None:
    await filled(world)
    world.now.ms = 0
    assert await make(world).sweep() == (0, 0)


async def test_what_is_old_and_handled_goes_and_messages_stay(world: World) -> None:
    """P3: channels keep their heads, so nobody mistakes the hole for the beginning."""
    await filled(world)
    world.now.ms = LONG_AFTER
    assert await make(world).sweep() == (2, 4)  # the newest commit stays
    page = world.storage.readers[0].events_after("inbox:loja", 0, 9)
    assert (page.head, page.floor, page.events) == (4, 5, [])
    assert world.ids() == ["W0", "W1", "W2"]


async def test_a_status_whose_message_never_comes_goes_in_the_end(world: World) -> None:
    await world.apply(status("NEVER", "read"))
    key = ("loja", "NEVER")

    def kept() -> dict[tuple[str, str], list[Change]]:
        return world.storage.writer.transact(lambda tx: tx.early_changes([key]))

    assert kept() == {key: [Status("read")]}
    world.now.ms = LONG_AFTER
    await make(world).sweep()
    assert kept() == {}


async def test_what_is_not_handled_stays_however_old(world: World) -> None:
    """P1: the pipeline may be behind for as long as the database is away."""
    world.storage.journal.append([envelope()])
    world.storage.journal.append([envelope()])
    world.now.ms = LONG_AFTER
    assert await make(world).sweep() == (0, 0)


async def test_a_store_that_is_away_is_swept_another_time(world: World) -> None:
    class Away:
        def trim_events(self, older_than_ms: int, limit: int) -> int:
            raise StoreUnavailable("the database is away")

        def trim_early_changes(self, older_than_ms: int) -> int:
            raise StoreUnavailable("the database is away")

        def trim_outbox(self, older_than_ms: int, limit: int) -> int:
            raise StoreUnavailable("the database is away")

        def trim_uploads(self, older_than_ms: int) -> int:
            raise StoreUnavailable("the database is away")

        def trim_sockets(self, older_than_ms: int, per_agent: int) -> int:
            raise StoreUnavailable("the database is away")

    await filled(world)
    world.now.ms = LONG_AFTER
    assert await make(world, Away()).sweep() == (2, 0)
    assert await make(world).sweep() == (0, 4)


async def test_large_amounts_go_in_small_steps(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: live batches go in between."""
    steps: list[int] = []

    class Watched:
        def trim_events(self, older_than_ms: int, limit: int) -> int:
            steps.append(limit)
            return world.storage.maintenance.trim_events(older_than_ms, limit)

        def trim_early_changes(self, older_than_ms: int) -> int:
            return world.storage.maintenance.trim_early_changes(older_than_ms)

        def trim_outbox(self, older_than_ms: int, limit: int) -> int:
            return world.storage.maintenance.trim_outbox(older_than_ms, limit)

        def trim_uploads(self, older_than_ms: int) -> int:
            return world.storage.maintenance.trim_uploads(older_than_ms)

        def trim_sockets(self, older_than_ms: int, per_agent: int) -> int:
            return world.storage.maintenance.trim_sockets(older_than_ms, per_agent)

    monkeypatch.setattr(housekeeping, "EVENTS_PER_STEP", 1)
    await filled(world)
    world.now.ms = LONG_AFTER
    assert await make(world, Watched()).sweep() == (2, 4)
    assert steps == [1] * 5


async def test_a_file_nobody_sent_is_forgotten_after_a_day(world: World) -> None:
    def hand_in(draft: Draft) -> None:
        draft.plan.uploads.append(UploadRecord(id="U", agent="ana", at=draft.now, media={}))

    async def is_known() -> bool:
        return await world.reads(lambda reader: reader.upload("U")) is not None

    await world.ledger.change(hand_in)
    world.now.ms += KEPT_MS - 1
    await make(world).sweep()
    assert await is_known()
    world.now.ms += 2
    await make(world).sweep()
    assert not await is_known()


async def test_a_disk_that_fills_up_or_empties_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5, P8: webhooks are shed before anything breaks, and taken again by themselves."""
    monkeypatch.setattr(housekeeping, "DISK_CHECK_S", 0.002)

    async def until(refused: bool) -> None:
        with trio.fail_after(5):
            while (world.journal.refusal is not None) is not refused:
                await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        await nursery.start(make(world).run)
        world.free_bytes = 0
        await until(refused=True)
        world.free_bytes = 1 << 40
        await until(refused=False)
        nursery.cancel_scope.cancel()


async def test_it_sweeps_by_itself_and_the_cache_forgets(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "DISK_CHECK_S", 0.002)
    monkeypatch.setattr(housekeeping, "SWEEP_EVERY_S", 0.004)
    await filled(world)
    assert len(world.cache) == 4
    world.now.ms = LONG_AFTER
    async with trio.open_nursery() as nursery:
        await nursery.start(make(world).run)
        with trio.fail_after(5):
            while world.storage.readers[0].events_after("inbox:loja", 0, 1).floor != 5:
                await trio.sleep(0.002)
        assert len(world.cache) == 0
        nursery.cancel_scope.cancel()
