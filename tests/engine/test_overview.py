"""P8: the daemon at a glance, and what it remembers. Time is chosen here."""

import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.relay.overview import DAY, HOUR, LONG_STEP_S, STEP_S, Overview, Standing
from evorelay.relay.overview_questions import InstanceStates, OverviewParams, OverviewView
from evorelay.relay.reads import Reads
from evorelay.storage.ports import StoreCounts
from evorelay.telemetry.metrics import PrometheusMetrics, Totals

T0_MS = 1_795_000_200_000
"""The beginning of a step, of the long ones, too."""
BOSS = Principal(sub="chefe", role="supervisor", instances=frozenset({"*"}))


class Day:
    """An overview, and everything it looks at."""

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self.totals = Totals()
        self.metrics = PrometheusMetrics(CollectorRegistry(), self.totals)
        self.now_ms = T0_MS
        self.stands = Standing(
            connections=0, journal_lag=0, journal_age_s=0, replies_waiting=0, oldest_reply_s=0
        )
        self.overview = Overview(
            self.totals, Reads([]), lambda: self.stands, now=lambda: self.now_ms
        )

    def passes(self, seconds: float) -> None:
        self._clock.jump(seconds)
        self.now_ms += int(seconds * 1000)

    def step(self) -> None:
        self.passes(STEP_S)
        self.overview.close_step()

    async def view(self, minutes: int = 60) -> OverviewView:
        return await self.overview.ask(BOSS, OverviewParams(minutes=minutes))


@pytest.fixture
async def day(mock_clock: MockClock) -> Day:
    return Day(mock_clock)


async def test_what_the_last_minute_brought(mock_clock: MockClock, day: Day) -> None:
    for _ in range(12):
        day.metrics.message_counted("text", "received", 20)
        day.metrics.message_counted("messages.update", "received", 500)
        day.metrics.message_counted("image", "sent", 5)
        day.metrics.webhook_to_publish_seconds([0.004] * 20)
        day.step()
    now = (await day.view()).now
    assert (now.received_per_minute, now.sent_per_minute) == (120, 30)
    assert now.p50_ms == pytest.approx(4, rel=0.01)


async def test_a_young_daemon_does_not_exaggerate(mock_clock: MockClock, day: Day) -> None:
    """Three messages in the first second are three in that minute, not 180."""
    day.metrics.message_counted("text", "received", 3)
    day.passes(1)
    assert (await day.view()).now.received_per_minute == 3


async def test_quantiles_are_of_the_actual_durations_up_to_the_sockets(
    mock_clock: MockClock, day: Day
) -> None:
    day.metrics.webhook_to_publish_seconds([0.001] * 100)
    day.metrics.webhook_to_browser_seconds([0.002] * 98 + [0.5] * 2)
    day.step()
    view = await day.view(minutes=1)
    assert view.now.p50_ms == pytest.approx(2, rel=0.01)
    assert view.now.p99_ms == pytest.approx(500, rel=0.01)


async def test_without_clients_latency_ends_at_the_publication(
    mock_clock: MockClock, day: Day
) -> None:
    day.metrics.webhook_to_publish_seconds([0.001] * 100)
    assert (await day.view()).now.p99_ms == pytest.approx(1, rel=0.01)


async def test_with_nothing_to_measure_there_is_no_latency(mock_clock: MockClock, day: Day) -> None:
    day.step()
    view = await day.view()
    assert (view.now.p50_ms, view.now.p99_ms) == (None, None)
    assert (view.now.received_per_minute, view.now.dead_letters) == (0, None)


async def test_an_hour_in_steps_of_ten_seconds(mock_clock: MockClock, day: Day) -> None:
    for number in range(1, 4):
        day.metrics.message_counted("text", "received", number)
        day.metrics.recovered("text")
        day.stands = Standing(
            connections=number,
            journal_lag=10 * number,
            journal_age_s=0,
            replies_waiting=number,
            oldest_reply_s=number / 3,
        )
        day.step()
    day.passes(STEP_S - 1)
    series = (await day.view(minutes=1)).series
    assert series.step_seconds == STEP_S
    assert series.start.timestamp() == T0_MS / 1000 - 3 * STEP_S
    assert series.received == [None, None, None, 6, 12, 18]
    assert series.connections == [None, None, None, 1, 2, 3]
    assert series.journal_lag == [None, None, None, 10, 20, 30]
    assert series.oldest_reply_seconds == [None, None, None, 0.333, 0.667, 1]
    assert series.recovered == [None, None, None, 1, 1, 1]
    assert series.p50_ms == [None] * 6


