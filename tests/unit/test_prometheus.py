"""P8: what an operator's Prometheus reads."""

import platform
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from evorelay import __version__
from evorelay.model.views import MESSAGE_TYPES
from evorelay.telemetry.metrics import PrometheusMetrics, Totals
from evorelay.telemetry.metrics import webhooks as webhook_metrics
from evorelay.telemetry.metrics.labels import LABELS_MAX
from evorelay.telemetry.metrics.readings import INSTANCES_MAX


class Scraped:
    """Metrics and what a scrape of them says."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.totals = Totals()
        self.metrics = PrometheusMetrics(self.registry, self.totals, built_on={"sqlite": "3.99.0"})

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def scraped() -> Scraped:
    return Scraped()


def test_the_two_names_that_are_promised(scraped: Scraped) -> None:
    metrics = scraped.metrics
    metrics.message_counted("text", "received")
    metrics.message_counted("text", "received", 2)
    metrics.session_opened("centrifuge")
    metrics.session_opened("centrifuge")
    metrics.session_closed("centrifuge", "slow")
    assert scraped.value("messages_total", type="text", status="received") == 3
    assert scraped.value("websocket_connections_active") == 1
    assert scraped.value("evorelay_sessions", dialect="centrifuge") == 1
    assert scraped.value("evorelay_sessions", dialect="socketio") == 0
    closed = {"reason": "slow", "dialect": "centrifuge"}
    assert scraped.value("evorelay_sessions_closed_total", **closed) == 1


def test_every_other_name_is_ours_or_the_process_s(scraped: Scraped) -> None:
    allowed = ("evorelay_", "process_", "python_", "messages_total", "websocket_connections_active")
    for line in scraped.text().splitlines():
        assert line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(allowed)


def test_the_build_and_the_process_are_named(scraped: Scraped) -> None:
    built = {"version": __version__, "python": platform.python_version(), "sqlite": "3.99.0"}
    assert scraped.value("evorelay_build_info", **built) == 1
    assert (scraped.value("process_resident_memory_bytes") or 0) > 0


def test_verbs_move_what_they_say(scraped: Scraped) -> None:
    metrics = scraped.metrics
    metrics.webhook_answered(200, 0.002)
    metrics.webhook_refused("unauthorized")
    metrics.journal_committed(10, 5000, 0.003)
    metrics.batch_applied(10, 0.02)
    metrics.ledger_committed(3, 0.004)
    metrics.event_published(20)
    metrics.webhook_to_publish_seconds([0.001, 0.004, 40.0])
    metrics.webhook_to_browser_seconds([0.002, 0.2])
    metrics.command_joined("rest")
    metrics.outcome_unknown(2)
    metrics.deliveries(200)
    metrics.feed_lagged()
    metrics.feed_recovered(7, "cache")
    metrics.gap_detected()
    metrics.service_restarted("hub")
    metrics.loop_lag(0.2)
    metrics.canary_returned(0.01)
    metrics.canary_lost()
    metrics.backup_ended("done", 12.5)
    metrics.backup_checked(False, 8.0)
    expected: list[tuple[str, dict[str, str], float]] = [
        ("evorelay_webhooks_total", {"status": "200"}, 1),
        ("evorelay_webhook_seconds_sum", {}, 0.002),
        ("evorelay_webhooks_refused_total", {"reason": "unauthorized"}, 1),
        ("evorelay_journal_envelopes_total", {}, 10),
        ("evorelay_journal_bytes_total", {}, 5000),
        ("evorelay_journal_commit_seconds_count", {}, 1),
        ("evorelay_journal_commit_envelopes_bucket", {"le": "8.0"}, 0),
        ("evorelay_journal_commit_envelopes_bucket", {"le": "16.0"}, 1),
        ("evorelay_ledger_commit_changes_bucket", {"le": "4.0"}, 1),
        ("evorelay_ledger_commit_seconds_sum", {}, 0.004),
        ("evorelay_pipeline_entries_total", {}, 10),
        ("evorelay_pipeline_batch_seconds_count", {}, 1),
        ("evorelay_events_published_total", {}, 20),
        ("evorelay_webhook_to_publish_seconds_count", {}, 3),
        ("evorelay_webhook_to_publish_seconds_bucket", {"le": "0.005"}, 2),
        ("evorelay_webhook_to_browser_seconds_bucket", {"le": "0.25"}, 2),
        ("evorelay_commands_joined_total", {"path": "rest"}, 1),
        ("evorelay_commands_joined_total", {"path": "socketio"}, 0),
        ("evorelay_reply_unknown_outcomes_total", {}, 2),
        ("evorelay_deliveries_total", {}, 200),
        ("evorelay_feeds_lagged_total", {}, 1),
        ("evorelay_events_recovered_total", {"source": "cache"}, 7),
        ("evorelay_gaps_total", {}, 1),
        ("evorelay_service_restarts_total", {"service": "hub"}, 1),
        ("evorelay_loop_lag_seconds_count", {}, 1),
        ("evorelay_canary_seconds_count", {}, 1),
        ("evorelay_canaries_lost_total", {}, 1),
        ("evorelay_backups_total", {"outcome": "done"}, 1),
        ("evorelay_backup_duration_seconds", {}, 12.5),
        ("evorelay_backup_checks_total", {"outcome": "damaged"}, 1),
    ]
    for name, labels, value in expected:
        assert scraped.value(name, **labels) == value, name


def test_the_overview_counts_what_prometheus_counts(scraped: Scraped) -> None:
    metrics, totals = scraped.metrics, scraped.totals
    metrics.message_counted("text", "received", 3)
    metrics.message_counted("text", "duplicate")
    metrics.message_counted("messages.update", "received")
    metrics.message_counted("image", "sent", 2)
    metrics.recovered("text")
    metrics.outcome_unknown()
    metrics.gap_detected()
    found = (totals.received, totals.sent, totals.recovered, totals.unknown_outcomes, totals.gaps)
    assert found == (3, 2, 1, 1, 1)


def test_every_type_of_message_is_known_from_the_start() -> None:
    assert webhook_metrics.MESSAGE_TYPES == MESSAGE_TYPES


def test_what_alerts_are_built_on_is_there_before_it_happens(scraped: Scraped) -> None:
    """A rate over a series that appears with its first failure misses that failure."""
    scraped.metrics.services_known(["gate", "instance news"])
    assert scraped.value("evorelay_webhooks_refused_total", reason="unauthorized") == 0
    assert scraped.value("messages_total", type="text", status="failed") == 0
    assert scraped.value("evorelay_gaps_total") == 0
    assert scraped.value("evorelay_reply_doubts_total", end="given_up") == 0
    assert scraped.value("evorelay_backup_checks_total", outcome="damaged") == 0
    assert scraped.value("evorelay_service_restarts_total", service="instance news") == 0
    scraped.metrics.service_restarted("instance news")
    assert scraped.value("evorelay_service_restarts_total", service="instance news") == 1


def test_labels_from_outside_are_bounded(scraped: Scraped) -> None:
    """P5: whoever invents event names cannot make the metrics grow without end."""
    invented = [f"made.up.{number}" for number in range(5 * LABELS_MAX)]
    for name in [*invented, "x" * 10_000, "\udc80"]:
        scraped.metrics.message_counted(name, "quarantined")
    own = [line for line in scraped.text().splitlines() if line.startswith("messages_total{")]
    kept = [line for line in own if "made.up." in line]
    assert len(own) <= LABELS_MAX + 1
    others = scraped.value("messages_total", type="other", status="quarantined")
    assert others == len(invented) + 2 - len(kept)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "5531988887777",
            "+55 31 98888-7777",
            "event.5531988887777",
            "5531988887777@s.whatsapp.net",
        ),
        *(
            "12345678901234@lid",
            "ana@example.com",
            "Ana Maria",
            "olá",
            'x"} 1\nfake_total{a="b',
            "",
        ),
    ],
)
def test_no_person_becomes_a_label(scraped: Scraped, name: str) -> None:
    """P7: an event's name comes from outside, and may be anything."""
    before = scraped.text()
    scraped.metrics.message_counted(name, "received")
    scraped.metrics.recovered(name)
    after = scraped.text()
    ours = [line for line in after.splitlines() if line.startswith(("messages_", "evorelay_"))]
    added = {*ours} - {*before.splitlines()}
    assert {line.partition("{")[2].partition("}")[0] for line in added} == {
        'status="received",type="other"',
        'kind="other"',
    }
    list(text_string_to_metric_families(after))  # it is still well-formed


