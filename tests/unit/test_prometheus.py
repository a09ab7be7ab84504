"""P8: what an operator's Prometheus reads."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from evorelay import __version__
from evorelay.telemetry.metrics import PrometheusMetrics
from evorelay.telemetry.metrics.prometheus import INSTANCES_MAX, LABELS_MAX


class Scraped:
    """Metrics and what a scrape of them says."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = PrometheusMetrics(self.registry)

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
    closed = {"reason": "slow", "dialect": "centrifuge"}
    assert scraped.value("evorelay_sessions_closed_total", **closed) == 1


def test_every_other_name_is_ours_or_the_process_s(scraped: Scraped) -> None:
    allowed = ("evorelay_", "process_", "python_", "messages_total", "websocket_connections_active")
    for line in scraped.text().splitlines():
        assert line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(allowed)


def test_the_build_and_the_process_are_named(scraped: Scraped) -> None:
    assert scraped.value("evorelay_build_info", version=__version__) == 1
    assert (scraped.value("process_resident_memory_bytes") or 0) > 0


def test_verbs_move_what_they_say(scraped: Scraped) -> None:
    metrics = scraped.metrics
    metrics.webhook_answered(200, 0.002)
    metrics.webhook_refused("unauthorized")
    metrics.journal_committed(10, 5000, 0.003)
    metrics.batch_applied(10, 0.02)
    metrics.canary_returned(0.004)
    metrics.canary_lost()
    metrics.event_published(20)
    metrics.webhook_to_publish_seconds([0.001, 0.004, 40.0])
    metrics.command_joined("rest")
    metrics.deliveries(200)
    metrics.feed_lagged()
    metrics.feed_recovered(7, "cache")
    metrics.gap_detected()
    metrics.service_restarted("hub")
    metrics.loop_lag(0.2)
    expected: list[tuple[str, dict[str, str], float]] = [
        ("evorelay_webhooks_total", {"status": "200"}, 1),
        ("evorelay_webhook_seconds_sum", {}, 0.002),
        ("evorelay_webhooks_refused_total", {"reason": "unauthorized"}, 1),
        ("evorelay_journal_envelopes_total", {}, 10),
        ("evorelay_journal_bytes_total", {}, 5000),
        ("evorelay_journal_commit_seconds_count", {}, 1),
        ("evorelay_pipeline_entries_total", {}, 10),
        ("evorelay_pipeline_batch_seconds_count", {}, 1),
        ("evorelay_events_published_total", {}, 20),
        ("evorelay_webhook_to_publish_seconds_count", {}, 3),
        ("evorelay_webhook_to_publish_seconds_bucket", {"le": "0.005"}, 2),
        ("evorelay_commands_joined_total", {"path": "rest"}, 1),
        ("evorelay_commands_joined_total", {"path": "socketio"}, 0),
        ("evorelay_deliveries_total", {}, 200),
        ("evorelay_feeds_lagged_total", {}, 1),
        ("evorelay_events_recovered_total", {"source": "cache"}, 7),
        ("evorelay_gaps_total", {}, 1),
        ("evorelay_service_restarts_total", {"service": "hub"}, 1),
        ("evorelay_loop_lag_seconds_count", {}, 1),
        ("evorelay_canary_seconds_count", {}, 1),
        ("evorelay_canaries_lost_total", {}, 1),
    ]
    for name, labels, value in expected:
        assert scraped.value(name, **labels) == value, name


def test_what_alerts_are_built_on_is_there_before_it_happens(scraped: Scraped) -> None:
    """A rate over a series that appears with its first failure misses that failure."""
    assert scraped.value("evorelay_webhooks_refused_total", reason="unauthorized") == 0
    assert scraped.value("messages_total", type="text", status="failed") == 0
    assert scraped.value("evorelay_gaps_total") == 0


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


def test_known_message_types_keep_their_place_beside_invented_ones(scraped: Scraped) -> None:
    for number in range(5 * LABELS_MAX):
        scraped.metrics.message_counted(f"made.up.{number}", "quarantined")
    scraped.metrics.message_counted("image", "received")
    assert scraped.value("messages_total", type="image", status="received") == 1


def test_readings_are_taken_at_the_scrape_and_replaced_by_name(scraped: Scraped) -> None:
    now = 1.0
    scraped.metrics.gauge("evorelay_free_bytes", "Free", lambda: 0.0)
    scraped.metrics.gauge("evorelay_free_bytes", "Free", lambda: now)
    scraped.metrics.pipeline_age(lambda: now + 1)
    scraped.metrics.log_dropped(lambda: now + 2)
    now = 5.0
    assert scraped.value("evorelay_free_bytes") == 5
    assert scraped.value("evorelay_pipeline_age_seconds") == 6
    assert scraped.value("evorelay_log_records_dropped_total") == 7


def test_instances_beyond_the_bound_are_summed_up(scraped: Scraped) -> None:
    names = [f"i{number:04}" for number in range(INSTANCES_MAX + 3)]
    scraped.metrics.gauge_by_instance(
        "evorelay_instance_open", "Open", lambda: dict.fromkeys(names, 1.0)
    )
    assert scraped.value("evorelay_instance_open", instance="i0000") == 1
    assert scraped.value("evorelay_instance_open", instance=names[-1]) is None
    assert scraped.value("evorelay_instance_open", instance="other") == 3


def test_two_registries_stand_side_by_side() -> None:
    """No global registry: a second daemon in one process, as in tests, is no clash."""
    first, second = Scraped(), Scraped()
    first.metrics.gap_detected()
    assert second.value("evorelay_gaps_total") == 0
