"""The verbs as Prometheus metrics in a registry that is handed in.

Cost on a 2-core virtual machine, by ``timeit``: 0.3 us for a counter, 0.5 us for a histogram; so
1.0 us for ``webhook_answered``, which is one of each, and for ``journal_committed``, which comes
once per group; 0.5 us per figure of ``webhook_to_publish_seconds``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from evorelay import __version__
from evorelay.telemetry.metrics.totals import Totals
from evorelay.telemetry.metrics.verbs import Reading

MESSAGE_TYPES = (
    *("text", "image", "video", "audio", "document", "sticker"),
    *("location", "contact", "poll", "order", "product", "payment", "event", "invite", "album"),
    *("call", "unsupported"),
)
MESSAGE_STATUSES = ("received", "duplicate", "quarantined", "sent", "failed")
REFUSAL_REASONS = (
    *("unauthorized", "not_json", "too_large"),
    *("redirect_suspected", "unavailable", "bad_request"),
)
ATTEMPT_OUTCOMES = (
    *("sent", "permanent", "retry", "unknown"),
    *("instance_down", "gateway_down", "licence"),
)
WEBHOOK_STATUSES = ("200", "400", "401", "405", "413", "503")

LABELS_MAX = 256
"""Combinations of label values of one metric that get a series of their own."""
LABEL_CHARS_MAX = 64
INSTANCES_MAX = 500
OTHER = "other"

_LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""From a commit on a fast disk to Evolution's own time-out of 30 s."""


class _Counters(dict[tuple[str, ...], Counter]):
    """A labelled counter's children, bound on first use.

    Only the first label may come from outside (an event's name, say); past ``LABELS_MAX``
    combinations, or when it looks like no name of ours, it counts as ``other``.
    """

    def __init__(self, counter: Counter, known: Iterable[tuple[str, ...]] = ()) -> None:
        super().__init__()
        self._counter = counter
        for labels in known:
            self[labels] = counter.labels(*labels)

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        open_label = labels[0]
        is_name = len(open_label) <= LABEL_CHARS_MAX and open_label.isascii()
        if len(self) >= LABELS_MAX or not is_name:
            return self._counter.labels(OTHER, *labels[1:])
        child = self[labels] = self._counter.labels(*labels)
        return child


class _Readings(Collector):
    """Values that are read at each scrape."""

    def __init__(self) -> None:
        self.families: dict[str, Callable[[], Metric]] = {}

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is registered yet when the registry asks

    def collect(self) -> Iterator[Metric]:
        for read_family in self.families.values():
            yield read_family()


