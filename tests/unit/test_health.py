"""P8: health is observed, and follows what goes wrong and what recovers."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from evorelay.config import HealthConfig
from evorelay.model.clock import now_ms
from evorelay.model.envelope import Envelope
from evorelay.model.errors import StoreUnavailable
from evorelay.relay import health, judging
from evorelay.relay.blobs import BlobStore
from evorelay.relay.health import Health, Stall
from evorelay.relay.sessions import Sessions
from evorelay.storage.open import Storage, open_storage
from evorelay.storage.sqlite.reader import SqliteReader
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import GIB, World


def test_idleness_is_no_stall() -> None:
    """Work that comes after an idle hour has waited for nobody."""
    stall = Stall()
    stall.observe(False, 7, 0.0)
    stall.observe(True, 7, 3600.0)
    assert stall.seconds(3601.0) == 1.0


def test_a_stall_lasts_until_something_moves_or_nothing_is_left() -> None:
    stall = Stall()
    stall.observe(True, 7, 0.0)
    stall.observe(True, 7, 40.0)
    assert stall.seconds(40.0) == 40.0
    stall.observe(True, 8, 41.0)
    assert stall.seconds(41.0) == 0.0
    stall.observe(False, 8, 90.0)
    assert stall.seconds(99.0) == 0.0


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
            await pass_time(mock_clock, judging.PIPELINE_STALLED_S + 2)
            assert status_of(watched, "pipeline:lag") == "fail"
            await nursery.start(world.pipeline.run)
            with trio.fail_after(600):
                while world.pipeline.lag:
                    await trio.sleep(0)
            await pass_time(mock_clock, 1)
            assert status_of(watched, "pipeline:lag") == "pass"
            nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_read_is_a_warning_while_it_lasts(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: webhooks are accepted all the same, so it is no failure."""

    def away(_: SqliteReader) -> str:
        raise StoreUnavailable("disk I/O error")

    with open_storage(tmp_path, None) as storage:
        _, watched = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            monkeypatch.setattr(SqliteReader, "epoch", away)
            await nursery.start(watched.run)
            await probed(watched, error=True)
            assert status_of(watched, "store:read") == "warn"
            monkeypatch.undo()
            mock_clock.jump(health.STORE_PROBE_S)
            await probed(watched, error=False)
            assert status_of(watched, "store:read") == "pass"
            nursery.cancel_scope.cancel()


async def test_nothing_is_ready_before_it_runs(tmp_path: Path) -> None:
    with open_storage(tmp_path, None) as storage:
        _, watched = await world_of(storage, tmp_path)
        assert watched.not_ready() == "the relay is starting"


async def world_of(storage: Storage, state_dir: Path) -> tuple[World, Health]:
    world = World(storage, await BlobStore.open(state_dir / "blobs"))
    health = Health(
        world.journal,
        world.pipeline,
        world.reads,
        Sessions(world.hub, NopMetrics(), now=world.now),
        NopMetrics(),
        now=world.now,
        free_bytes=lambda: world.free_bytes,
        free_bytes_min=GIB,
        evolution_configured=True,
        limits=HealthConfig(),
        key_trouble=lambda: None,
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


async def probed(watched: Health, *, error: bool) -> None:
    """Wait until a probe of the store has ended in this way."""
    while (watched.vitals().store_error is not None) is not error:
        await trio.sleep(0)


def an_envelope() -> Envelope:
    return Envelope(received_at=now_ms(), event="call", instance="loja", body=b'{"event":"call"}')
