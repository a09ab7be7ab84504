"""The pipeline: every journal entry takes effect once, in order, whatever happens around it."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import apsw
import msgspec
import pytest
import trio
import trio.testing

from evorelay.model.envelope import Envelope
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.relay import pipeline
from evorelay.relay.blobs import BlobStore
from evorelay.relay.reading import HELD_BYTES_MAX
from evorelay.storage.open import Storage
from evorelay.storage.ports import Plan, StoreWriter, Transaction
from tests.engine.harness import (
    T0,
    World,
    envelope,
    open_blobs,
    quarantined_body,
    stored,
    webhook,
)

T = TypeVar("T")
FUTURE = 1 << 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waits, in no time."""
    monkeypatch.setattr(pipeline, "STORE_RETRY_S", (0.001, 0.002))


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with stored(tmp_path) as storage:
        yield storage


@asynccontextmanager
async def running(storage: Storage, tmp_path: Path, **options: Any) -> AsyncIterator[World]:
    blobs = options.pop("blobs", None) or await open_blobs(tmp_path)
    world = World(storage, blobs, **options)
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        yield world
        nursery.cancel_scope.cancel()


async def submit(world: World, envelopes: list[Envelope], *, at_once: int = 20) -> None:
    """Post webhooks as Evolution does: some at the same time; their order is kept."""
    for start in range(0, len(envelopes), at_once):
        async with trio.open_nursery() as nursery:
            for one in envelopes[start : start + at_once]:
                nursery.start_soon(world.journal.submit, one)
                await trio.lowlevel.checkpoint()


def numbered(count: int, first: int = 0) -> list[Envelope]:
    return [
        webhook(f"W{n:05d}", phone=f"55319888877{n % 7:02d}", sent_at=T0 + n * 1000)
        for n in range(first, first + count)
    ]


def ids(count: int) -> list[str]:
    return [f"W{n:05d}" for n in range(count)]


def whatsapp_ids(world: World) -> list[str]:
    """Of all messages, and that each ticket's are in order and its events without a gap."""
    for ticket in world.tickets():
        world.events(f"ticket:{ticket.id}")
    created = [e for e in world.events("inbox:loja") if e["type"] == "message.created"]
    told = [event["message"]["whatsapp_id"] for event in created]
    assert sorted(told) == sorted(id_ for id_ in world.ids() if id_)
    return told


async def test_webhooks_become_messages_and_events(storage: Storage, tmp_path: Path) -> None:
    async with running(storage, tmp_path) as world:
        await submit(world, numbered(500))
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(500)
        assert len(world.tickets()) == 7
        assert world.pipeline.cursor == world.journal.head == 500
        assert world.pipeline.oldest_unhandled_at is None


async def test_a_person_reads_in_the_order_of_arrival(storage: Storage, tmp_path: Path) -> None:
    """P2: also within one second, which is as fine as WhatsApp's clock is."""
    async with running(storage, tmp_path) as world:
        for number in range(60):
            await world.journal.submit(webhook(f"W{number:05d}"))
        await world.handled()
        assert world.ids() == whatsapp_ids(world) == ids(60)


@pytest.mark.parametrize("seed", range(6))
async def test_cut_at_any_moment_it_goes_on_where_it_was(
    storage: Storage, tmp_path: Path, seed: int
) -> None:
    """P1, P2: cancelled between any two instructions, nothing is lost and nothing is twice."""
    random = Random(seed)
    done = 0
    while done < 400:
        count = random.randrange(1, 120)
        world = World(storage, await open_blobs(tmp_path), tail_bytes=random.choice([0, 1 << 20]))
        async with trio.open_nursery() as nursery:
            await world.start(nursery)
            await submit(world, numbered(count, done))
            done += count
            for _ in range(random.randrange(30)):
                await trio.sleep(random.choice([0, 0, 0.001]))
            nursery.cancel_scope.cancel()
    async with running(storage, tmp_path) as world:
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(done)


async def test_a_backlog_on_disk_is_worked_off_after_a_restart(
    storage: Storage, tmp_path: Path
) -> None:
    """P1."""
    for start in range(0, 2000, 50):
        storage.journal.append(numbered(50, start))
    async with running(storage, tmp_path) as world:
        await submit(world, numbered(10, 2000))
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(2010)


@pytest.mark.parametrize("tail_bytes", [0, 300, 3000])
async def test_when_memory_is_full_the_rest_comes_from_disk(
    storage: Storage, tmp_path: Path, tail_bytes: int
) -> None:
    """P5: the tail is bounded and its overflow loses nothing."""
    async with running(storage, tmp_path, tail_bytes=tail_bytes) as world:
        await submit(world, numbered(300), at_once=7)
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(300)


