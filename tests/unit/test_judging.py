"""P8: health is a judgement about progress; only what stops webhooks is a failure."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import HealthConfig
from evorelay.relay.checks.check import Check, Report, Status
from evorelay.relay.judging import (
    COMMIT_STALLED_S,
    FETCHES_BEHIND,
    LOOP_LAG_S,
    PIPELINE_BEHIND_S,
    PIPELINE_STALLED_S,
    REPLY_LATE_S,
    STORE_SLOW_S,
    judge,
)
from evorelay.relay.vitals import BackupFacts, Outside, Vitals

LIMITS = HealthConfig()
WELL = Vitals(disk_free=1 << 40, disk_watermark=1 << 28)


def but(**outside: Any) -> Vitals:
    return msgspec.structs.replace(WELL, outside=Outside(**outside))


def test_all_is_well() -> None:
    report = judge(WELL, LIMITS)
    assert report.status == "pass"
    assert all(check.output is None for check in report.checks)


@pytest.mark.parametrize(
    ("name", "status", "vitals"),
    [
        ("journal:commit", "fail", Vitals(refusal="the disk is almost full")),
        ("journal:commit", "fail", Vitals(commit_waits_s=COMMIT_STALLED_S + 1)),
        ("pipeline:lag", "fail", Vitals(lag=1, pipeline_stalled_s=PIPELINE_STALLED_S + 1)),
        (
            "pipeline:lag",
            "warn",
            Vitals(lag=9, oldest_unhandled_s=PIPELINE_BEHIND_S + 1),
        ),
        ("loop:lag", "warn", Vitals(loop_lag_s=LOOP_LAG_S + 1)),
        ("store:read", "warn", Vitals(store_error="locked")),
        ("store:read", "warn", Vitals(store_read_s=STORE_SLOW_S + 1)),
        ("disk:free", "warn", Vitals(disk_free=3, disk_watermark=2)),
        ("evolution:configured", "warn", Vitals(evolution_configured=False)),
        ("auth:keys", "warn", Vitals(key_trouble="never fetched")),
        ("evolution:reachable", "warn", but(unreachable=("evolution:8080: refused",))),
        ("instances:down", "warn", but(down=("loja",))),
        ("instances:suspected", "warn", but(suspected=("loja",))),
        ("instances:registered", "warn", but(unregistered=("loja",))),
        ("replies:parked", "warn", but(parked=("loja: not connected",))),
        ("replies:oldest", "warn", but(oldest_reply_s=REPLY_LATE_S + 1)),
        ("media:fetches", "warn", but(fetches=FETCHES_BEHIND + 1)),
    ],
)
def test_one_trouble_is_one_check_that_says_so(name: str, status: str, vitals: Vitals) -> None:
    report = judge(vitals, LIMITS)
    troubled = [check for check in report.checks if check.status != "pass"]
    assert [(check.name, check.status) for check in troubled] == [(name, status)]
    assert report.status == status
    assert troubled[0].output


def test_a_disk_that_fills_up_is_told_in_units_of_people() -> None:
    vitals = Vitals(disk_free=300 << 20, disk_watermark=256 << 20)
    (low,) = [check for check in judge(vitals, LIMITS).checks if check.name == "disk:free"]
    assert low.value == 300 << 20
    assert low.output == "300 MiB free; webhooks are refused below 256 MiB: free some space"


def test_a_large_backlog_that_moves_is_no_failure() -> None:
    """P5: the backlog of a long night is drained in the open."""
    assert judge(Vitals(lag=1_000_000, oldest_unhandled_s=9 * 3600.0), LIMITS).status == "warn"


@given(st.lists(st.sampled_from(["pass", "warn", "fail"])))
def test_the_whole_is_as_bad_as_its_worst_part(statuses: list[Status]) -> None:
    report = Report(tuple(Check(name="x:y", status=status) for status in statuses))
    worst = max(statuses, key=("pass", "warn", "fail").index, default="pass")
    assert worst == report.status


def test_details_leave_out_what_was_not_observed() -> None:
    assert Check(name="a:b").detailed() == {"status": "pass"}
    assert Check(name="a:b", value=0, unit="s").detailed() == {
        "status": "pass",
        "observedValue": 0,
        "observedUnit": "s",
    }


def test_of_many_instances_some_are_named_and_the_rest_counted() -> None:
    report = judge(but(down=tuple(f"i{number}" for number in range(8))), LIMITS)
    (down,) = [check for check in report.checks if check.name == "instances:down"]
    assert down.value == 8
    assert down.output == (
        "not connected to WhatsApp: i0, i1, i2, i3, i4 and 3 more: reconnect, or scan the code"
    )


HOUR_MS = 3_600_000
NOW = 1_795_000_000_000


@pytest.mark.parametrize(
    ("facts", "troubled"),
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
    ],
)
def test_a_backup_that_is_late_failed_or_unverified_is_told(
    facts: BackupFacts, troubled: dict[str, str]
) -> None:
    """P9: with the limits as they are by default."""
    vitals = msgspec.structs.replace(WELL, at=NOW, backup=facts)
    report = judge(vitals, LIMITS)
    assert {c.name: c.output for c in report.checks if c.status != "pass"} == troubled
    assert report.status == ("warn" if troubled else "pass")


def test_where_no_backups_are_made_nothing_is_said_of_them() -> None:
    assert not [c for c in judge(WELL, LIMITS).checks if c.name.startswith("backup")]
