"""The journal: one fsync for many, an answer for everyone, and every entry to its one reader."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evorelay.model.envelope import Entry, Envelope
from evorelay.model.errors import JournalUnavailable
from evorelay.relay.journal import PENDING_BYTES_MAX, TAIL_BYTES, Journal
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import envelope

FUTURE = 1 << 60


class WatchedStore(SqliteJournal):
    """The real journal; commits can be counted, held back and made to fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []
        self.reads = 0
        self.failures = 0
        self.may_commit = threading.Event()
        self.may_commit.set()

    def append(self, envelopes: Sequence[Envelope]) -> int:
        assert self.may_commit.wait(10)
        if self.failures:
            self.failures -= 1
            raise JournalUnavailable("the disk is full")
        self.batches.append(len(envelopes))
        return super().append(envelopes)

    def read(self, after: int, limit_bytes: int) -> list[Entry]:
        self.reads += 1
        return super().read(after, limit_bytes)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    store = WatchedStore(tmp_path / "journal.db")
    yield store
    store.may_commit.set()
    store.close()


class Disk:
    free = 1000


def make(
    store: SqliteJournal, *, disk: Disk | None = None, tail_bytes: int = TAIL_BYTES
) -> Journal:
    room = disk or Disk()
    return Journal(
        store,
        NopMetrics(),
        free_bytes=lambda: room.free,
        free_bytes_min=100,
        tail_bytes=tail_bytes,
    )


async def outcome(journal: Journal, results: list[int | str], body: bytes = b"{}") -> None:
    try:
        results.append(await journal.submit(envelope(body)))
    except JournalUnavailable as error:
        results.append(str(error))


