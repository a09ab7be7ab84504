"""Health computed from progress, never from a constant (P8).

Answering costs nothing: ``run`` observes, ``report`` has what was observed judged
(``relay/judging.py``).
"""

import math
from collections.abc import Callable

import trio

from evorelay.config import HealthConfig
from evorelay.model.clock import NowMs
from evorelay.model.errors import StoreUnavailable
from evorelay.relay.checks.check import Report
from evorelay.relay.journal import Journal
from evorelay.relay.judging import judge
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reads import Reads
from evorelay.relay.sessions import Sessions
from evorelay.relay.vitals import BackupFacts, Outside, Vitals
from evorelay.telemetry.metrics import Metrics

SAMPLE_S = 1.0
STORE_PROBE_S = 10.0


class Stall:
    """How long something has had work and not moved.

    Its last progress alone does not tell: after an idle hour that is an hour ago.
    """

    def __init__(self) -> None:
        self._mark: object = None
        self._moved_at = -math.inf
        self._has_work = False

    def observe(self, has_work: bool, mark: object, now: float) -> None:
        """``mark`` is anything that changes with every progress."""
        if not has_work or not self._has_work or mark != self._mark:
            self._moved_at = now
        self._has_work, self._mark = has_work, mark

    def seconds(self, now: float) -> float:
        return now - self._moved_at if self._has_work else 0.0


class Health:
    def __init__(
        self,
        journal: Journal,
        pipeline: Pipeline,
        reads: Reads,
        sessions: Sessions,
        metrics: Metrics,
        *,
        now: NowMs,
        free_bytes: Callable[[], int],
        free_bytes_min: int,
        evolution_configured: bool,
        limits: HealthConfig,
        key_trouble: Callable[[], str | None],
        outside: Callable[[], Outside] = Outside,
        backup: Callable[[], BackupFacts | None] = lambda: None,
    ) -> None:
        """``key_trouble`` says what is wrong with the keys that verify tokens, if anything;
        ``outside`` how it stands with Evolution; ``backup`` with backups, None: none are made.
        All three are quick, without IO."""
        self._journal = journal
        self._pipeline = pipeline
        self._reads = reads
        self._sessions = sessions
        self._metrics = metrics
        self._now = now
        self._free_bytes = free_bytes
        self._free_bytes_min = free_bytes_min
        self._evolution_configured = evolution_configured
        self._key_trouble = key_trouble
        self._outside = outside
        self._backup = backup
        self._limits = limits
        self._is_started = False
        self._batches = Stall()
        self._loop_lag_s = 0.0
        self._store_read_s = 0.0
        self._store_error: str | None = None
        self._probe_began_at: float | None = None

    def not_ready(self) -> str | None:
        """Why webhooks are not accepted now; None when they are.

        The gate starts after this service, so whoever can ask finds every part started.
        """
        if not self._is_started:
            return "the relay is starting"
        return self._journal.refusal

    def report(self) -> Report:
        return judge(self.vitals(), self._limits)

    def vitals(self) -> Vitals:
        now = trio.current_time()
        waiting_since = self._journal.waiting_since
        oldest = self._pipeline.oldest_unhandled_at
        probing_s = 0.0 if self._probe_began_at is None else now - self._probe_began_at
        return Vitals(
            at=self._now(),
            refusal=self._journal.refusal,
            commit_waits_s=0.0 if waiting_since is None else now - waiting_since,
            lag=self._pipeline.lag,
            pipeline_stalled_s=self._batches.seconds(now),
            oldest_unhandled_s=0.0 if oldest is None else max(0.0, (self._now() - oldest) / 1000),
            loop_lag_s=self._loop_lag_s,
            store_read_s=max(self._store_read_s, probing_s),
            store_error=self._store_error,
            disk_free=self._free_bytes(),
            disk_watermark=self._free_bytes_min,
            evolution_configured=self._evolution_configured,
            key_trouble=self._key_trouble(),
            sessions=len(self._sessions),
            outside=self._outside(),
            backup=self._backup(),
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Observe until cancelled."""
        async with trio.open_nursery() as nursery:
            self._is_started = True
            nursery.start_soon(self._sample)
            # Beside, not within: a store that hangs must not stop the other observations.
            nursery.start_soon(self._probe_store)
            task_status.started()

    async def _sample(self) -> None:
        while True:
            due = trio.current_time() + SAMPLE_S
            await trio.sleep_until(due)
            now = trio.current_time()
            self._loop_lag_s = now - due
            self._metrics.loop_lag(self._loop_lag_s)
            self._batches.observe(self._pipeline.lag > 0, self._pipeline.cursor, now)

    async def _probe_store(self) -> None:
        while True:
            self._probe_began_at = began_at = trio.current_time()
            try:
                await self._reads(lambda reader: reader.epoch())
            except StoreUnavailable as error:
                self._store_error = str(error)
            else:
                self._store_error = None
            self._probe_began_at = None
            self._store_read_s = trio.current_time() - began_at
            await trio.sleep(STORE_PROBE_S)
