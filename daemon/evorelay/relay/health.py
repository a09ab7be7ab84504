"""Health computed from progress, never from a constant (P8).

Answering costs nothing: ``run`` observes, ``report`` has what was observed judged
(``relay/judging.py``).
"""

from collections.abc import Callable

import trio
from msgspec import Struct

from evorelay.config import HealthConfig
from evorelay.model.clock import NowMs
from evorelay.model.principal import Principal
from evorelay.model.records import InstanceRecord
from evorelay.relay.checks.check import Report
from evorelay.relay.checks.engine import commit
from evorelay.relay.journal import Journal
from evorelay.relay.judging import judge
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.progress import Growth, Stall, Steady
from evorelay.relay.sessions import Sessions
from evorelay.relay.store_probe import StoreProbe
from evorelay.relay.vitals import (
    BackupFacts,
    CanaryFacts,
    InstanceSeen,
    KeyFacts,
    Outside,
    Vitals,
)
from evorelay.telemetry.metrics import Metrics

SAMPLE_S = 1.0
LOOP_SAMPLES = 15
"""The loop is late when it was so for most of as many seconds: one garbage collection or one large
answer alerts nobody."""
FSYNC_SAMPLES = 3
HOLD_S = 60.0
AGE_HOLD_S = 10.0
"""Between two batches of a backlog nothing is under way, and all the same not all is well."""
LOG_SPAN_S = 600.0


class Surroundings(Struct, frozen=True, kw_only=True):
    """What health is told by others. Callables are quick, without IO."""

    canary: Callable[[], CanaryFacts | None] = lambda: None
    """None: none is sent."""
    outside: Callable[[], Outside] = Outside
    """How it stands with Evolution."""
    keys: Callable[[], KeyFacts | None] = lambda: None
    """None: tokens are verified by our own secret alone."""
    backup: Callable[[], BackupFacts | None] = lambda: None
    """None: none are made."""
    log_dropped: Callable[[], int] = lambda: 0
    """Lines of the log lost since the start."""
    evolution_configured: bool = True
    certificate_until: int | None = None
    """Unix ms; None: we serve no TLS ourselves."""


class Health:
    def __init__(
        self,
        journal: Journal,
        pipeline: Pipeline,
        store: StoreProbe,
        sessions: Sessions,
        metrics: Metrics,
        *,
        now: NowMs,
        free_bytes: Callable[[], int],
        free_bytes_min: int,
        limits: HealthConfig,
        surroundings: Surroundings,
    ) -> None:
        self._journal = journal
        self._pipeline = pipeline
        self._store = store
        self._sessions = sessions
        self._metrics = metrics
        self._now = now
        self._free_bytes = free_bytes
        self._free_bytes_min = free_bytes_min
        self._limits = limits
        self._around = surroundings
        self._is_started = False
        self._batches = Stall()
        self._loop_lag = Steady(LOOP_SAMPLES, HOLD_S)
        self._fsync = Steady(FSYNC_SAMPLES, HOLD_S)
        self._age = Steady(1, AGE_HOLD_S)
        self._committed_at: float | None = None
        self._log_dropped = Growth(LOG_SPAN_S)

    def not_ready(self) -> str | None:
        """Why webhooks are not accepted now; None when they are.

        The gate starts after this service, so whoever can ask finds every part started.
        """
        if not self._is_started:
            return "the relay is starting"
        if self._journal.refusal is not None:
            return self._journal.refusal
        # By the same judgement as health; its sentence is not for strangers (P7).
        is_failing = commit(self.vitals(), self._limits).status == "fail"
        return "the journal cannot be written" if is_failing else None

    def report(self, who: Principal | None = None) -> Report:
        """``who``: as it is told to them, of no instance but theirs (P7)."""
        vitals = self.vitals()
        return judge(vitals if who is None else vitals.seen_by(who), self._limits)

    def vitals(self) -> Vitals:
        now, at = trio.current_time(), self._now()
        waiting_since = self._journal.waiting_since
        store, around = self._store, self._around
        behind_s = max(self._pipeline.age_s(), self._age.value(now))
        return Vitals(
            at=at,
            refusal=self._journal.refusal,
            commit_error=self._journal.commit_error,
            commit_error_s=now - self._journal.commit_failed_at,
            commit_waits_s=0.0 if waiting_since is None else now - waiting_since,
            fsync_s=self._fsync.value(now),
            lag=self._pipeline.lag,
            pipeline_stalled_s=self._batches.seconds(now) if self._pipeline.lag else 0.0,
            oldest_unhandled_s=behind_s,
            canary=around.canary(),
            loop_lag_s=self._loop_lag.value(now),
            store_read_s=store.reading.seconds,
            read_error=store.reading.error,
            store_write_s=store.writing.seconds,
            write_error=store.writing.error,
            disk_free=self._free_bytes(),
            disk_watermark=self._free_bytes_min,
            evolution_configured=around.evolution_configured,
            instances=tuple(
                _seen(row, at, behind_s) for row in store.instances if row.cause != "removed"
            ),
            outside=around.outside(),
            keys=around.keys(),
            certificate_until=around.certificate_until,
            quarantined=store.quarantined,
            failed=store.failed,
            log_dropped=self._log_dropped.value,
            backup=around.backup(),
            sessions=len(self._sessions),
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Observe until cancelled."""
        async with trio.open_nursery() as nursery:
            self._is_started = True
            nursery.start_soon(self._sample)
            # Beside, not within: a store that hangs must not stop the other observations.
            nursery.start_soon(self._store.run)
            task_status.started()

    async def _sample(self) -> None:
        while True:
            due = trio.current_time() + SAMPLE_S
            await trio.sleep_until(due)
            now = trio.current_time()
            self._metrics.loop_lag(now - due)
            self._loop_lag.observe(now - due, now)
            # Not the cursor: a huge import moves it only at its end.
            self._batches.observe(self._pipeline.lag > 0, self._pipeline.last_progress_at, now)
            self._age.observe(self._pipeline.age_s(), now)
            if self._journal.committed_at != self._committed_at:
                self._committed_at = self._journal.committed_at
                self._fsync.observe(self._journal.commit_s, now)
            self._log_dropped.observe(self._around.log_dropped(), now)


def _seen(row: InstanceRecord, at: int, behind_s: float) -> InstanceSeen:
    """The row knows what was handled: who is not heard since may be among what waits."""
    return InstanceSeen(
        name=row.name,
        state=row.state,
        state_s=max(0, at - row.state_since) / 1000,
        silent_s=max(0.0, (at - row.last_event_at) / 1000 - behind_s),
    )
