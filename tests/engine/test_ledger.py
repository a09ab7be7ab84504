"""The ledger: decide, commit, publish, in that order, one after the other."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import apsw
import pytest
import trio
import trio.testing

from evorelay.model.errors import StoreUnavailable
from evorelay.model.records import InstanceRecord, TicketRecord
from evorelay.relay.draft import Draft
from evorelay.relay.ledger import Ledger
from evorelay.storage.open import Storage
from evorelay.storage.ports import StoreWriter, Transaction
from tests.engine.harness import T0, Clock, Recorder, counted_ids, stored

T = TypeVar("T")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with stored(tmp_path) as storage:
        yield storage


def make(writer: StoreWriter, published: Recorder) -> Ledger:
    return Ledger(writer, published, new_id=counted_ids(), now=Clock())


def instance_told(state: str) -> Callable[[Draft], str]:
    """Work that leaves one event."""

    def work(draft: Draft) -> str:
        row = InstanceRecord(
            name="loja",
            state=state,
            state_since=draft.now,
            reason=None,
            phone=None,
            profile_name=None,
            last_event_at=draft.now,
            created_at=draft.now,
        )
        draft.put_instance(row)
        draft.tell_instance(row)
        return draft.new_id()

    return work


async def test_events_are_published_once_they_are_durable(storage: Storage) -> None:
    """P3: whoever is told of an event can read it."""
    published = Recorder()
    ledger = make(storage.writer, published)
    assert await ledger.change(instance_told("open")) == "id00000001"
    (event,) = published.events
    assert (event.at, event.type, event.positions) == (
        T0,
        "instance.updated",
        [("instance:loja", 1), ("instance:*", 1)],
    )
    page = storage.readers[0].events_after("instance:loja", 0, 9)
    assert [one.data for one in page.events] == [event.data.encode()]


async def test_commit_order_is_publish_order(storage: Storage) -> None:
    """P3: however many change the store at once."""
    published = Recorder()
    ledger = make(storage.writer, published)
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(ledger.change, instance_told(str(number)))
    offsets = [event.positions[0][1] for event in published.events]
    assert offsets == list(range(1, 51))
    page = storage.readers[0].events_after("instance:loja", 0, 99)
    assert [e.data.encode() for e in published.events] == [e.data for e in page.events]


async def test_work_that_fails_changes_and_tells_nothing(storage: Storage) -> None:
    published = Recorder()
    ledger = make(storage.writer, published)

    def work(draft: Draft) -> None:
        instance_told("open")(draft)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ledger.change(work)
    assert (published.events, storage.readers[0].instances()) == ([], [])
    await ledger.change(instance_told("close"))
    assert published.events[0].positions[0] == ("instance:loja", 1)


async def test_a_commit_that_fails_tells_nothing(storage: Storage) -> None:
    """P3: nobody is told of what is not durable."""

    class FailingWriter:
        def transact(self, work: Callable[[Transaction], T]) -> T:
            def and_fail(tx: Transaction) -> T:
                work(tx)
                raise StoreUnavailable("disk full at COMMIT")

            return storage.writer.transact(and_fail)

        def transact_each(self, works: Sequence[Callable[[Transaction], T]]) -> list[T | Exception]:
            raise AssertionError("there is one change")

    published = Recorder()
    with pytest.raises(StoreUnavailable):
        await make(FailingWriter(), published).change(instance_told("open"))
    assert (published.events, storage.readers[0].instances()) == ([], [])


async def test_cancelling_never_parts_a_commit_from_its_publication(storage: Storage) -> None:
    """P3: what is committed is published, also when its caller is gone."""
    published = Recorder()
    ledger = make(storage.writer, published)
    for number in range(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.change, instance_told(str(number)))
            for _ in range(number % 4):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    head = storage.readers[0].events_after("instance:loja", 0, 0).head
    assert [event.positions[0][1] for event in published.events] == list(range(1, head + 1))
    await ledger.change(instance_told("after"))
    assert published.events[-1].positions[0] == ("instance:loja", head + 1)


async def test_a_rehearsal_leaves_nothing_behind(storage: Storage) -> None:
    """It sees what it did itself, and gives its answer; nobody is told."""
    published = Recorder()
    ledger = make(storage.writer, published)
    await ledger.change(instance_told("open"))

    def work(draft: Draft) -> str:
        before = draft.tx.instances(["loja"])["loja"].state
        instance_told("close")(draft)
        return before

    assert await ledger.rehearse(work) == await ledger.rehearse(work) == "open"
    assert [row.state for row in storage.readers[0].instances()] == ["open"]
    assert len(published.events) == 1
    await ledger.change(instance_told("connecting"))
    assert published.events[-1].positions[0] == ("instance:loja", 2)


async def test_a_rehearsal_that_fails_fails_as_the_change_would(storage: Storage) -> None:
    ledger = make(storage.writer, Recorder())

    def refused(draft: Draft) -> None:
        row = TicketRecord(
            id="t",
            instance="loja",
            contact_id="nobody",
            status="odd",
            assignee=None,
            subject=None,
            unread=0,
            last_message_at=None,
            last_message=None,
            created_at=T0,
            closed_at=None,
            version=1,
        )
        draft.add_ticket(row)

    for attempt in (ledger.rehearse, ledger.change):
        with pytest.raises(apsw.ConstraintError):
            await attempt(refused)


async def test_housekeeping_takes_turns_with_changes(storage: Storage) -> None:
    running: list[str] = []

    def work(name: str) -> int:
        assert running == []
        running.append(name)
        running.remove(name)
        return 7

    ledger = make(storage.writer, Recorder())
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ledger.change, lambda _draft: work("change"))
            nursery.start_soon(ledger.maintain, lambda: work("maintain"))
    assert await ledger.maintain(lambda: work("maintain")) == 7


async def test_a_row_is_written_once_in_its_last_state(storage: Storage) -> None:
    """A batch in which an instance flaps costs one row; every change is told."""
    published = Recorder()

    def work(draft: Draft) -> int:
        for state in ("open", "close", "connecting"):
            instance_told(state)(draft)
        return len(draft.plan.instances)

    assert await make(storage.writer, published).change(work) == 0
    assert [row.state for row in storage.readers[0].instances()] == ["connecting"]
    assert len(published.events) == 3


async def test_the_size_of_each_commit_is_told(storage: Storage) -> None:
    """P8"""
    told: list[tuple[int, float]] = []
    ledger = Ledger(
        storage.writer,
        Recorder(),
        new_id=counted_ids(),
        now=Clock(),
        on_commit=lambda changes, seconds: told.append((changes, seconds)),
    )
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ledger.change, instance_told(str(number)))
    assert sum(changes for changes, _ in told) == 20
    assert len(told) < 20
    assert all(seconds > 0 for _, seconds in told)


async def test_changes_that_wait_share_one_commit(storage: Storage) -> None:
    """100 lanes that record something cost a few fsyncs."""
    commits = 0

    class Counting:
        def transact(self, work: Callable[[Transaction], T]) -> T:
            nonlocal commits
            commits += 1
            return storage.writer.transact(work)

        def transact_each(self, works: Sequence[Callable[[Transaction], T]]) -> list[T | Exception]:
            nonlocal commits
            commits += 1
            return storage.writer.transact_each(works)

    published = Recorder()
    ledger = make(Counting(), published)
    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(ledger.change, instance_told(f"state {n}"))
    assert [event.positions[0] for event in published.events] == [
        ("instance:loja", n) for n in range(1, 101)
    ]
    assert commits <= 4


async def test_one_that_is_refused_takes_no_other_with_it(storage: Storage) -> None:
    """Each work of a shared commit has a savepoint of its own."""
    published = Recorder()
    ledger = make(storage.writer, published)
    refused: list[str] = []

    def refusing(draft: Draft) -> None:
        instance_told("half written")(draft)
        draft.tx.write(draft.plan)
        raise ValueError("no")

    async def be_refused() -> None:
        try:
            await ledger.change(refusing)
        except ValueError as error:
            refused.append(str(error))

    async with trio.open_nursery() as nursery:
        for n in range(10):
            nursery.start_soon(ledger.change, instance_told(f"state {n}"))
            nursery.start_soon(be_refused)
    assert refused == ["no"] * 10
    assert len(published.events) == 10
    assert storage.readers[0].events_after("instance:loja", 0, 100).head == 10


async def test_a_change_that_is_cancelled_while_it_waits_leaves_nothing(storage: Storage) -> None:
    published = Recorder()
    ledger = make(storage.writer, published)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.change, instance_told("open"))
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await ledger.change(instance_told("close"))
        assert scope.cancelled_caught
    assert len(published.events) == 1


async def test_a_change_under_way_is_finished_when_its_caller_is_cancelled(
    storage: Storage,
) -> None:
    """It is committed and told, and its caller learns of it."""
    published = Recorder()
    ledger = make(storage.writer, published)
    begun, go_on = threading.Event(), threading.Event()
    results: list[str] = []

    def slow(draft: Draft) -> str:
        begun.set()
        go_on.wait(10)
        return instance_told("open")(draft)

    async def call(scope: trio.CancelScope, work: Callable[[Draft], str]) -> None:
        with scope:
            results.append(await ledger.change(work))

    scopes = [trio.CancelScope(), trio.CancelScope()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, scopes[0], slow)
        await trio.to_thread.run_sync(begun.wait, 10)
        nursery.start_soon(call, scopes[1], instance_told("close"))
        await trio.testing.wait_all_tasks_blocked()
        for scope in scopes:
            scope.cancel()
        go_on.set()
    assert results == ["id00000001"]
    assert len(published.events) == 1
