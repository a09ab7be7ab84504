"""P8: Prometheus's own tool says that the alert rules are right, and each fires when it should.

Every rule has a row with what makes it fire and what must not. `promtool` is Debian's (Makefile).
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from evorelay.cli.main import main
from tests.support.prometheus import ALERTS, README, promtool

RULE = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)
LONG_MINUTES = 60
"""Beyond it the rules are not evaluated every minute, which would take long."""
Series = dict[str, str]
"""Name with labels -> values in promtool's notation, one a minute."""


class Case(NamedTuple):
    alert: str
    bad: Series
    """With these the alert fires after ``minutes``."""
    good: Series
    """With these it does not."""
    minutes: int


def grows_once(name: str, minutes: int = 8) -> Case:
    """Of a counter: it was 3 and is 4; having been 3 for long is no news."""
    return Case("", {name: f"3x{minutes - 2} 4x60"}, {name: "3x70"}, minutes)


def quantile(name: str, slow_le: str, fast_le: str) -> tuple[Series, Series]:
    """A histogram in which everything is slow, and one in which everything is fast."""
    slow = {
        f'{name}_bucket{{le="{fast_le}"}}': "0x60",
        f'{name}_bucket{{le="{slow_le}"}}': "0+100x60",
        f'{name}_bucket{{le="+Inf"}}': "0+100x60",
    }
    return slow, {**slow, f'{name}_bucket{{le="{fast_le}"}}': "0+100x60"}


def counter(alert: str, name: str, minutes: int = 8) -> Case:
    return grows_once(name, minutes)._replace(alert=alert)


def gauge(alert: str, name: str, bad: str, good: str, minutes: int) -> Case:
    return Case(alert, {name: f"{bad}x600"}, {name: f"{good}x600"}, minutes)


REFUSED = "evorelay_webhooks_refused_total"
ACCEPTED = 'evorelay_webhooks_total{status="200"}'
LOOP = quantile("evorelay_loop_lag_seconds", "0.5", "0.1")
SLOW = quantile("evorelay_webhook_to_browser_seconds", "2.5", "0.01")
DISK = quantile("evorelay_journal_commit_seconds", "1", "0.01")
WATERMARK = {"evorelay_disk_watermark_bytes": "100x600"}

CASES = (
    gauge("EvoRelayDown", "up", "0", "1", 3),
    Case("EvoRelayDown", {"up": "_x60"}, {"up": "1x60"}, 3),
    gauge("EvoRelayRefusesWebhooks", "evorelay_accepting_webhooks", "0", "1", 3),
    Case(
        "EvoRelayOnlyUnauthorizedWebhooks",
        {f'{REFUSED}{{reason="unauthorized"}}': "0+1x60", ACCEPTED: "7x60"},
        {f'{REFUSED}{{reason="unauthorized"}}': "0+1x60", ACCEPTED: "0+1x60"},
        8,
    ),
    counter("EvoRelayWebhooksUnauthorized", f'{REFUSED}{{reason="unauthorized"}}'),
    counter("EvoRelayWebhooksRedirected", f'{REFUSED}{{reason="redirect_suspected"}}'),
    counter("EvoRelayWebhooksTooLarge", f'{REFUSED}{{reason="too_large"}}'),
    gauge("EvoRelayPipelineBehind", "evorelay_pipeline_age_seconds", "31", "29", 4),
    Case(
        "EvoRelayCanaryLost",
        {"evorelay_canaries_lost_total": "0x5 1x60", "evorelay_pipeline_age_seconds": "0x60"},
        {"evorelay_canaries_lost_total": "0x5 1x60", "evorelay_pipeline_age_seconds": "60x5 0x60"},
        8,
    ),
    counter("EvoRelayGap", "evorelay_gaps_total"),
    Case("EvoRelaySlow", *SLOW, 20),
    Case("EvoRelayLoopLate", *LOOP, 20),
    Case("EvoRelayDiskSlow", *DISK, 20),
    Case(
        "EvoRelayClientsFallBehind",
        {"evorelay_feeds_lagged_total": "0+120x60"},
        {"evorelay_feeds_lagged_total": "0+30x60"},
        25,
    ),
    gauge("EvoRelayRepliesLate", "evorelay_reply_age_seconds", "121", "119", 8),
    Case(
        "EvoRelayLaneParked",
        {'evorelay_lane_parked{evolution_instance="loja"}': "1x60"},
        {'evorelay_lane_parked{evolution_instance="loja"}': "1x5 _x60"},
        13,
    ),
    Case(
        "EvoRelayRepliesFail",
        {'messages_total{type="text",status="failed"}': "0+1x60"},
        {'messages_total{type="text",status="failed"}': "0x5 3x60"},
        15,
    ),
    counter("EvoRelayReplyInDoubt", 'evorelay_reply_doubts_total{end="given_up"}'),
    Case(
        "EvoRelayNoInstanceOpen",
        {'evorelay_instances{state="open"}': "0x60", 'evorelay_instances{state="close"}': "2x60"},
        {'evorelay_instances{state="open"}': "0x60", 'evorelay_instances{state="unknown"}': "9x60"},
        5,
    ),
    gauge(
        "EvoRelayInstanceDown", 'evorelay_instance_open{evolution_instance="loja"}', "0", "1", 13
    ),
    gauge(
        "EvoRelayInstanceSuspected",
        'evorelay_instance_suspected{evolution_instance="loja"}',
        *("1", "0", 13),
    ),
    gauge(
        "EvoRelayInstanceUnregistered",
        'evorelay_instance_unregistered{evolution_instance="loja"}',
        *("1", "0", 13),
    ),
    Case(
        "EvoRelayMessagesRecovered",
        {'evorelay_recovered_total{kind="text"}': "0x5 40x60"},
        {
            'evorelay_recovered_total{kind="text"}': "0x5 10x60",
            'evorelay_recovered_total{kind="status"}': "0x5 400x60",
        },
        10,
    ),
    Case(
        "EvoRelayQuarantineGrows",
        {'messages_total{type="other",status="quarantined"}': "0x5 20x60"},
        {'messages_total{type="other",status="quarantined"}': "0x5 5x60"},
        10,
    ),
    Case(
        "EvoRelayDiskLow",
        {"evorelay_disk_free_bytes": "199x60"} | WATERMARK,
        {"evorelay_disk_free_bytes": "201x60"} | WATERMARK,
        8,
    ),
    Case(
        "EvoRelayDiskFillsUp",
        {"evorelay_disk_free_bytes": "5000-5x600"} | WATERMARK,
        {"evorelay_disk_free_bytes": "5000-1x600"} | WATERMARK,
        100,
    ),
    counter("EvoRelayServiceCrashed", 'evorelay_service_restarts_total{service="lanes"}'),
    Case(
        "EvoRelayRestarts",
        {"process_start_time_seconds": "1 1 2 2 3 3 4 4 5x60"},
        {"process_start_time_seconds": "1 1 2x60"},
        10,
    ),
    counter("EvoRelayLogLost", "evorelay_log_records_dropped_total"),
    gauge("EvoRelayKeysStale", "evorelay_jwks_age_seconds", "3601", "700", 8),
    Case(
        "EvoRelayBackupOverdue",
        {"evorelay_backup_due_timestamp_seconds": "60x600"},
        {"evorelay_backup_due_timestamp_seconds": "0x600"},
        100,
    ),
    counter("EvoRelayBackupFailed", 'evorelay_backups_total{outcome="failed"}'),
    counter("EvoRelayBackupDamaged", 'evorelay_backup_checks_total{outcome="damaged"}'),
    Case(
        "EvoRelayBackupUnverified",
        {
            "evorelay_backup_last_success_timestamp_seconds": "100x600",
            "evorelay_backup_last_verified_timestamp_seconds": "50x600",
        },
        {
            "evorelay_backup_last_success_timestamp_seconds": "100x600",
            "evorelay_backup_last_verified_timestamp_seconds": "150x600",
        },
        400,
    ),
    gauge("EvoRelayHealthFails", 'evorelay_health{check="journal:commit"}', "2", "1", 3),
    gauge("EvoRelayHealthWarns", 'evorelay_health{check="backup:age"}', "1", "0", 35),
)


