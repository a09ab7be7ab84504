"""P8: health is a judgement about progress; only what stops webhooks is a failure."""

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from evorelay.config import AuthConfig
from evorelay.model.clock import now_ms
from evorelay.model.envelope import Envelope
from evorelay.model.errors import StoreUnavailable
from evorelay.relay import health
from evorelay.relay.blobs import BlobStore
from evorelay.relay.health import Check, Report, Stall, Vitals, judge
from evorelay.storage.open import Storage, open_storage
from evorelay.storage.sqlite.reader import SqliteReader
from tests.edge.http_world import SECRET, World

WELL = Vitals(disk_free=1 << 40, disk_watermark=1 << 28)


def test_all_is_well() -> None:
    report = judge(WELL)
    assert report.status == "pass"
    assert all(check.output is None for check in report.checks)


@pytest.mark.parametrize(
    ("name", "status", "vitals"),
    [
        ("journal:commit", "fail", Vitals(refusal="the disk is almost full")),
        ("journal:commit", "fail", Vitals(commit_waits_s=health.COMMIT_STALLED_S + 1)),
        ("pipeline:lag", "fail", Vitals(lag=1, pipeline_stalled_s=health.PIPELINE_STALLED_S + 1)),
        (
            "pipeline:lag",
            "warn",
            Vitals(lag=9, oldest_unhandled_s=health.PIPELINE_BEHIND_S + 1),
        ),
        ("loop:lag", "warn", Vitals(loop_lag_s=health.LOOP_LAG_S + 1)),
        ("store:read", "warn", Vitals(store_error="locked")),
        ("store:read", "warn", Vitals(store_read_s=health.STORE_SLOW_S + 1)),
        ("disk:free", "warn", Vitals(disk_free=3, disk_watermark=2)),
        ("evolution:configured", "warn", Vitals(evolution_configured=False)),
        ("auth:keys", "warn", Vitals(key_trouble="never fetched")),
    ],
)
def test_one_trouble_is_one_check_that_says_so(name: str, status: str, vitals: Vitals) -> None:
    report = judge(vitals)
    troubled = [check for check in report.checks if check.status != "pass"]
    assert [(check.name, check.status) for check in troubled] == [(name, status)]
    assert report.status == status
    assert troubled[0].output


def test_a_disk_that_fills_up_is_told_in_units_of_people() -> None:
    vitals = Vitals(disk_free=300 << 20, disk_watermark=256 << 20)
    (low,) = [check for check in judge(vitals).checks if check.name == "disk:free"]
    assert low.value == 300 << 20
    assert low.output == "300 MiB free; webhooks are refused below 256 MiB: free some space"


def test_a_large_backlog_that_moves_is_no_failure() -> None:
    """P5: the backlog of a long night is drained in the open."""
    assert judge(Vitals(lag=1_000_000, oldest_unhandled_s=9 * 3600.0)).status == "warn"


@given(st.lists(st.sampled_from(["pass", "warn", "fail"])))
def test_the_whole_is_as_bad_as_its_worst_part(statuses: list[health.Status]) -> None:
    report = Report(tuple(Check(name="x:y", status=status) for status in statuses))
    worst = max(statuses, key=("pass", "warn", "fail").index, default="pass")
    assert worst == report.status


def test_details_leave_out_what_was_not_observed() -> None:
    assert Check(name="a:b").detailed() == {"status": "pass"}
    assert Check(name="a:b", value=0, unit="s").detailed() == {
        "status": "pass",
        "observedValue": 0,
        "observedUnit": "s",
    }


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
        world = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            await nursery.start(world.health.run)
            await world.journal.submit(an_envelope())
            await pass_time(mock_clock, 2)
            assert status_of(world, "pipeline:lag") == "pass"
            await pass_time(mock_clock, health.PIPELINE_STALLED_S + 2)
            assert status_of(world, "pipeline:lag") == "fail"
            await nursery.start(world.pipeline.run)
            with trio.fail_after(600):
                while world.pipeline.lag:
                    await trio.sleep(0)
            await pass_time(mock_clock, 1)
            assert status_of(world, "pipeline:lag") == "pass"
            nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_read_is_a_warning_while_it_lasts(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: webhooks are accepted all the same, so it is no failure."""

    def away(_: SqliteReader) -> str:
        raise StoreUnavailable("disk I/O error")

    with open_storage(tmp_path, None) as storage:
        world = await world_of(storage, tmp_path)
        async with trio.open_nursery() as nursery:
            monkeypatch.setattr(SqliteReader, "epoch", away)
            await nursery.start(world.health.run)
            await probed(world, error=True)
            assert status_of(world, "store:read") == "warn"
            monkeypatch.undo()
            mock_clock.jump(health.STORE_PROBE_S)
            await probed(world, error=False)
            assert status_of(world, "store:read") == "pass"
            nursery.cancel_scope.cancel()


async def test_nothing_is_ready_before_it_runs(tmp_path: Path) -> None:
    with open_storage(tmp_path, None) as storage:
        world = await world_of(storage, tmp_path)
        assert world.health.not_ready() == "the relay is starting"


async def world_of(storage: Storage, state_dir: Path) -> World:
    return World(storage, await BlobStore.open(state_dir / "blobs"), AuthConfig(jwt_secret=SECRET))


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Second by second, so that the sampler sees every one of them."""
    for _ in range(int(seconds)):
        clock.jump(1)
        await wait_all_tasks_blocked()


def status_of(world: World, name: str) -> str:
    found: dict[str, str] = {check.name: check.status for check in world.health.report().checks}
    return found[name]


async def probed(world: World, *, error: bool) -> None:
    """Wait until a probe of the store has ended in this way."""
    while (world.health.vitals().store_error is not None) is not error:
        await trio.sleep(0)


def an_envelope() -> Envelope:
    return Envelope(received_at=now_ms(), event="call", instance="loja", body=b'{"event":"call"}')
