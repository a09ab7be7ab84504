"""The daemon at a glance: how it stands now, and the last hour and day in memory.

Every 10 s a step is closed: what the totals grew by in it, its latencies, and how the queues stood.
An hour is kept in such steps and a day in steps of 5 minutes, 648 small records in all. A restart
begins with nothing; who wants longer memory has Prometheus.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import trio
from msgspec import Struct

from evorelay.model.clock import NowMs, utc
from evorelay.model.errors import StoreUnavailable
from evorelay.model.principal import Principal
from evorelay.relay.lanes import Lanes
from evorelay.relay.overview_questions import (
    InstanceStates,
    Now,
    OverviewParams,
    OverviewSeries,
    OverviewView,
)
from evorelay.relay.permission import check_supervisor
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reads import Reads
from evorelay.relay.series import Series
from evorelay.relay.sessions import Sessions
from evorelay.storage.ports import StoreCounts
from evorelay.telemetry.metrics import Durations, Totals

T = TypeVar("T")

STEP_S = 10
LONG_STEP_S = 300
_LONG = LONG_STEP_S // STEP_S
HOUR = 3600 // STEP_S
DAY = 86_400 // LONG_STEP_S
MINUTE_S = 60.0
_MINUTE = int(MINUTE_S) // STEP_S
STATES = InstanceStates.__struct_fields__


class Standing(Struct, frozen=True, kw_only=True):
    """How things stand at a moment."""

    connections: int
    journal_lag: int
    journal_age_s: float
    replies_waiting: int
    oldest_reply_s: float


def standing(sessions: Sessions, pipeline: Pipeline, lanes: Lanes) -> Standing:
    return Standing(
        connections=len(sessions),
        journal_lag=pipeline.lag,
        journal_age_s=pipeline.age_s(),
        replies_waiting=lanes.total_waiting,
        oldest_reply_s=lanes.oldest_waiting_s(),
    )


class _Step(Struct, frozen=True, kw_only=True):
    """What a stretch of time came to; ``standing`` is how it ended."""

    number: int
    seconds: float
    received: int
    sent: int
    recovered: int
    latencies: Durations
    standing: Standing


class _Sample(Struct, frozen=True, kw_only=True):
    """What a chart shows of one step or of several."""

    received: float
    sent: float
    p50_ms: float | None
    p99_ms: float | None
    connections: int
    journal_lag: int
    replies_waiting: int
    oldest_reply_s: float
    recovered: int


class Overview:
    def __init__(
        self,
        totals: Totals,
        reads: Reads,
        standing: Callable[[], Standing],
        *,
        now: NowMs,
        sizes: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """``standing`` is quick and does no IO; ``sizes`` of the database files may block."""
        self._totals = totals
        self._reads = reads
        self._standing = standing
        self._now = now
        self.counts: StoreCounts | None = None
        """As last read from the store; None until it could be read."""
        self.sizes: Mapping[str, int] = {}
        """Of the database files, by name; as of ``counts``."""
        self._read_sizes = sizes
        self._recent: deque[_Step] = deque(maxlen=_LONG)
        self._hour: Series[_Sample] = Series(STEP_S, HOUR)
        self._day: Series[_Sample] = Series(LONG_STEP_S, DAY)
        self._begin_step()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled."""
        self._begin_step()
        async with trio.open_nursery() as nursery:
            # Beside, not within: a store that hangs must not stop the other observations.
            nursery.start_soon(self._count)
            task_status.started()
            while True:
                ahead_ms = STEP_S * 1000 - self._now() % (STEP_S * 1000)
                await trio.sleep(ahead_ms / 1000)
                self.close_step()

    def close_step(self) -> None:
        """Take down the step that ends about now, and begin the next."""
        number = round(self._now() / (STEP_S * 1000)) - 1
        step = self._step(number, self._totals.take_latencies())
        self._recent.append(step)
        self._begin_step()
        self._hour.put(number, _sample([step]))
        long = number // _LONG
        self._day.put(long, _sample([one for one in self._recent if one.number // _LONG == long]))

    async def ask(self, who: Principal, params: OverviewParams) -> OverviewView:
        """Answers from memory, also while the store is away. Raises ``Refusal``."""
        check_supervisor(who)
        now = self._now()
        return OverviewView(at=utc(now), now=self._present(), series=self._series(now, params))

    def _begin_step(self) -> None:
        self._began_at = trio.current_time()
        totals = self._totals
        self._received, self._sent, self._recovered = totals.received, totals.sent, totals.recovered

    def _step(self, number: int, latencies: Durations) -> _Step:
        return _Step(
            number=number,
            seconds=trio.current_time() - self._began_at,
            received=self._totals.received - self._received,
            sent=self._totals.sent - self._sent,
            recovered=self._totals.recovered - self._recovered,
            latencies=latencies,
            standing=self._standing(),
        )

    def _present(self) -> Now:
        steps = [*self._recent][-_MINUTE:]
        steps.append(self._step(0, self._totals.latencies()))
        # Of a life shorter than a minute all there was counts; before it there was nothing.
        minute, stands = _sample(steps, at_least_s=MINUTE_S), steps[-1].standing
        totals, counts = self._totals, self.counts
        return Now(
            received_per_minute=minute.received,
            sent_per_minute=minute.sent,
            p50_ms=minute.p50_ms,
            p99_ms=minute.p99_ms,
            connections=stands.connections,
            journal_lag=stands.journal_lag,
            journal_age_seconds=round(stands.journal_age_s, 3),
            replies_waiting=stands.replies_waiting,
            oldest_reply_seconds=round(stands.oldest_reply_s, 3),
            dead_letters=counts.dead_letters if counts else None,
            quarantine=counts.quarantine if counts else None,
            recovered_total=totals.recovered,
            gaps_total=totals.gaps,
            unknown_outcomes_total=totals.unknown_outcomes,
            instances=_states({} if counts is None else counts.instances),
        )

    def _series(self, now: int, params: OverviewParams) -> OverviewSeries:
        of_day = params.minutes * 60 > HOUR * STEP_S
        series = self._day if of_day else self._hour
        count = -(-params.minutes * 60 // series.step_s)
        # Up to the latest step that is closed; of the day, the one it is in.
        overdue = self._hour.number(now) - 2
        latest = max(self._recent[-1].number, overdue) if self._recent else overdue
        first = latest * STEP_S // series.step_s - count + 1
        steps = series.stretch(first, count)

        def each(read: Callable[[_Sample], T | None]) -> list[T | None]:
            return [None if step is None else read(step) for step in steps]

        return OverviewSeries(
            start=utc(first * series.step_s * 1000),
            step_seconds=series.step_s,
            received=each(lambda step: step.received),
            sent=each(lambda step: step.sent),
            p50_ms=each(lambda step: step.p50_ms),
            p99_ms=each(lambda step: step.p99_ms),
            connections=each(lambda step: step.connections),
            journal_lag=each(lambda step: step.journal_lag),
            replies_waiting=each(lambda step: step.replies_waiting),
            oldest_reply_seconds=each(lambda step: step.oldest_reply_s),
            recovered=each(lambda step: step.recovered),
        )

    async def _count(self) -> None:
        while True:
            with suppress(StoreUnavailable):  # health says so; what was last known stands
                self.counts = await self._reads(lambda reader: reader.counts())
                self.sizes = await trio.to_thread.run_sync(self._read_sizes)
            await trio.sleep(STEP_S)


def _sample(steps: Sequence[_Step], *, at_least_s: float = 0.0) -> _Sample:
    seconds = max(sum(step.seconds for step in steps), at_least_s)
    per_minute = 60 / seconds if seconds else 0.0
    latencies = Durations()
    for step in steps:
        latencies += step.latencies
    stands = [step.standing for step in steps]
    return _Sample(
        received=round(sum(step.received for step in steps) * per_minute, 1),
        sent=round(sum(step.sent for step in steps) * per_minute, 1),
        p50_ms=_ms(latencies.quantile(0.5)),
        p99_ms=_ms(latencies.quantile(0.99)),
        connections=max(one.connections for one in stands),
        journal_lag=max(one.journal_lag for one in stands),
        replies_waiting=max(one.replies_waiting for one in stands),
        oldest_reply_s=round(max(one.oldest_reply_s for one in stands), 3),
        recovered=sum(step.recovered for step in steps),
    )


def _states(found: Mapping[str, int]) -> InstanceStates:
    """Of the four that are told; rows have no other."""
    return InstanceStates(**{name: found.get(name, 0) for name in STATES})


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
