"""P8: health is a judgement about progress; only what stops webhooks is a failure."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.relay.judging import (
    COMMIT_STALLED_S,
    FETCHES_BEHIND,
    LOOP_LAG_S,
    PIPELINE_BEHIND_S,
    PIPELINE_STALLED_S,
    REPLY_LATE_S,
    STORE_SLOW_S,
    Check,
    Report,
    Status,
    judge,
)
from evorelay.relay.vitals import Outside, Vitals

WELL = Vitals(disk_free=1 << 40, disk_watermark=1 << 28)


def but(**outside: Any) -> Vitals:
    return msgspec.structs.replace(WELL, outside=Outside(**outside))


def test_all_is_well() -> None:
    report = judge(WELL)
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
    report = judge(vitals)
    troubled = [check for check in report.checks if check.status != "pass"]
    assert [(check.name, check.status) for check in troubled] == [(name, status)]
    assert report.status == status
    assert troubled[0].output


def test_a_disk_that_fills_up_is_told_in_units_of_people() -> None:
    vitals = Vitals(disk_free=300 << 20, disk_watermark=256 << 20)
    (low,) = [check for check in judge(vitals).checks if check.name == "disk:free"]
    assert low.value == 300 << 20
    assert low.output == "300 MiB free; webhooks are refused below 256 MiB: free some space"


def test_a_large_backlog_that_moves_is_no_failure() -> None:
    """P5: the backlog of a long night is drained in the open."""
    assert judge(Vitals(lag=1_000_000, oldest_unhandled_s=9 * 3600.0)).status == "warn"


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
    report = judge(but(down=tuple(f"i{number}" for number in range(8))))
    (down,) = [check for check in report.checks if check.name == "instances:down"]
    assert down.value == 8
    assert down.output == (
        "not connected to WhatsApp: i0, i1, i2, i3, i4 and 3 more: reconnect, or scan the code"
    )