async def test_all_series_have_one_length(mock_clock: MockClock, day: Day) -> None:
    day.step()
    for minutes, steps in ((1, 6), (60, HOUR), (61, 13), (1440, DAY)):
        series = (await day.view(minutes)).series
        assert {
            len(values)
            for values in (
                *(series.received, series.sent, series.p50_ms, series.p99_ms, series.recovered),
                *(series.connections, series.journal_lag, series.replies_waiting),
                series.oldest_reply_seconds,
            )
        } == {steps}


async def test_a_day_in_steps_of_five_minutes_shows_the_worst_and_the_mean(
    mock_clock: MockClock, day: Day
) -> None:
    quiet, busy = (
        day.stands,
        Standing(
            connections=9, journal_lag=700, journal_age_s=3, replies_waiting=2, oldest_reply_s=50
        ),
    )
    for number in range(2 * LONG_STEP_S // STEP_S):
        day.stands = busy if number == 7 else quiet
        day.metrics.message_counted("text", "received", 10 if number < 30 else 20)
        day.metrics.webhook_to_publish_seconds([1.0 if number == 7 else 0.01])
        day.step()
    series = (await day.view(minutes=1440)).series
    assert series.step_seconds == LONG_STEP_S
    assert series.received[-2:] == [60, 120]
    assert series.journal_lag[-2:] == [700, 0]
    assert series.oldest_reply_seconds[-2:] == [50, 0]
    assert series.p99_ms[-2:] == [pytest.approx(1000, rel=0.01), pytest.approx(10, rel=0.01)]
    assert set(series.received[:-2]) == {None}


async def test_where_the_daemon_stood_still_there_is_a_hole(
    mock_clock: MockClock, day: Day
) -> None:
    """A suspended machine: what comes at its awakening is of the step it awakes in."""
    day.step()
    day.metrics.message_counted("text", "received", 60)
    day.passes(4 * STEP_S)
    day.overview.close_step()
    series = (await day.view(minutes=1)).series
    assert series.received[-5:] == [0, None, None, None, 90]


async def test_instances_are_counted_in_four_states(mock_clock: MockClock, day: Day) -> None:
    day.overview.counts = StoreCounts(2, 3, {"open": 5, "refused": 1})
    now = (await day.view()).now
    assert (now.dead_letters, now.quarantine) == (2, 3)
    assert now.instances == InstanceStates(open=5)


async def test_memory_is_bounded(mock_clock: MockClock, day: Day) -> None:
    """P5: two days leave an hour in short steps and a day in long ones."""
    for _ in range(2 * 86_400 // STEP_S):
        day.step()
    overview = day.overview
    kept = (len(overview._hour._values), len(overview._day._values), len(overview._recent))
    assert kept == (HOUR, DAY, LONG_STEP_S // STEP_S)
    assert None not in (await day.view(minutes=1440)).series.received


async def test_steps_are_closed_on_time_while_the_service_runs(
    autojump_clock: MockClock,
) -> None:
    day = Day(autojump_clock)
    day.overview = Overview(
        day.totals,
        Reads([]),
        lambda: day.stands,
        now=lambda: T0_MS + int(trio.current_time() * 1000),
    )
    async with trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        await nursery.start(day.overview.run)
        for _ in range(5):
            await trio.sleep(STEP_S / 2)
            day.metrics.message_counted("text", "received")
            await trio.sleep(STEP_S / 2)
        await trio.sleep(0.5)
        scope.cancel()
    series = (await day.view(minutes=1)).series
    assert series.received[-4:] == [6, 6, 6, 6]


@pytest.mark.parametrize("role", ["agent", None])
async def test_it_is_for_supervisors(mock_clock: MockClock, day: Day, role: str | None) -> None:
    """P7"""
    who = Principal(sub="ana", role=role, instances=frozenset({"*"}))  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        await day.overview.ask(who, OverviewParams())
    assert refused.value.code is Code.FORBIDDEN
