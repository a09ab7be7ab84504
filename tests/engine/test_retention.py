"""Housekeeping: the disk watermark, and what is old enough to go."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from evorelay.model.change import Change, Status
from evorelay.model.envelope import Entry
from evorelay.model.errors import StoreUnavailable
from evorelay.model.fact import MediaFact
from evorelay.model.records import UploadRecord
from evorelay.model.rendering import message_view
from evorelay.relay import retention as housekeeping
from evorelay.relay.apply import Understood, apply_batch
from evorelay.relay.bygone import SLACK_MS, Bygone
from evorelay.relay.collecting import Collector
from evorelay.relay.draft import Draft
from evorelay.relay.erased import Erased
from evorelay.relay.retention import Limits, Retention
from evorelay.relay.uploads import KEPT_MS
from evorelay.storage.ports import Maintenance, TicketQuery
from tests.engine.harness import (
    HOUR,
    T0,
    World,
    envelope,
    has_lived,
    message,
    open_blobs,
    reply,
    status,
    stored,
    webhook,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        has_lived(storage.directory)
        yield World(storage, await open_blobs(tmp_path))


def make(
    world: World, maintenance: Maintenance | None = None, *, messages_ms: int = 0, **limits: int
) -> Retention:
    maintenance = maintenance or world.storage.maintenance
    collector = Collector(
        world.blobs,
        world.journal,
        world.ledger,
        maintenance,
        world.reads,
        pipeline_age_s=world.pipeline.age_s,
        now=world.now,
    )
    return Retention(
        world.journal,
        world.pipeline,
        world.ledger,
        maintenance,
        world.cache,
        world.reads,
        collector,
        bygone(world, messages_ms),
        Limits(journal=HOUR, events=HOUR, **limits),
        now=world.now,
    )


def bygone(world: World, messages_ms: int) -> Bygone:
    erased = Erased.load(world.storage.directory)
    return Bygone(erased, messages_ms=messages_ms, now=world.now)


class Shadow:
    """The store's housekeeping, but for what a test does otherwise."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world.storage.maintenance, name)

    @property
    def port(self) -> Maintenance:
        return cast(Maintenance, self)


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
    assert await make(world).sweep() == {}


async def test_what_is_old_and_handled_goes_and_messages_stay(world: World) -> None:
    """P3: channels keep their heads, so nobody mistakes the hole for the beginning."""
    await filled(world)
    world.now.ms = LONG_AFTER
    assert await make(world).sweep() == {
        "journal_entries": 2,
        "events": 4,
    }  # the newest commit stays
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
    assert await make(world).sweep() == {}


async def test_a_store_that_is_away_is_swept_another_time(world: World) -> None:
    class Away(Shadow):
        def trim_events(self, older_than_ms: int, limit: int) -> int:
            raise StoreUnavailable("the database is away")

    await filled(world)
    world.now.ms = LONG_AFTER
    assert await make(world, Away(world).port).sweep() == {"journal_entries": 2}
    assert await make(world).sweep() == {"events": 4}


async def test_large_amounts_go_in_small_steps(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: live batches go in between."""
    steps: list[int] = []

    class Watched(Shadow):
        def trim_events(self, older_than_ms: int, limit: int) -> int:
            steps.append(limit)
            return self.world.storage.maintenance.trim_events(older_than_ms, limit)

    monkeypatch.setattr(housekeeping, "EVENTS_PER_STEP", 1)
    await filled(world)
    world.now.ms = LONG_AFTER
    assert await make(world, Watched(world).port).sweep() == {"journal_entries": 2, "events": 4}
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
        with trio.fail_after(30):
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
        with trio.fail_after(30):
            while world.storage.readers[0].events_after("inbox:loja", 0, 1).floor != 5:
                await trio.sleep(0.002)
        assert len(world.cache) == 0
        nursery.cancel_scope.cancel()


async def test_a_file_goes_by_age_and_the_message_says_so(world: World) -> None:
    """The row remembers which file it was: the same webhook, come again, changes nothing."""
    blob = await world.blobs.put(b"a photo")
    photo = MediaFact(mimetype="image/png", blob=blob)
    await world.apply(message("OLD", type="image", media=photo))
    world.now.ms += HOUR
    assert await make(world, media=HOUR).sweep() == {}
    world.now.ms += 1
    assert (await make(world, media=HOUR).sweep())["media"] == 1
    await world.apply(message("OLD", type="image", media=photo))
    media = message_view(world.messages()[0]).media
    assert media is not None
    assert (media.id, media.url, media.state) == (None, None, "removed")
    assert media.mimetype == "image/png"
    assert await make(world, media=0).sweep() == {}


async def test_messages_go_by_age_and_do_not_come_back(world: World) -> None:
    """P2: a webhook posted again after its message is gone makes no new one."""

    async def post(whatsapp_id: str, sent_at: int) -> None:
        piece = Understood(
            Entry(world.ledger_seq + 1, envelope(at=world.now())),
            [message(whatsapp_id, sent_at=sent_at)],
        )
        world.ledger_seq += 1
        await world.ledger.change(
            lambda draft: apply_batch(
                draft,
                batch=[piece],
                journal="test",
                reopen_within_ms=24 * HOUR,
                bygone=bygone(world, 48 * HOUR),
            )
        )

    await post("OLD", T0)
    await post("NEW", T0 + 48 * HOUR)
    world.now.ms = T0 + 48 * HOUR + SLACK_MS
    assert "messages" not in await make(world, messages_ms=48 * HOUR).sweep()
    world.now.ms += 1
    assert (await make(world, messages_ms=48 * HOUR).sweep())["messages"] == 1
    assert world.ids() == ["NEW"]
    await post("OLD", T0)
    assert world.ids() == ["NEW"]
    [ticket] = world.tickets()
    assert (ticket.inbound, ticket.last_message) == (2, "NEW")
    assert not world.storage.readers[0].tickets(TicketQuery(q="OLD"))


async def test_the_last_message_of_a_ticket_may_go_too(world: World) -> None:
    """The ticket stays, in the place of its beginning, and counts on."""
    await world.apply(message("A"), reply("B"))
    world.now.ms = LONG_AFTER
    await make(world, messages_ms=HOUR).sweep()
    [ticket] = world.tickets()
    assert (ticket.last_message, ticket.last_message_at, ticket.inbound) == (None, None, 1)
    assert ticket.waiting_since is None
    await world.apply(message("C", sent_at=LONG_AFTER))
    [ticket] = world.tickets()
    assert (ticket.last_message, ticket.inbound) == ("C", 2)


async def test_quarantine_goes_by_age(world: World) -> None:
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        await world.journal.submit(envelope(b'{"data":7}'))
        await world.handled()
        nursery.cancel_scope.cancel()

    def kept() -> int:
        return len(world.storage.readers[0].quarantine(before=None, limit=9))

    assert kept() == 1
    world.now.ms = LONG_AFTER
    await make(world).sweep()
    assert kept() == 1
    assert (await make(world, quarantine=HOUR).sweep())["quarantined"] == 1
    assert kept() == 0