def test_every_rule_is_well_formed() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))


def test_every_rule_has_a_case() -> None:
    assert {case.alert for case in CASES} == set(RULE.findall(ALERTS.read_text()))


@pytest.mark.timeout(150)
def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    files = []
    for interval, is_long in (("1m", False), ("10m", True)):
        tests = [
            _test(case, fires)
            for case in CASES
            if (case.minutes > LONG_MINUTES) == is_long
            for fires in (True, False)
        ]
        document = {"rule_files": [str(ALERTS)], "evaluation_interval": interval, "tests": tests}
        files.append(tmp_path / f"{interval}.test.yml")
        files[-1].write_text(json.dumps(document, indent=1))
    assert "SUCCESS" in promtool("test", "rules", *map(str, files))


def test_a_test_of_an_alert_that_must_fail_does(tmp_path: Path) -> None:
    """The check above can fail: what is quiet is not said to fire."""
    case = next(case for case in CASES if case.alert == "EvoRelayGap")
    wrong = _test(case, fires=True)
    wrong["input_series"] = _test(case, fires=False)["input_series"]
    file = tmp_path / "wrong.test.yml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": [wrong]}))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", str(file))


def test_each_rule_says_what_it_means_and_what_to_do() -> None:
    rules = ALERTS.read_text().split("- alert: ")[1:]
    assert f"({len(rules)} rules" in README.read_text()
    for rule in rules:
        assert re.search(r"severity: (critical|warning|info)}", rule), rule
        for field in ("summary", "description", "runbook"):
            assert re.search(rf"^ +{field}: \S", rule, re.MULTILINE), rule


def test_each_command_that_is_recommended_exists() -> None:
    """Somebody reads it in the middle of the night."""
    said = set(re.findall(r"`evorelay ([a-z -]+?)(?: (?:[A-Z0-9]\S*))?`", ALERTS.read_text()))
    assert len(said) > 5
    for line in said:
        words = [word for word in line.split() if not word.startswith("-")]
        options = [word for word in line.split() if word.startswith("-")]
        command: click.Command = main
        for word in words:
            assert isinstance(command, click.Group), line
            found = command.get_command(click.Context(command), word)
            assert found is not None, line
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= known, line


def _test(case: Case, fires: bool) -> dict[str, Any]:
    """One of promtool's tests, as JSON, which is YAML."""
    series = {"up": "1x600"} | (case.bad if fires else case.good)
    labels = f'{{alertname="{case.alert}"}}'
    return {
        "name": f"{case.alert} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": [
            {"series": _with_target(name), "values": values} for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": "count by (alertname) "
                f'(ALERTS{{alertname="{case.alert}",alertstate="firing"}})',
                "eval_time": f"{case.minutes}m",
                "exp_samples": [{"labels": labels, "value": 1}] if fires else [],
            }
        ],
    }


def _with_target(name: str) -> str:
    """As Prometheus stores what it scraped."""
    metric, _, labels = name.partition("{")
    target = 'job="evorelay",instance="127.0.0.1:4000"'
    return f"{metric}{{{target},{labels}" if labels else f"{metric}{{{target}}}"