class PrometheusMetrics:
    """``Metrics`` in ``registry``, with ``process_*``, ``python_*`` and ``evorelay_build_info``."""

    def __init__(self, registry: CollectorRegistry, totals: Totals | None = None) -> None:
        """``totals``: where what the overview shows is counted as well."""
        self._totals = totals or Totals()
        # They double every counter, and the client has no switch but this one.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it takes and gives nothing
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info("evorelay_build", "What runs here", registry=registry).info({"version": __version__})
        self._readings = _Readings()
        registry.register(self._readings)

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(name, documentation, labels, registry=registry)

        def histogram(name: str, documentation: str) -> Histogram:
            return Histogram(name, documentation, registry=registry, buckets=_LATENCY_S)

        self._webhooks = _Counters(
            counter("evorelay_webhooks_total", "Webhooks answered, by HTTP status", "status"),
            ((status,) for status in WEBHOOK_STATUSES),
        )
        self._webhook_s = histogram("evorelay_webhook_seconds", "Whole body to answer")
        self._refused = _Counters(
            counter("evorelay_webhooks_refused_total", "Webhooks refused, and why", "reason"),
            ((reason,) for reason in REFUSAL_REASONS),
        )
        self._journaled = counter("evorelay_journal_envelopes_total", "Envelopes made durable")
        self._journaled_bytes = counter("evorelay_journal_bytes_total", "Bytes made durable")
        self._commit_s = histogram("evorelay_journal_commit_seconds", "One group commit")
        self._messages = _Counters(
            counter("messages_total", "Messages, by what became of them", "type", "status"),
            product(MESSAGE_TYPES, MESSAGE_STATUSES),
        )
        self._applied = counter("evorelay_pipeline_entries_total", "Journal entries applied")
        self._batch_s = histogram("evorelay_pipeline_batch_seconds", "One batch in the store")
        self._published = counter("evorelay_events_published_total", "Events clients are told")
        self._publish_s = histogram(
            "evorelay_webhook_to_publish_seconds", "A webhook's arrival to its publication"
        )
        self._browser_s = histogram(
            "evorelay_webhook_to_browser_seconds",
            "A webhook's arrival to its events written to every connected client that reads",
        )
        self._attempts = _Counters(
            counter("evorelay_reply_attempts_total", "Calls to send a reply", "outcome"),
            ((outcome,) for outcome in ATTEMPT_OUTCOMES),
        )
        self._attempt_s = Histogram(
            "evorelay_reply_attempt_seconds",
            "One call to send a reply",
            registry=registry,
            buckets=(*_LATENCY_S, 60, 120),
        )
        self._fetched = _Counters(
            counter("evorelay_media_fetches_total", "Tries to fetch a message's file", "outcome"),
            (("fetched",), ("retried",), ("failed",)),
        )
        self._joined = _Counters(
            counter("evorelay_commands_joined_total", "Texts by two paths, sent once", "path"),
            ((path,) for path in ("socketio", "rest", "endpoint")),
        )
        self._unknown = counter(
            "evorelay_reply_unknown_outcomes_total",
            "Replies of which it was unclear whether they were sent; looked up before any resend",
        )
        self._doubts = _Counters(
            counter("evorelay_reply_doubts_total", "Unknown outcomes, how they ended", "end"),
            ((end,) for end in ("sent", "not_sent", "given_up")),
        )
        self._active = Gauge(
            "websocket_connections_active", "Clients connected now", registry=registry
        )
        self._opened = _Counters(
            counter("evorelay_sessions_opened_total", "Sessions opened", "dialect")
        )
        self._closed = _Counters(
            counter("evorelay_sessions_closed_total", "Sessions ended, why", "reason", "dialect")
        )
        self._deliveries = counter("evorelay_deliveries_total", "Events handed to sessions")
        self._lagged = counter("evorelay_feeds_lagged_total", "Feeds that fell behind")
        self._recovered = _Counters(
            counter("evorelay_events_recovered_total", "Missed events delivered later", "source"),
            (("cache",), ("store",)),
        )
        self._recovered_kinds = _Counters(
            counter("evorelay_recovered_total", "Found though Evolution never posted it", "kind"),
            ((kind,) for kind in (*MESSAGE_TYPES, "status")),
        )
        self._reconciled = _Counters(
            counter("evorelay_reconcile_runs_total", "Comparisons", "trigger", "outcome"),
            product(("start", "open", "silence", "command"), ("done", "cut", "failed")),
        )
        self._gaps = counter("evorelay_gaps_total", "Offsets not contiguous: a bug, report it")
        self._backups = _Counters(
            counter("evorelay_backups_total", "Backups that were to be made", "outcome"),
            ((outcome,) for outcome in ("done", "failed", "skipped")),
        )
        self._backup_checks = _Counters(
            counter("evorelay_backup_checks_total", "Backups restored and compared", "outcome"),
            (("whole",), ("damaged",)),
        )
        self._backup_s = Gauge(
            "evorelay_backup_duration_seconds", "Of the latest backup", registry=registry
        )
        self._backup_check_s = Gauge(
            "evorelay_backup_check_duration_seconds",
            "Of the latest attempt to restore a backup",
            registry=registry,
        )
        self._restarts = _Counters(
            counter("evorelay_service_restarts_total", "Services that crashed", "service")
        )
        self._loop_lag_s = histogram("evorelay_loop_lag_seconds", "Lateness of the event loop")
        self._canary_s = histogram("evorelay_canary_seconds", "A test message's way through it all")
        self._canaries_lost = counter("evorelay_canaries_lost_total", "Test messages given up")

    def webhook_answered(self, status: int, seconds: float) -> None:
        self._webhooks[str(status),].inc()
        self._webhook_s.observe(seconds)

    def webhook_refused(self, reason: str) -> None:
        self._refused[reason,].inc()

    def journal_committed(self, count: int, size_bytes: int, seconds: float) -> None:
        self._journaled.inc(count)
        self._journaled_bytes.inc(size_bytes)
        self._commit_s.observe(seconds)

    def message_counted(self, type: str, status: str, count: int = 1) -> None:
        self._messages[type, status].inc(count)
        if status == "sent":
            self._totals.sent += count
        elif status == "received" and type in MESSAGE_TYPES:
            self._totals.received += count

    def batch_applied(self, entries: int, seconds: float) -> None:
        self._applied.inc(entries)
        self._batch_s.observe(seconds)

    def pipeline_age(self, read: Reading) -> None:
        name = "evorelay_pipeline_age_seconds"
        self.gauge(name, "Age of the oldest webhook not handled yet", read)

    def event_published(self, count: int) -> None:
        self._published.inc(count)

    def webhook_to_publish_seconds(self, many: Sequence[float]) -> None:
        self._totals.published(many)
        observe = self._publish_s.observe
        for seconds in many:
            observe(seconds)

    def webhook_to_browser_seconds(self, many: Sequence[float]) -> None:
        self._totals.written(many)
        observe = self._browser_s.observe
        for seconds in many:
            observe(seconds)

    def attempt_ended(self, outcome: str, seconds: float) -> None:
        self._attempts[outcome,].inc()
        self._attempt_s.observe(seconds)

    def media_fetched(self, outcome: str) -> None:
        self._fetched[outcome,].inc()

    def command_joined(self, path: str) -> None:
        self._joined[path,].inc()

    def outcome_unknown(self, count: int = 1) -> None:
        self._unknown.inc(count)
        self._totals.unknown_outcomes += count

    def doubt_settled(self, how: str) -> None:
        self._doubts[how,].inc()

    def session_opened(self, dialect: str) -> None:
        self._active.inc()
        self._opened[dialect,].inc()

    def session_closed(self, dialect: str, reason: str) -> None:
        self._active.dec()
        self._closed[reason, dialect].inc()

    def deliveries(self, count: int) -> None:
        self._deliveries.inc(count)

    def feed_lagged(self) -> None:
        self._lagged.inc()

    def feed_recovered(self, events: int, source: str) -> None:
        self._recovered[source,].inc(events)

    def recovered(self, kind: str) -> None:
        self._recovered_kinds[kind,].inc()
        self._totals.recovered += 1

    def reconciled(self, trigger: str, outcome: str) -> None:
        self._reconciled[trigger, outcome].inc()

    def gap_detected(self) -> None:
        self._gaps.inc()
        self._totals.gaps += 1

    def backup_ended(self, outcome: str, seconds: float) -> None:
        self._backups[outcome,].inc()
        if outcome == "done":
            self._backup_s.set(seconds)

    def backup_checked(self, is_whole: bool, seconds: float) -> None:
        self._backup_checks["whole" if is_whole else "damaged",].inc()
        self._backup_check_s.set(seconds)

    def service_restarted(self, name: str) -> None:
        self._restarts[name,].inc()

    def loop_lag(self, seconds: float) -> None:
        self._loop_lag_s.observe(seconds)

    def canary_returned(self, seconds: float) -> None:
        self._canary_s.observe(seconds)

    def canary_lost(self) -> None:
        self._canaries_lost.inc()

    def log_dropped(self, read: Reading) -> None:
        name = "evorelay_log_records_dropped_total"
        self._readings.families[name] = lambda: CounterMetricFamily(
            name, "Log records lost because nobody read them", value=read()
        )

    def gauge(self, name: str, documentation: str, read: Reading) -> None:
        self._readings.families[name] = lambda: GaugeMetricFamily(name, documentation, value=read())

    def gauge_by_instance(
        self, name: str, documentation: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        def read_family() -> Metric:
            family = GaugeMetricFamily(name, documentation, labels=["instance"])
            values = sorted(read().items())
            for instance, value in values[:INSTANCES_MAX]:
                family.add_metric([instance], value)
            if len(values) > INSTANCES_MAX:
                family.add_metric([OTHER], sum(value for _, value in values[INSTANCES_MAX:]))
            return family

        self._readings.families[name] = read_family
