"""P8: health is observed, and follows what goes wrong and what recovers."""

import threading
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from evorelay.config import HealthConfig
from evorelay.model.clock import now_ms
from evorelay.model.envelope import Envelope
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.relay import store_probe
from evorelay.relay.blobs import BlobStore
from evorelay.relay.health import LOOP_SAMPLES, SAMPLE_S, Health, Surroundings
from evorelay.relay.sessions import Sessions
from evorelay.relay.store_probe import StoreProbe
from evorelay.storage.open import Storage, open_storage
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.storage.sqlite.reader import SqliteReader
from evorelay.storage.sqlite.store import SqliteStore
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import GIB, World, message

LIMITS = HealthConfig()


async def test_a_pipeline_that_stands_still_fails_and_recovers(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """P8: with entries in the journal and nobody to take them."""
    with open_storage(tmp_path, None) as storage:
        world, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            await nursery.start(watched.run)
            await world.journal.submit(an_envelope())
            await pass_time(mock_clock, 2)
            assert status_of(watched, "pipeline:lag") == "pass"
            await pass_time(mock_clock, LIMITS.pipeline_fail + 2)
            assert status_of(watched, "pipeline:lag") == "fail"
            await nursery.start(world.pipeline.run)
            with trio.fail_after(600):
                while world.pipeline.lag:
                    await trio.sleep(0)
            await pass_time(mock_clock, 1)
            assert status_of(watched, "pipeline:lag") == "pass"
            nursery.cancel_scope.cancel()


def away(*_: object) -> NoReturn:
    raise StoreUnavailable("disk I/O error")


@pytest.mark.parametrize(
    ("name", "refused"),
    [("store:read", (SqliteReader, "instances")), ("store:write", (SqliteStore, "touch"))],
)
async def test_a_store_that_cannot_be_used_is_a_warning_while_it_lasts(
    tmp_path: Path,
    mock_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    refused: tuple[type, str],
) -> None:
    """P8: webhooks are accepted all the same, so it is no failure."""
    with open_storage(tmp_path, None) as storage:
        _, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            monkeypatch.setattr(*refused, away)
            await nursery.start(watched.run)
            await until(watched, name, "warn")
            assert watched.report().status == "warn"
            monkeypatch.undo()
            mock_clock.jump(store_probe.PROBE_EVERY_S)
            await until(watched, name, "pass")
            nursery.cancel_scope.cancel()


async def test_a_store_that_hangs_is_told_while_it_hangs(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: not when its answer comes, which may be never; and the rest is observed on."""
    begun, release = threading.Event(), threading.Event()

    def hangs(*_: object) -> int:
        begun.set()
        assert release.wait(30)
        return 0

    with open_storage(tmp_path, None) as storage:
        _, watched = await world_of(storage, tmp_path)
        monkeypatch.setattr(SqliteStore, "touch", hangs)
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run)
            while not begun.is_set():
                await trio.sleep(0)
            mock_clock.jump(LIMITS.store_warn)
            assert status_of(watched, "store:write") == "pass"
            mock_clock.jump(0.1)
            assert status_of(watched, "store:write") == "warn"
            await until(watched, "store:read", "pass")
            assert status_of(watched, "store:read") == "pass"
            release.set()
            nursery.cancel_scope.cancel()


async def test_a_commit_that_failed_is_a_failure_until_one_succeeds(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: every webhook is answered 503 then, although the journal says it takes them."""

    def full(*_: object) -> NoReturn:
        raise JournalUnavailable("the journal cannot be written: FullError")

    with open_storage(tmp_path, None) as storage:
        world, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            await nursery.start(watched.run)
            monkeypatch.setattr(SqliteJournal, "append", full)
            with pytest.raises(JournalUnavailable):
                await world.journal.submit(an_envelope())
            assert status_of(watched, "journal:commit") == "fail"
            assert watched.not_ready() == "the journal cannot be written"
            monkeypatch.undo()
            await world.journal.submit(an_envelope())
            assert watched.not_ready() is None
            assert status_of(watched, "journal:commit") == "pass"
            nursery.cancel_scope.cancel()


async def test_a_loop_that_is_late_once_alerts_nobody(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """P8: and one that is late for most of a quarter minute does."""
    with open_storage(tmp_path, None) as storage:
        _, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run)
            await pass_time(mock_clock, 20)
            await late_by(mock_clock, 5.0)
            assert status_of(watched, "loop:lag") == "pass"
            for _ in range(LOOP_SAMPLES):
                await late_by(mock_clock, 0.5)
            assert status_of(watched, "loop:lag") == "warn"
            nursery.cancel_scope.cancel()


async def test_between_two_batches_of_a_backlog_it_is_behind_all_the_same(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """P8: whoever asks at that moment must not be told that all is well again."""
    with open_storage(tmp_path, None) as storage:
        world, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run)
            world.pipeline.oldest_unhandled_at = world.now() - 60_000
            await pass_time(mock_clock, 3)
            assert status_of(watched, "pipeline:age") == "warn"
            world.pipeline.oldest_unhandled_at = None
            await pass_time(mock_clock, 5)
            assert status_of(watched, "pipeline:age") == "warn"
            await pass_time(mock_clock, 10)
            assert status_of(watched, "pipeline:age") == "pass"
            nursery.cancel_scope.cancel()


async def test_a_huge_import_in_parts_is_no_standstill(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """P8: the cursor moves with its last part only, yet each one is progress."""
    with open_storage(tmp_path, None) as storage:
        world, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            await nursery.start(watched.run)
            await world.journal.submit(an_envelope())
            for _ in range(int(LIMITS.pipeline_fail) + 5):
                world.pipeline.last_progress_at = trio.current_time()
                await pass_time(mock_clock, 1)
            assert status_of(watched, "pipeline:lag") == "pass"
            await pass_time(mock_clock, LIMITS.pipeline_fail + 2)
            assert status_of(watched, "pipeline:lag") == "fail"
            nursery.cancel_scope.cancel()


async def test_nothing_is_ready_before_it_runs(tmp_path: Path) -> None:
    with open_storage(tmp_path, None) as storage:
        _, watched = await world_of(storage, tmp_path)
        assert watched.not_ready() == "the relay is starting"


async def test_an_instance_whose_webhooks_wait_is_not_silent(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """P8: what it posted is in the journal, where a pipeline that stands does not see it."""
    with open_storage(tmp_path, None) as storage:
        world, watched = await world_of(storage, tmp_path)
        await world.apply(message("A1"))
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            await nursery.start(watched.run)
            await nursery.start(world.pipeline.run)
            with trio.fail_after(600):
                while not watched.vitals().instances:
                    await trio.sleep(0)
            heard_at = watched._store.instances[0].last_event_at
            world.now.ms = heard_at + 40_000
            assert watched.vitals().instances[0].silent_s == 40
            waiting = Envelope(
                received_at=world.now(), event="call", instance="loja", body=b'{"event":"call"}'
            )
            async with world.ledger._lock:  # a store that somebody else holds
                await world.journal.submit(waiting)
                with trio.fail_after(600):
                    while world.pipeline.oldest_unhandled_at is None:
                        await trio.sleep(0)
                world.now.ms += 40_000
                assert watched.vitals().oldest_unhandled_s == 40
                assert watched.vitals().instances[0].silent_s == 40
            nursery.cancel_scope.cancel()


async def world_of(storage: Storage, state_dir: Path) -> tuple[World, Health]:
    world = World(storage, await BlobStore.open(state_dir / "blobs"))
    health = Health(
        world.journal,
        world.pipeline,
        StoreProbe(world.reads, world.ledger, storage.maintenance, now=world.now),
        Sessions(world.hub, NopMetrics(), now=world.now),
        NopMetrics(),
        now=world.now,
        free_bytes=lambda: world.free_bytes,
        free_bytes_min=GIB,
        limits=LIMITS,
        surroundings=Surroundings(),
    )
    return world, health


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Second by second, so that the sampler sees every one of them."""
    for _ in range(int(seconds)):
        clock.jump(1)
        await wait_all_tasks_blocked()


def status_of(watched: Health, name: str) -> str:
    found: dict[str, str] = {check.name: check.status for check in watched.report().checks}
    return found[name]


async def until(watched: Health, name: str, status: str) -> None:
    """Wait for a thread whose end health learns of; the clock stands still meanwhile."""
    with trio.fail_after(600):
        while status_of(watched, name) != status:
            await trio.sleep(0)


async def late_by(clock: MockClock, seconds: float) -> None:
    """Have the sampler's next timer fire late."""
    clock.jump(SAMPLE_S + seconds)
    await wait_all_tasks_blocked()


def an_envelope() -> Envelope:
    return Envelope(received_at=now_ms(), event="call", instance="loja", body=b'{"event":"call"}')