async def test_everything_submitted_during_a_commit_shares_the_next(store: WatchedStore) -> None:
    """P1 at a bearable price: one fsync for a hundred webhooks."""
    journal = make(store)
    results: list[int | str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        store.may_commit.clear()
        async with trio.open_nursery() as senders:
            senders.start_soon(outcome, journal, results)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(100):
                senders.start_soon(outcome, journal, results)
            await trio.testing.wait_all_tasks_blocked()
            assert results == []  # nobody is answered before the fsync
            store.may_commit.set()
        assert sorted(map(int, results)) == list(range(1, 102))
        assert store.batches == [1, 100]
        nursery.cancel_scope.cancel()


async def test_what_is_submitted_together_stands_together(store: WatchedStore) -> None:
    journal = make(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        seq = await journal.submit(envelope())
        bodies = [b"1", b"2", b"3"]
        first = await journal.submit_all([envelope(body=body) for body in bodies])
        nursery.cancel_scope.cancel()
    assert first == seq + 1
    assert [entry.envelope.body for entry in store.read(seq, 1 << 20)] == bodies


async def test_what_is_answered_is_on_disk(store: WatchedStore, tmp_path: Path) -> None:
    """P1: another process sees it at once."""
    journal = make(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        seq = await journal.submit(envelope(b"saved"))
        other = SqliteJournal(tmp_path / "journal.db")
        assert other.read(0, FUTURE) == [Entry(seq, envelope(b"saved"))]
        other.close()
        nursery.cancel_scope.cancel()


async def test_a_failed_commit_answers_everyone_and_the_next_one_works(store: WatchedStore) -> None:
    """P5: 503 now, and nothing of it is stored; the journal goes on."""
    journal = make(store)
    store.failures = 1
    results: list[int | str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        async with trio.open_nursery() as senders:
            for _ in range(3):
                senders.start_soon(outcome, journal, results)
        assert results == ["the disk is full"] * 3
        assert await journal.submit(envelope(b"next")) == 1
        assert [entry.envelope.body for entry in await journal.read(0)] == [b"next"]
        nursery.cancel_scope.cancel()


async def test_it_refuses_below_the_disk_watermark_until_there_is_room(store: WatchedStore) -> None:
    disk = Disk()
    journal = make(store, disk=disk)
    async with trio.open_nursery() as nursery:
        disk.free = 99
        await nursery.start(journal.run)
        why = journal.refusal
        assert why == "the disk is almost full"
        with pytest.raises(JournalUnavailable, match="almost full"):
            await journal.submit(envelope())
        disk.free = 100
        journal.check_disk()
        assert journal.refusal is None
        assert await journal.submit(envelope()) == 1
        nursery.cancel_scope.cancel()


async def test_it_refuses_more_than_it_may_hold(store: WatchedStore) -> None:
    """P5: memory is bounded while the disk does not keep up."""
    journal = make(store)
    results: list[int | str] = []
    body = b"x" * (PENDING_BYTES_MAX // 4)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        store.may_commit.clear()
        async with trio.open_nursery() as senders:
            for _ in range(10):
                senders.start_soon(outcome, journal, results, body)
                await trio.testing.wait_all_tasks_blocked()
            assert results == ["the disk cannot keep up"] * 4
            store.may_commit.set()
        assert sorted(result for result in results if isinstance(result, int)) == [1, 2, 3, 4, 5, 6]
        nursery.cancel_scope.cancel()


async def test_draining_commits_what_was_submitted_and_refuses_the_rest(
    store: WatchedStore,
) -> None:
    journal = make(store)
    results: list[int | str] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        store.may_commit.clear()
        for _ in range(3):
            nursery.start_soon(outcome, journal, results)
            await trio.testing.wait_all_tasks_blocked()
        journal.close_asap()
        nursery.start_soon(outcome, journal, results)
        await trio.testing.wait_all_tasks_blocked()
        assert results == ["the relay is shutting down"]
        store.may_commit.set()
    assert sorted(map(str, results)) == ["1", "2", "3", "the relay is shutting down"]


async def test_an_idle_journal_drains_at_once(store: WatchedStore) -> None:
    journal = make(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await trio.testing.wait_all_tasks_blocked()
        journal.close_asap()


async def test_a_cancelled_journal_answers_whoever_waits_for_its_commit(
    store: WatchedStore,
) -> None:
    """The commit under way is finished in its thread, and its answers are the true ones."""
    journal = make(store)
    results: list[int | str] = []
    async with trio.open_nursery() as senders:
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)
            store.may_commit.clear()
            senders.start_soon(outcome, journal, results)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            store.may_commit.set()
    assert results == [1]


async def test_it_says_since_when_somebody_waits(store: WatchedStore) -> None:
    """P8: what the watchdog looks at."""
    journal = make(store)
    since = journal.waiting_since
    assert since is None
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        store.may_commit.clear()
        before = trio.current_time()
        nursery.start_soon(outcome, journal, [])
        await trio.testing.wait_all_tasks_blocked()
        since = journal.waiting_since
        assert since is not None
        assert before <= since <= trio.current_time()
        store.may_commit.set()
        while journal.waiting_since is not None:
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()


async def test_a_reader_that_keeps_up_reads_no_disk(store: WatchedStore) -> None:
    journal = make(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        for number in range(1, 20):
            seq = await journal.submit(envelope(b"%d" % number))
            (entry,) = await journal.read(seq - 1)
            assert (entry.seq, entry.envelope) == (seq, envelope(b"%d" % number))
            assert entry.arrived is not None
        assert store.reads == 0
        nursery.cancel_scope.cancel()


async def test_a_reader_waits_for_what_is_not_there_yet(store: WatchedStore) -> None:
    journal = make(store)
    got: list[list[Entry]] = []

    async def read() -> None:
        got.append(await journal.read(0))

    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        await journal.submit(envelope())
        await trio.testing.wait_all_tasks_blocked()
        assert [[(one.seq, one.envelope) for one in read] for read in got] == [[(1, envelope())]]
        nursery.cancel_scope.cancel()


async def test_a_restart_finds_what_was_not_read(store: WatchedStore, tmp_path: Path) -> None:
    """P1: the backlog comes from disk, then memory takes over."""
    first = make(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(first.run)
        for number in range(3):
            await first.submit(envelope(b"%d" % number))
        nursery.cancel_scope.cancel()
    reopened = SqliteJournal(tmp_path / "journal.db")
    second = make(reopened)
    async with trio.open_nursery() as nursery:
        await nursery.start(second.run)
        assert second.head == 3
        assert [entry.seq for entry in await second.read(1)] == [2, 3]
        await second.submit(envelope(b"new"))
        assert [entry.envelope.body for entry in await second.read(3)] == [b"new"]
        nursery.cancel_scope.cancel()
    reopened.close()


STEPS = st.lists(
    st.tuples(st.sampled_from(["submit", "read", "reread", "trim"]), st.integers(1, 6)), max_size=30
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, tail_bytes=st.sampled_from([0, 10, 40, TAIL_BYTES]))
def test_a_reader_gets_every_entry_in_order_from_memory_or_disk(
    tmp_path: Path, steps: list[tuple[str, int]], tail_bytes: int
) -> None:
    """P1, P3: however far it is behind, whatever the tail holds, also when it starts over."""

    async def scenario() -> None:
        storage = SqliteJournal(tmp_path / "shared.db")
        journal = make(storage, tail_bytes=tail_bytes)
        cursor = handled = journal.head
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)

            async def read() -> None:
                nonlocal cursor
                for entry in await journal.read(cursor):
                    assert entry.seq == cursor + 1
                    assert entry.envelope.body == b"%d" % entry.seq + b"x" * (entry.seq % 7)
                    cursor = entry.seq

            for step, number in steps:
                if step == "submit":
                    async with trio.open_nursery() as senders:
                        for seq in range(journal.head + 1, journal.head + 1 + number):
                            body = b"%d" % seq + b"x" * (seq % 7)
                            senders.start_soon(journal.submit, envelope(body))
                            await trio.testing.wait_all_tasks_blocked()
                elif step == "read" and cursor < journal.head:
                    await read()
                    handled = max(handled, cursor - number)
                elif step == "reread":
                    cursor = max(handled, cursor - number)  # a worker that died before its commit
                elif step == "trim":
                    await journal.trim(handled, FUTURE)
            while cursor < journal.head:
                await read()
            nursery.cancel_scope.cancel()
        storage.close()

    trio.run(scenario)


async def test_what_was_read_can_be_read_again(store: WatchedStore) -> None:
    store.append([envelope(at=n) for n in range(3)])
    journal = make(store)
    assert [entry.seq for entry in await journal.reread(1)] == [2, 3]
    assert await journal.reread(3) == []


@pytest.mark.parametrize("trimmed", [False, True])
async def test_a_moment_is_found_by_its_arrivals(store: WatchedStore, trimmed: bool) -> None:
    """Whatever the size of the commits; a moment before the log begins is its beginning."""
    arrivals = [100, 101, 101, 105, 105, 105, 109]
    for commit in ([100], [101, 101, 105], [105, 105], [109]):
        store.append([envelope(at=at) for at in commit])
    journal = make(store)
    while trimmed and store.trim(4, FUTURE):
        pass
    left = arrivals[4:] if trimmed else arrivals
    for moment in range(98, 112):
        later = await journal.reread(await journal.before(moment))
        expected = [at for at in left if at >= moment]
        assert [entry.envelope.received_at for entry in later] == expected