def test_known_message_types_keep_their_place_beside_invented_ones(scraped: Scraped) -> None:
    for number in range(5 * LABELS_MAX):
        scraped.metrics.message_counted(f"made.up.{number}", "quarantined")
    scraped.metrics.message_counted("image", "received")
    assert scraped.value("messages_total", type="image", status="received") == 1


def test_readings_are_taken_at_the_scrape_and_replaced_by_name(scraped: Scraped) -> None:
    now = 1.0
    scraped.metrics.gauge("evorelay_free_bytes", "Free", lambda: 0.0)
    scraped.metrics.gauge("evorelay_free_bytes", "Free", lambda: now)
    scraped.metrics.counter("evorelay_lost_total", "Lost", lambda: now + 2)
    scraped.metrics.gauge_by("file", "evorelay_file_bytes", "Size", lambda: {"store": now + 1})
    scraped.metrics.counter_by("by", "evorelay_waits_total", "Waits", lambda: {"a": now + 3})
    now = 5.0
    assert scraped.value("evorelay_free_bytes") == 5
    assert scraped.value("evorelay_lost_total") == 7
    assert scraped.value("evorelay_file_bytes", file="store") == 6
    assert scraped.value("evorelay_waits_total", by="a") == 8


def test_what_has_no_value_is_absent_and_not_zero(scraped: Scraped) -> None:
    """An alert must not take "not known yet" for 0."""
    scraped.metrics.gauge("evorelay_keys_age_seconds", "Age", lambda: None)
    assert scraped.value("evorelay_keys_age_seconds") is None
    assert "# TYPE evorelay_keys_age_seconds gauge" in scraped.text()


