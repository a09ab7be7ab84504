"""What ``/metrics`` reads at each scrape: the state of the parts, as opposed to what they count.

Those with the label ``evolution_instance`` have a series for each Evolution instance, 500 of them
at most (telemetry/metrics/readings.py): only what somebody acts on for one instance.
"""

from collections.abc import Callable, Mapping

import trio

from evorelay.assembly.core import Core
from evorelay.assembly.edges import Edges
from evorelay.assembly.outward import Outward
from evorelay.edge.jwks import Jwks
from evorelay.model.clock import now_ms
from evorelay.model.records import InstanceRecord
from evorelay.relay.health import Health
from evorelay.relay.overview import STATES, Overview
from evorelay.relay.watch import Troubles
from evorelay.telemetry.logs import LogPipe
from evorelay.telemetry.metrics import Metrics

_BADNESS = {"pass": 0.0, "warn": 1.0, "fail": 2.0}


def show(
    core: Core,
    outward: Outward,
    edges: Edges,
    pipe: LogPipe,
    *,
    free_bytes: Callable[[], int],
    free_bytes_min: int,
) -> None:
    """Register them all."""
    _show_queues(core, outward, edges)
    _show_pacing(core)
    _show_instances(core, outward)
    _show_overview(core.metrics, edges.overview)
    _show_health(core.metrics, edges.health)
    if edges.jwks is not None:
        _show_keys(core.metrics, edges.jwks)
    gauge = core.metrics.gauge
    gauge("evorelay_disk_free_bytes", "Free where the journal grows", free_bytes)
    gauge(
        "evorelay_disk_watermark_bytes",
        "With less than this free, webhooks are refused",
        lambda: free_bytes_min,
    )
    core.metrics.counter(
        "evorelay_log_records_dropped_total",
        "Log records lost because nobody read them",
        lambda: pipe.dropped,
    )


def _show_queues(core: Core, outward: Outward, edges: Edges) -> None:
    gauge, journal, pipeline, lanes = core.metrics.gauge, core.journal, core.pipeline, core.lanes

    def commit_waits_s() -> float:
        since = journal.waiting_since
        return 0.0 if since is None else trio.current_time() - since

    gauge(
        "evorelay_accepting_webhooks",
        "1 while webhooks are accepted, 0 while they are answered 503",
        lambda: float(edges.health.not_ready() is None),
    )
    gauge(
        "evorelay_journal_wait_seconds",
        "How long the oldest webhook has waited for its commit",
        commit_waits_s,
    )
    gauge(
        "evorelay_pipeline_lag_entries",
        "Webhooks that are durable and not handled yet",
        lambda: pipeline.lag,
    )
    gauge(
        "evorelay_pipeline_age_seconds",
        "How long ago the oldest webhook arrived that is not handled yet, 0 for none",
        pipeline.age_s,
    )
    gauge(
        "evorelay_replies_waiting",
        "Replies that are neither sent nor given up",
        lambda: lanes.total_waiting,
    )
    gauge(
        "evorelay_reply_age_seconds",
        "How long ago the oldest waiting reply was queued, 0 for none",
        lanes.oldest_waiting_s,
    )
    gauge(
        "evorelay_media_waiting",
        "Files of messages that are yet to be fetched, some 500 at most",
        lambda: outward.fetching.waiting,
    )
    gauge("evorelay_cache_bytes", "Recent events in memory", lambda: core.cache.bytes)
    gauge(
        "evorelay_channels_watched",
        "Inboxes, tickets and instances that somebody is subscribed to, and our own test channel",
        lambda: core.hub.channels,
    )
    gauge(
        "evorelay_catchup_waiting",
        "Clients' channels that wait for their turn to be caught up",
        lambda: len(core.catchup),
    )
    gauge("evorelay_connections", "Open TCP connections", lambda: edges.gate.connections)
    gauge(
        "evorelay_socketio_polling",
        "Socket.IO clients that are carried by long-polling",
        lambda: edges.engineio.polled,
    )


