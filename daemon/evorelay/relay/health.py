"""Health computed from progress, never from a constant (P8).

``fail`` means that webhooks cannot be accepted or that the pipeline stands still; anything else
that is wrong is ``warn``, because restarting or bypassing the daemon would not help. Answering
costs nothing: ``run`` observes, ``report`` only judges what was observed.
"""

import math
from collections.abc import Callable
from typing import Literal

import trio
from msgspec import Struct

from evorelay.model.clock import NowMs
from evorelay.model.errors import StoreUnavailable
from evorelay.model.sizes import readable_bytes
from evorelay.relay.journal import Journal
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reads import Reads
from evorelay.relay.sessions import Sessions
from evorelay.telemetry.metrics import Metrics

Status = Literal["pass", "warn", "fail"]

SAMPLE_S = 1.0
STORE_PROBE_S = 10.0
COMMIT_STALLED_S = 10.0
"""A commit takes milliseconds; this long is a disk that hangs, and Evolution gives up at 30 s."""
PIPELINE_STALLED_S = 30.0
PIPELINE_BEHIND_S = 10.0
"""An entry this old and unhandled: agents notice."""
LOOP_LAG_S = 0.25
"""The event loop this late is seen as jerks by every client."""
STORE_SLOW_S = 2.0
DISK_LOW_FACTOR = 2
"""Warn at this many times the watermark below which webhooks are refused."""


class Check(Struct, frozen=True, kw_only=True):
    name: str
    """``component:measurement``."""
    status: Status = "pass"
    value: float | None = None
    unit: str | None = None
    output: str | None = None
    """For a person: what is wrong and what it means, also without the value beside it."""

    def detailed(self) -> dict[str, object]:
        """With the field names of draft-inadarei-api-health-check."""
        fields = {
            "status": self.status,
            "observedValue": self.value,
            "observedUnit": self.unit,
            "output": self.output,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Report(Struct, frozen=True):
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        found = {check.status for check in self.checks}
        return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


class Vitals(Struct, frozen=True, kw_only=True):
    """What was observed; durations in seconds."""

    refusal: str | None = None
    commit_waits_s: float = 0.0
    lag: int = 0
    pipeline_stalled_s: float = 0.0
    """0 while it moves, or has nothing to do."""
    oldest_unhandled_s: float = 0.0
    loop_lag_s: float = 0.0
    store_read_s: float = 0.0
    """How long the last probe took, or the one under way has taken so far."""
    store_error: str | None = None
    disk_free: int = 0
    disk_watermark: int = 0
    evolution_configured: bool = True
    key_trouble: str | None = None
    sessions: int = 0


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
        key_trouble: Callable[[], str | None],
    ) -> None:
        """``key_trouble`` says what is wrong with the keys that verify tokens, if anything."""
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
        return judge(self.vitals())

    def vitals(self) -> Vitals:
        now = trio.current_time()
        waiting_since = self._journal.waiting_since
        oldest = self._pipeline.oldest_unhandled_at
        probing_s = 0.0 if self._probe_began_at is None else now - self._probe_began_at
        return Vitals(
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


def judge(vitals: Vitals) -> Report:
    """Pure: the same vitals always give the same report."""
    checks = (
        _journal(vitals),
        _pipeline(vitals),
        _loop(vitals),
        _store(vitals),
        _disk(vitals),
        _evolution(vitals),
        _keys(vitals),
        Check(name="sessions:connected", value=vitals.sessions, unit="connections"),
    )
    return Report(checks)


def _journal(vitals: Vitals) -> Check:
    status: Status = "pass"
    output = None
    if vitals.refusal is not None:
        status, output = "fail", f"webhooks are refused: {vitals.refusal}"
    elif vitals.commit_waits_s > COMMIT_STALLED_S:
        status, output = "fail", "webhooks wait for a commit that does not end: check the disk"
    return Check(
        name="journal:commit",
        status=status,
        value=round(vitals.commit_waits_s, 4),
        unit="s",
        output=output,
    )


def _pipeline(vitals: Vitals) -> Check:
    status: Status = "pass"
    output = None
    if vitals.pipeline_stalled_s > PIPELINE_STALLED_S:
        status = "fail"
        output = (
            f"no webhook was handled for {vitals.pipeline_stalled_s:.0f} s;"
            f" webhooks waiting: {vitals.lag}, none is lost"
        )
    elif vitals.oldest_unhandled_s > PIPELINE_BEHIND_S:
        status = "warn"
        output = f"behind by {vitals.oldest_unhandled_s:.0f} s; webhooks waiting: {vitals.lag}"
    return Check(
        name="pipeline:lag", status=status, value=vitals.lag, unit="webhooks", output=output
    )


def _loop(vitals: Vitals) -> Check:
    late = vitals.loop_lag_s > LOOP_LAG_S
    return Check(
        name="loop:lag",
        status="warn" if late else "pass",
        value=round(vitals.loop_lag_s, 4),
        unit="s",
        output=f"the processor is overloaded: everything is {vitals.loop_lag_s:.1f} s late"
        if late
        else None,
    )


def _store(vitals: Vitals) -> Check:
    output = None
    if vitals.store_error is not None:
        output = f"the store cannot be read: {vitals.store_error}"
    elif vitals.store_read_s > STORE_SLOW_S:
        output = f"the store answers slowly: one read takes {vitals.store_read_s:.1f} s"
    return Check(
        name="store:read",
        status="pass" if output is None else "warn",
        value=round(vitals.store_read_s, 4),
        unit="s",
        output=output,
    )


def _disk(vitals: Vitals) -> Check:
    output = None
    if vitals.disk_free < DISK_LOW_FACTOR * vitals.disk_watermark:
        output = (
            f"{readable_bytes(vitals.disk_free)} free; webhooks are refused below"
            f" {readable_bytes(vitals.disk_watermark)}: free some space"
        )
    return Check(
        name="disk:free",
        status="pass" if output is None else "warn",
        value=vitals.disk_free,
        unit="bytes",
        output=output,
    )


def _evolution(vitals: Vitals) -> Check:
    if vitals.evolution_configured:
        return Check(name="evolution:configured")
    return Check(
        name="evolution:configured",
        status="warn",
        output="no replies are sent: set evolution.url and evolution.api_key",
    )


def _keys(vitals: Vitals) -> Check:
    if vitals.key_trouble is None:
        return Check(name="auth:keys")
    return Check(name="auth:keys", status="warn", output=vitals.key_trouble)