class Moody:
    """The real writer, with faults of a test's choosing: ``fault`` raises what it wants to."""

    def __init__(self, writer: StoreWriter, fault: Callable[[Plan], None]) -> None:
        self._writer = writer
        self._fault = fault

    def transact(self, work: Callable[[Transaction], T]) -> T:
        return self._writer.transact(lambda tx: work(_Watched(tx, self._fault)))

    def transact_each(self, works: Sequence[Callable[[Transaction], T]]) -> list[T | Exception]:
        def watched(work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
            return lambda tx: work(_Watched(tx, self._fault))

        return self._writer.transact_each([watched(work) for work in works])


class _Watched:
    def __init__(self, tx: Transaction, fault: Callable[[Plan], None]) -> None:
        self._tx = tx
        self._fault = fault

    def write(self, plan: Plan) -> None:
        self._tx.write(plan)
        self._fault(plan)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


async def test_a_store_that_is_away_is_waited_for(storage: Storage, tmp_path: Path) -> None:
    """P1, P5: webhooks are accepted all the while, and nothing is lost or done twice."""
    failures = 5

    def fault(plan: Plan) -> None:
        nonlocal failures
        if plan.new_messages and failures:
            failures -= 1
            raise StoreUnavailable("database is away")

    async with running(storage, tmp_path, writer=Moody(storage.writer, fault)) as world:
        await submit(world, numbered(100))
        await world.handled()
        assert failures == 0
        assert sorted(whatsapp_ids(world)) == ids(100)


@pytest.mark.parametrize("poisoned", [[0], [63], [10, 11, 12], [0, 99], list(range(0, 100, 9))])
async def test_an_entry_that_cannot_be_stored_is_set_aside_alone(
    storage: Storage, tmp_path: Path, poisoned: list[int]
) -> None:
    """P5: a bug in one message delays nobody else, and its bytes are kept."""
    bad = {f"W{n:05d}" for n in poisoned}

    def fault(plan: Plan) -> None:
        if any(row.whatsapp_id in bad for row in plan.new_messages):
            raise ZeroDivisionError("a bug")

    storage.journal.append(numbered(100))
    async with running(storage, tmp_path, writer=Moody(storage.writer, fault)) as world:
        await world.handled()
        assert sorted(whatsapp_ids(world)) == sorted(set(ids(100)) - bad)
        rows = storage.readers[0].quarantine(before=None, limit=200)
        assert {row.journal_seq for row in rows} == {n + 1 for n in poisoned}
        assert {row.reason for row in rows} == {pipeline.POISONED}
        assert json.loads(quarantined_body(storage, rows[0].id))["data"]["key"]["id"] in bad


async def test_a_fault_that_hits_everything_is_no_poison(storage: Storage, tmp_path: Path) -> None:
    """P1: when not even setting aside works, it stops for its supervisor instead of skipping."""

    def fault(plan: Plan) -> None:
        if plan.cursor is not None:
            raise ZeroDivisionError("everything is broken")

    storage.journal.append(numbered(10))
    with pytest.raises(ExceptionGroup):
        async with running(storage, tmp_path, writer=Moody(storage.writer, fault)):
            await trio.sleep(10)
    async with running(storage, tmp_path) as world:
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(10)


class FailingBlobs(BlobStore):
    """A blob store whose first writes fail."""

    errors: list[Exception]

    async def put(self, data: bytes) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return await super().put(data)


def picture(whatsapp_id: str) -> Envelope:
    body = json.loads(webhook(whatsapp_id).body)
    body["data"]["message"] = {
        "imageMessage": {"mimetype": "image/png"},
        "base64": base64.b64encode(b"pixels").decode(),
    }
    return envelope(json.dumps(body).encode())


async def test_a_full_disk_under_the_media_is_waited_for(storage: Storage, tmp_path: Path) -> None:
    """P1, P5: it neither stops the pipeline's service nor costs the picture."""
    blobs = await FailingBlobs.open(tmp_path / "blobs")
    blobs.errors = [JournalUnavailable("disk full"), StoreUnavailable("disk full")]
    async with running(storage, tmp_path, blobs=blobs) as world:
        await submit(world, [picture("W00000"), *numbered(3, 1)])
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(4)
        (row,) = [row for row in world.messages() if row.type == "image"]
        assert row.media is not None
        assert blobs.path(row.media["id"]).read_bytes() == b"pixels"


async def test_a_bug_while_reading_an_entry_sets_it_aside_alone(
    storage: Storage, tmp_path: Path
) -> None:
    blobs = await FailingBlobs.open(tmp_path / "blobs")
    blobs.errors = [ZeroDivisionError("a bug")]
    async with running(storage, tmp_path, blobs=blobs) as world:
        await submit(world, [picture("W99999"), *numbered(3)])
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(3)
        (row,) = storage.readers[0].quarantine(before=None, limit=9)
        assert (row.journal_seq, row.reason) == (1, pipeline.POISONED)
        assert row.detail == "ZeroDivisionError while reading it"


async def test_a_spilled_body_is_read_back_and_one_that_is_gone_is_quarantined(
    storage: Storage, tmp_path: Path
) -> None:
    blobs = await open_blobs(tmp_path)
    there = await blobs.put(webhook("W00000").body)
    storage.journal.append(
        [
            Envelope(
                received_at=T0, event="messages.upsert", instance="loja", body=b"", body_blob=blob
            )
            for blob in (there, "0" * 64)
        ]
    )
    async with running(storage, tmp_path) as world:
        await world.handled()
        assert whatsapp_ids(world) == ids(1)
        (row,) = storage.readers[0].quarantine(before=None, limit=9)
        assert json.loads(quarantined_body(storage, row.id)) == {"blob": "0" * 64}


async def test_a_spilled_body_too_large_for_memory_is_quarantined_unread(
    storage: Storage, tmp_path: Path
) -> None:
    """P5: 100 MB of messages had held up everybody for seconds and taken a GB."""
    blobs = await open_blobs(tmp_path)
    large = await blobs.put(b"[" + b" " * HELD_BYTES_MAX)
    spilled = envelope(b"")
    storage.journal.append([msgspec.structs.replace(spilled, body_blob=large), *numbered(2)])
    async with running(storage, tmp_path) as world:
        await world.handled()
        assert sorted(whatsapp_ids(world)) == ids(2)
        (row,) = storage.readers[0].quarantine(before=None, limit=9)
        assert row.reason == "too_large"
        assert json.loads(quarantined_body(storage, row.id)) == {"blob": large}


async def test_odd_bodies_end_in_quarantine_and_stop_nobody(
    storage: Storage, tmp_path: Path
) -> None:
    """P5: NUL, half emojis, deep nesting, bad UTF-8: whatever the journal holds."""
    odd = [
        b"",
        b"\xff\x00",
        b"[" * 100_000,
        b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"data":{"key":{"remoteJid":"1@s.whatsapp.net","id":"\\ud83d"},"message":{"conversation":'
        b'"\\ud83d \\u0000 \xff"},"messageTimestamp":9223372036854775808}}',
        b"{}",
    ]
    storage.journal.append([*(envelope(body) for body in odd), *numbered(2)])
    async with running(storage, tmp_path) as world:
        await world.handled()
        assert set(ids(2)) <= set(whatsapp_ids(world))
        rows = storage.readers[0].quarantine(before=None, limit=99)
        assert len(rows) + len(world.messages()) == len(odd) + 2


async def test_a_cursor_behind_a_trimmed_journal_reaches_the_head(
    storage: Storage, tmp_path: Path
) -> None:
    """P9: a store restored from an old backup goes on with what the journal still has."""
    for start in range(0, 30, 10):
        storage.journal.append(numbered(10, start))
    while storage.journal.trim(30, FUTURE):
        pass
    async with running(storage, tmp_path) as world:
        await world.handled()
        await submit(world, numbered(1, 30))
        await world.handled()
        assert whatsapp_ids(world)[-1] == "W00030"


async def test_a_journal_put_back_from_an_older_copy_loses_nothing_new(
    storage: Storage, tmp_path: Path
) -> None:
    """P1: numbers the store takes for handled are not given out again."""
    storage.writer.transact(lambda tx: tx.write(Plan(cursor=(storage.journal.identity, 500))))
    storage.journal.append(numbered(3))
    async with running(storage, tmp_path) as world:
        await submit(world, numbered(2, 10))
        await world.handled()
        assert whatsapp_ids(world) == ["W00010", "W00011"]
        assert world.pipeline.cursor == 502


async def test_draining_finishes_what_the_journal_holds(storage: Storage, tmp_path: Path) -> None:
    storage.journal.append(numbered(600))
    world = World(storage, await open_blobs(tmp_path))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(world.pipeline.run)
            world.pipeline.close_asap()
    assert world.pipeline.lag == 0
    assert sorted(whatsapp_ids(world)) == ids(600)


@pytest.mark.parametrize("asked", ["before it runs", "while it idles"])
async def test_with_nothing_to_do_draining_is_done_at_once(
    storage: Storage, tmp_path: Path, asked: str
) -> None:
    """Before it runs: its supervisor started it anew in the middle of a drain."""
    world = World(storage, await open_blobs(tmp_path))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            if asked == "before it runs":
                world.pipeline.close_asap()
            await nursery.start(world.pipeline.run)
            await trio.testing.wait_all_tasks_blocked()
            world.pipeline.close_asap()


async def test_it_says_how_far_behind_it_is(storage: Storage, tmp_path: Path) -> None:
    """P8: health is computed from this."""
    storage.journal.append(numbered(5))
    world = World(storage, await open_blobs(tmp_path))
    assert (world.pipeline.lag, world.pipeline.age_s()) == (5, 0.0)
    async with trio.open_nursery() as nursery:
        before = trio.current_time()
        await nursery.start(world.pipeline.run)
        await world.handled()
        assert world.pipeline.last_progress_at >= before
        nursery.cancel_scope.cancel()


def spilled_history(blob: str) -> Envelope:
    return Envelope(received_at=T0, event="messages.set", instance="loja", body=b"", body_blob=blob)


def history(count: int) -> bytes:
    """An import of so many messages; about 1,000 of them make a part."""
    rows = [json.loads(one.body)["data"] for one in numbered(count)]
    return json.dumps({"data": rows}).encode()


def imported(storage: Storage) -> list[str]:
    """WhatsApp ids of imported messages; nobody who has no ticket reads them, so no reader does."""
    with closing(apsw.Connection(str(storage.directory / "store.db"))) as db:
        return [id_ for (id_,) in db.execute("SELECT whatsapp_id FROM messages ORDER BY 1")]


async def test_a_huge_import_is_stored_in_parts(storage: Storage, tmp_path: Path) -> None:
    """P5: and the cursor passes it with its last part."""
    blobs = await open_blobs(tmp_path)
    seen: list[int] = []

    def fault(plan: Plan) -> None:
        seen.append(len(plan.new_messages))
        assert (plan.cursor is None) == (len(seen) < 3)

    huge = spilled_history(await blobs.put(history(3000)))
    storage.journal.append([huge])
    async with running(storage, tmp_path, writer=Moody(storage.writer, fault)) as world:
        seen.clear()  # the one at which the pipeline asked where it was
        await world.handled()
    assert sum(seen) == 3000
    assert max(seen) < 1500
    assert imported(storage) == ids(3000)


@pytest.mark.parametrize("seed", range(4))
async def test_a_huge_import_cut_anywhere_is_repeated_and_stored_once(
    storage: Storage, tmp_path: Path, seed: int
) -> None:
    """P1, P2."""
    blobs = await open_blobs(tmp_path)
    storage.journal.append([spilled_history(await blobs.put(history(4000))), *numbered(3, 9000)])
    random = Random(seed)
    for _ in range(3):
        async with running(storage, tmp_path):
            await trio.sleep(random.random() * 0.15)
    async with running(storage, tmp_path) as world:
        await world.handled()
    assert imported(storage) == [*ids(4000), *(f"W{n:05d}" for n in range(9000, 9003))]


async def test_draining_does_not_wait_for_a_huge_import(storage: Storage, tmp_path: Path) -> None:
    """P1, P2: it stops after a part, and begins anew at the next start."""
    blobs = await open_blobs(tmp_path)
    storage.journal.append([spilled_history(await blobs.put(history(8000)))])

    def fault(plan: Plan) -> None:
        if plan.new_messages:
            trio.from_thread.run_sync(world.pipeline.close_asap)

    world = World(storage, blobs, writer=Moody(storage.writer, fault))
    async with trio.open_nursery() as nursery:
        await nursery.start(world.pipeline.run)
    assert world.pipeline.lag == 1
    assert 0 < len(imported(storage)) < 8000
    async with running(storage, tmp_path) as world:
        await world.handled()
    assert imported(storage) == ids(8000)


async def test_a_message_of_a_list_that_cannot_be_stored_is_set_aside_alone(
    storage: Storage, tmp_path: Path
) -> None:
    """P5: its neighbours in the list are stored."""
    blobs = await open_blobs(tmp_path)
    storage.journal.append([spilled_history(await blobs.put(history(1500)))])

    def fault(plan: Plan) -> None:
        if any(row.whatsapp_id == "W00777" for row in plan.new_messages):
            raise ZeroDivisionError("a bug")

    async with running(storage, tmp_path, writer=Moody(storage.writer, fault)) as world:
        await world.handled()
        assert imported(storage) == sorted(set(ids(1500)) - {"W00777"})
        (row,) = storage.readers[0].quarantine(before=None, limit=9)
        assert (row.journal_seq, row.reason) == (1, pipeline.POISONED)