def _show_pacing(core: Core) -> None:
    metrics, lanes = core.metrics, core.lanes
    metrics.counter_by(
        "by",
        "evorelay_pacing_waits_total",
        "Replies that were held back to keep the pace of their instance, or of their recipient",
        lambda: {by: one.times for by, one in lanes.paced().items()},
    )
    metrics.counter_by(
        "by",
        "evorelay_pacing_wait_seconds_total",
        "How long replies were held back to keep the pace, all together",
        lambda: {by: one.seconds for by, one in lanes.paced().items()},
    )
    metrics.gauge_by_instance(
        "evorelay_pacing_tokens",
        "Replies the instance may send at once now; below 1 the next one waits",
        lanes.tokens,
    )
    metrics.gauge_by_instance(
        "evorelay_lane_parked",
        "1 while an instance can send nothing; absent while it can",
        lambda: dict.fromkeys(lanes.parked(), 1.0),
    )


def _show_instances(core: Core, outward: Outward) -> None:
    def each(value: Callable[[InstanceRecord], float | None]) -> Callable[[], Mapping[str, float]]:
        def read() -> Mapping[str, float]:
            rows = [row for row in core.store_probe.instances if row.cause != "removed"]
            return {row.name: found for row in rows if (found := value(row)) is not None}

        return read

    def troubled(names: Callable[[Troubles], tuple[str, ...]]) -> Callable[[], dict[str, float]]:
        """As health has it, and not as the store had it a moment ago."""

        def read() -> dict[str, float]:
            known = [row.name for row in core.store_probe.instances if row.cause != "removed"]
            return dict.fromkeys(known, 0.0) | dict.fromkeys(names(outward.watch.troubles()), 1.0)

        return read

    by_instance = core.metrics.gauge_by_instance
    by_instance(
        "evorelay_instance_open",
        "1 while the instance is connected to WhatsApp, 0 while not; absent until that is known",
        each(lambda row: None if row.state == "unknown" else float(row.state == "open")),
    )
    by_instance(
        "evorelay_instance_silence_seconds",
        "How long ago the instance last posted a webhook, as far as they are handled",
        each(lambda row: max(0.0, (now_ms() - row.last_event_at) / 1000 - core.pipeline.age_s())),
        "max",
    )
    by_instance(
        "evorelay_instance_suspected",
        "1 while the instance says it is connected and WhatsApp does not answer through it",
        troubled(lambda found: found.suspected),
    )
    by_instance(
        "evorelay_instance_missing",
        "1 while Evolution does not have the instance",
        troubled(lambda found: found.missing),
    )
    by_instance(
        "evorelay_instance_unregistered",
        "1 while Evolution does not post the instance's webhooks to us",
        each(lambda row: float(row.registration is not None and row.registration["state"] != "ok")),
    )


def _show_overview(metrics: Metrics, overview: Overview) -> None:
    def instances() -> Mapping[str, float]:
        counts = overview.counts
        return {} if counts is None else {s: counts.instances.get(s, 0) for s in STATES}

    metrics.gauge(
        "evorelay_dead_letters",
        "Replies that failed and were not retried",
        lambda: None if overview.counts is None else overview.counts.dead_letters,
    )
    metrics.gauge(
        "evorelay_quarantine",
        "Webhooks that are kept and not understood so far",
        lambda: None if overview.counts is None else overview.counts.quarantine,
    )
    metrics.gauge_by("state", "evorelay_instances", "Instances, by state", instances)
    metrics.gauge_by(
        "file",
        "evorelay_database_bytes",
        "Size of each database file, and of the log in front of it",
        lambda: overview.sizes,
    )


def _show_health(metrics: Metrics, health: Health) -> None:
    def checks() -> Mapping[str, float]:
        found: dict[str, float] = {}
        for check in health.report().checks:  # several may share a name, one for each instance
            found[check.name] = max(found.get(check.name, 0.0), _BADNESS[check.status])
        return found

    metrics.gauge_by(
        "check", "evorelay_health", "Each check of /health: 0 pass, 1 warn, 2 fail", checks
    )


def _show_keys(metrics: Metrics, jwks: Jwks) -> None:
    def age_s() -> float | None:
        fetched_at = jwks.statistics().last_success_at
        return None if fetched_at is None else max(0.0, (now_ms() - fetched_at) / 1000)

    metrics.gauge(
        "evorelay_jwks_age_seconds",
        "How old the keys are that verify tokens; absent until they were fetched once",
        age_s,
    )
    metrics.gauge(
        "evorelay_jwks_keys",
        "Keys that verify tokens, of auth.jwks_url",
        lambda: jwks.statistics().keys,
    )
    metrics.counter(
        "evorelay_jwks_failures_total",
        "Times the keys could not be fetched",
        lambda: jwks.statistics().failures,
    )