@pytest.mark.parametrize(("rest", "value"), [("sum", 6.0), ("max", 3.0)])
def test_instances_beyond_the_bound_are_put_together(
    scraped: Scraped, rest: str, value: float
) -> None:
    """P5"""
    few = {f"i{number:04}": 1.0 for number in range(INSTANCES_MAX)}
    more = {"j1": 1.0, "j2": 2.0, "j3": 3.0}
    scraped.metrics.gauge_by_instance(
        "evorelay_instance_open",
        "Open",
        lambda: {**more, **few},
        rest,  # type: ignore[arg-type]  # one of the two
    )
    assert scraped.value("evorelay_instance_open", evolution_instance="i0000") == 1
    assert scraped.value("evorelay_instance_open", evolution_instance="j1") is None
    assert scraped.value("evorelay_instance_open", evolution_instance="other") == value


def test_two_registries_stand_side_by_side() -> None:
    """No global registry: a second daemon in one process, as in tests, is no clash."""
    first, second = Scraped(), Scraped()
    first.metrics.gap_detected()
    assert second.value("evorelay_gaps_total") == 0


def help_lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, documentation = line.removeprefix("# HELP ").partition(" ")
            yield name, documentation


def test_every_metric_says_what_it_is(scraped: Scraped) -> None:
    ours = {name: text for name, text in help_lines(scraped.text()) if "evorelay" in name}
    assert len(ours) > 20
    assert [name for name, text in ours.items() if len(text.split()) < 3] == []
