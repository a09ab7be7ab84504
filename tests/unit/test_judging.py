"""P8: health is a judgement about progress; only what stops webhooks is a failure."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import HealthConfig
from evorelay.model.principal import Principal
from evorelay.relay.checks.check import Check, Report, Status
from evorelay.relay.judging import judge
from evorelay.relay.vitals import (
    BackupFacts,
    CanaryFacts,
    InstanceSeen,
    KeyFacts,
    Outside,
    Stage,
    Vitals,
)

MIB = 1 << 20
NOW = 1_795_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WELL = Vitals(at=NOW, disk_free=1 << 40, disk_watermark=1 << 28)
OWN = HealthConfig(
    canary_warn=3,
    canary_fail=7,
    commit_warn=3,
    commit_fail=7,
    fsync_warn=3,
    pipeline_warn=3,
    pipeline_fail=7,
    loop_warn=3,
    store_warn=3,
    disk_warn=3 * MIB,
    instance_warn=90,
    silence_warn=3,
    reply_warn=3,
    failed_warn=3,
    media_warn=3,
    reconcile_warn=3,
    keys_warn=3,
    certificate_warn=3,
    quarantine_warn=3,
    log_warn=3,
    backup_warn=3,
    verify_warn=3,
)
"""Every threshold is another one than by default, so that a constant in the code would show."""


def but(vitals: Vitals = WELL, **changes: Any) -> Vitals:
    return msgspec.structs.replace(vitals, **changes)


def outside(**found: Any) -> Vitals:
    return but(outside=Outside(**found))


def instance(state: str = "open", state_s: float = 0.0, silent_s: float = 0.0) -> Vitals:
    seen = InstanceSeen(name="loja", state=state, state_s=state_s, silent_s=silent_s)
    return but(instances=(seen,))


def canary(stage: Stage | None = None, stalled_s: float = 0.0, **facts: Any) -> Vitals:
    return but(canary=CanaryFacts(stage=stage, **facts), pipeline_stalled_s=stalled_s)


def troubled(report: Report) -> dict[str, Status]:
    return {check.name: check.status for check in report.checks if check.status != "pass"}


def said(vitals: Vitals, name: str, limits: HealthConfig = OWN) -> str | None:
    (found,) = [check for check in judge(vitals, limits).checks if check.name == name]
    return found.output


def test_all_is_well() -> None:
    report = judge(WELL, HealthConfig())
    assert report.status == "pass"
    assert report.summary == "all is well"
    assert all(check.output is None for check in report.checks)


@pytest.mark.parametrize(
    ("name", "status", "at_the_limit", "beyond"),
    [
        ("journal:commit", "warn", but(commit_waits_s=3.0), but(commit_waits_s=3.01)),
        ("journal:commit", "fail", but(commit_waits_s=7.0), but(commit_waits_s=7.01)),
        ("journal:fsync", "warn", but(fsync_s=3.0), but(fsync_s=3.01)),
        ("pipeline:age", "warn", but(oldest_unhandled_s=3.0), but(oldest_unhandled_s=3.01)),
        ("pipeline:lag", "fail", but(pipeline_stalled_s=7.0), but(pipeline_stalled_s=7.01)),
        ("loop:lag", "warn", but(loop_lag_s=3.0), but(loop_lag_s=3.01)),
        ("store:read", "warn", but(store_read_s=3.0), but(store_read_s=3.01)),
        ("store:write", "warn", but(store_write_s=3.0), but(store_write_s=3.01)),
        (
            "disk:free",
            "warn",
            but(disk_free=8 * MIB, disk_watermark=5 * MIB),
            but(disk_free=8 * MIB - 1, disk_watermark=5 * MIB),
        ),
        ("canary:roundtrip", "warn", canary(round_trip_s=3.0), canary(round_trip_s=3.01)),
        (
            "canary:roundtrip",
            "warn",
            canary("delivery", missing_s=3.0),
            canary("delivery", missing_s=3.01),
        ),
        (
            "canary:roundtrip",
            "fail",
            canary("journal", missing_s=7.0),
            canary("journal", missing_s=7.01),
        ),
        ("instances:down", "warn", instance("close", 89.9), instance("close", 90.0)),
        ("instances:down", "warn", instance("connecting", 90.0), instance("connecting", 90.1)),
        ("instance:silence", "warn", instance(silent_s=3.0), instance(silent_s=3.01)),
        ("replies:oldest", "warn", outside(oldest_reply_s=3.0), outside(oldest_reply_s=3.01)),
        ("replies:failed", "warn", but(failed=3), but(failed=4)),
        ("media:fetches", "warn", outside(fetches=3), outside(fetches=4)),
        (
            "evolution:reconciled",
            "warn",
            outside(unreconciled=(("loja", 3.0, "HTTP 500"),)),
            outside(unreconciled=(("loja", 3.01, "HTTP 500"),)),
        ),
        (
            "evolution:certificate",
            "warn",
            outside(certificates=(("e:443", NOW + 3000),)),
            outside(certificates=(("e:443", NOW + 2999),)),
        ),
        (
            "auth:keys",
            "warn",
            but(keys=KeyFacts(fetched_at=NOW - 3000, failure="HTTP 500")),
            but(keys=KeyFacts(fetched_at=NOW - 3001, failure="HTTP 500")),
        ),
        (
            "tls:certificate",
            "warn",
            but(certificate_until=NOW + 3000),
            but(certificate_until=NOW + 2999),
        ),
        ("quarantine:growth", "warn", but(quarantined=3), but(quarantined=4)),
        ("log:dropped", "warn", but(log_dropped=3), but(log_dropped=4)),
        (
            "backup:age",
            "warn",
            but(backup=BackupFacts(due_at=NOW - 3000)),
            but(backup=BackupFacts(due_at=NOW - 3001)),
        ),
        (
            "backup:verified",
            "warn",
            but(backup=BackupFacts(last_at=NOW - 3000)),
            but(backup=BackupFacts(last_at=NOW - 3001)),
        ),
    ],
)
def test_each_threshold_is_the_configured_one(
    name: str, status: Status, at_the_limit: Vitals, beyond: Vitals
) -> None:
    """At it is still well (or one grade better), beyond it is one check that says so."""
    better = "warn" if status == "fail" and name != "pipeline:lag" else "pass"
    assert troubled(judge(at_the_limit, OWN)).get(name, "pass") == better
    report = judge(beyond, OWN)
    assert troubled(report) == {name: status}
    assert report.status == status
    assert said(beyond, name)


@pytest.mark.parametrize(
    ("name", "status", "vitals"),
    [
        ("journal:commit", "fail", but(refusal="the disk cannot keep up")),
        ("journal:commit", "fail", but(commit_error="the journal cannot be written")),
        ("journal:commit", "warn", but(commit_error="the journal is full", commit_error_s=60.1)),
        ("store:read", "warn", but(read_error="disk I/O error")),
        ("store:write", "warn", but(write_error="database is locked")),
        ("disk:free", "warn", but(disk_free=1, disk_watermark=2)),
        ("evolution:configured", "warn", but(evolution_configured=False)),
        ("auth:keys", "warn", but(keys=KeyFacts(failure="HTTP 500"))),
        ("evolution:reachable", "warn", outside(unreachable=("evolution:8080: refused",))),
        ("instances:suspected", "warn", outside(suspected=("loja",))),
        ("instances:missing", "warn", outside(missing=("demo",))),
        ("instances:unasked", "warn", outside(unasked=(("loja", "HTTP 500."),))),
        ("instances:registered", "warn", outside(unregistered=("loja",))),
        ("replies:parked", "warn", outside(parked=(("loja", "not connected"),))),
        ("tls:certificate", "warn", but(certificate_until=NOW - DAY_MS)),
        ("evolution:certificate", "warn", outside(certificates=(("e:443", NOW - DAY_MS),))),
        ("backup:age", "warn", but(backup=BackupFacts(trouble="no room: free some"))),
    ],
)
def test_a_trouble_without_a_threshold_is_one_check_that_says_so(
    name: str, status: Status, vitals: Vitals
) -> None:
    report = judge(vitals, HealthConfig())
    assert troubled(report) == {name: status}
    assert said(vitals, name, HealthConfig())


@pytest.mark.parametrize(
    "vitals",
    [
        instance("open", silent_s=10 * 3600.0),
        instance("connecting", 60.0),
        instance("unknown", 3600.0, 3600.0),
        but(keys=KeyFacts()),
        but(keys=KeyFacts(fetched_at=NOW - DAY_MS)),
        canary(),
        outside(unreconciled=(("loja", 60.0, "HTTP 500"),)),
    ],
)
def test_what_is_no_trouble_by_default(vitals: Vitals) -> None:
    """A quiet night, keys that are about to be fetched, a first canary that is yet to come."""
    assert troubled(judge(vitals, HealthConfig())) == {}


def test_an_instance_that_lost_its_connection_is_told_at_once_by_default() -> None:
    assert troubled(judge(instance("close"), HealthConfig())) == {"instances:down": "warn"}


@pytest.mark.parametrize(
    ("stage", "stalled_s", "status"),
    [
        ("journal", 0.0, "fail"),
        ("pipeline", 0.0, "warn"),
        ("pipeline", 6.0, "warn"),
        ("delivery", 0.0, "warn"),
    ],
)
def test_a_canary_that_is_lost_fails_only_where_webhooks_stand(
    stage: Stage, stalled_s: float, status: Status
) -> None:
    """P8: behind a backlog that moves it is late like every webhook, and nothing is lost."""
    vitals = canary(stage, stalled_s, missing_s=600.0)
    assert troubled(judge(vitals, OWN)) == {"canary:roundtrip": status}
    assert "10 min" in str(said(vitals, "canary:roundtrip"))


def test_a_canary_lost_in_a_pipeline_that_stands_fails() -> None:
    limits = msgspec.structs.replace(OWN, pipeline_fail=60)
    vitals = canary("pipeline", 7.1, missing_s=7.1)
    assert troubled(judge(vitals, limits)) == {"canary:roundtrip": "fail"}


def test_a_disk_that_fills_up_is_told_in_units_of_people() -> None:
    vitals = but(disk_free=300 * MIB, disk_watermark=256 * MIB)
    assert said(vitals, "disk:free", HealthConfig()) == (
        "300 MiB free; when 44 MiB more are used, webhooks are refused: free some space"
    )
    (left,) = judge(vitals, HealthConfig()).by_name()["disk:left"]
    assert (left.value, left.unit) == (44 * MIB, "bytes")


def test_a_large_backlog_that_moves_is_no_failure() -> None:
    """P5: the backlog of a long night is drained in the open."""
    night = but(lag=1_000_000, oldest_unhandled_s=9 * 3600.0)
    assert judge(night, HealthConfig()).status == "warn"


def test_without_a_certificate_keys_canary_or_backups_nothing_is_said_of_them() -> None:
    names = {check.name for check in judge(WELL, HealthConfig()).checks}
    assert names.isdisjoint(
        ("tls:certificate", "auth:keys", "canary:roundtrip", "backup:age", "backup:verified")
    )


@given(st.lists(st.sampled_from(["pass", "warn", "fail"])))
def test_the_whole_is_as_bad_as_its_worst_part(statuses: list[Status]) -> None:
    report = Report(tuple(Check(name="x:y", status=status) for status in statuses))
    worst = max(statuses, key=("pass", "warn", "fail").index, default="pass")
    assert worst == report.status


def test_the_summary_is_the_worst_trouble_and_how_many_there_are() -> None:
    report = Report(
        (
            Check(name="a:b", status="warn", output="late"),
            Check(name="c:d", status="fail", output="webhooks are refused"),
            Check(name="e:f"),
        )
    )
    assert report.summary == "fail: webhooks are refused (and 1 more: evorelay status)"
    assert Report((Check(name="a:b", status="warn", output="late"),)).summary == "warn: late"


def test_details_leave_out_what_was_not_observed() -> None:
    assert Check(name="a:b").detailed() == {"status": "pass"}
    assert Check(name="a:b", value=0, unit="s").detailed() == {
        "status": "pass",
        "observedValue": 0,
        "observedUnit": "s",
    }


def test_each_instance_has_its_silence_and_state() -> None:
    (found,) = judge(instance(silent_s=12.4), HealthConfig()).by_name()["instance:silence"]
    assert found.detailed() == {
        "componentId": "loja",
        "status": "pass",
        "observedValue": 12,
        "observedUnit": "s",
        "state": "open",
    }


def test_what_is_said_of_instances_names_none_that_one_may_not_see() -> None:
    """P7: wherever an instance is named, alone or in a list."""
    down = [
        InstanceSeen(name=name, state="close", state_s=DAY_MS, silent_s=DAY_MS)
        for name in ("loja", "outra")
    ]
    vitals = but(
        instances=tuple(down),
        outside=Outside(
            suspected=("loja", "outra"),
            missing=("loja", "outra"),
            unasked=(("loja", "HTTP 500."), ("outra", "HTTP 500.")),
            unregistered=("loja", "outra"),
            parked=(("loja", "not connected"), ("outra", "not connected")),
            unreconciled=(("loja", 9.0, "HTTP 500"), ("outra", 9.0, "HTTP 500")),
        ),
    )
    named = {
        check.name
        for check in judge(vitals, OWN).checks
        if "outra" in f"{check.component} {check.output}"
    }
    assert len(named) == 8
    ana = Principal(sub="ana", role="agent", instances=frozenset({"loja"}))
    told = judge(vitals.seen_by(ana), OWN).checks
    assert not [check for check in told if "outra" in f"{check.component} {check.output}"]
    assert named == {check.name for check in told if "loja" in f"{check.component} {check.output}"}


def test_of_many_instances_some_are_named_and_the_rest_counted() -> None:
    seen = tuple(
        InstanceSeen(name=f"i{number}", state="close", state_s=0, silent_s=0) for number in range(8)
    )
    assert said(but(instances=seen), "instances:down", HealthConfig()) == (
        "not connected to WhatsApp: i0, i1, i2, i3, i4 and 3 more: reconnect, or scan the code, at"
        " /console"
    )


@pytest.mark.parametrize(
    ("facts", "said_of"),
    [
        (BackupFacts(due_at=NOW + HOUR_MS), {}),
        (BackupFacts(due_at=NOW - HOUR_MS), {}),
        (
            BackupFacts(due_at=NOW - HOUR_MS - 1),
            {
                "backup:age": "a backup is 60 min overdue (there is none yet): look in the log for"
                " why, or run `evorelay backup now`"
            },
        ),
        (
            BackupFacts(
                last_at=NOW - 26 * HOUR_MS,
                verified_at=NOW - 25 * HOUR_MS,
                due_at=NOW - 2 * HOUR_MS,
            ),
            {
                "backup:age": "a backup is 2 h overdue (the last is 26 h old): look in the log for"
                " why, or run `evorelay backup now`"
            },
        ),
        (BackupFacts(last_at=NOW - HOUR_MS, due_at=NOW + HOUR_MS), {}),
        (
            BackupFacts(last_at=NOW - HOUR_MS - 1, verified_at=NOW - 30 * HOUR_MS),
            {
                "backup:verified": "the newest backup was not verified, it may not restore: run"
                " `evorelay backup verify`"
            },
        ),
        (BackupFacts(last_at=NOW - HOUR_MS - 1, verified_at=NOW - HOUR_MS), {}),
        (BackupFacts(trouble="no room: free some"), {"backup:age": "no room: free some"}),
        (
            BackupFacts(trouble="no room: free some", due_at=NOW - 5 * HOUR_MS),
            {
                "backup:age": "a backup is 5 h overdue (there is none yet): no room: free some",
            },
        ),
    ],
)
def test_a_backup_that_is_late_failed_or_unverified_is_told(
    facts: BackupFacts, said_of: dict[str, str]
) -> None:
    """P9: with the limits as they are by default."""
    vitals = but(backup=facts)
    report = judge(vitals, HealthConfig())
    assert {c.name: c.output for c in report.checks if c.status != "pass"} == said_of
    assert report.status == ("warn" if said_of else "pass")


def test_a_backlog_that_is_over_is_told_as_over() -> None:
    for lag, word in ((7, "agents see messages"), (0, "a moment ago agents saw")):
        vitals = Vitals(lag=lag, oldest_unhandled_s=42.0)
        found = judge(vitals, HealthConfig()).by_name()["pipeline:age"]
        assert found[0].output is not None
        assert found[0].output.startswith(word)
