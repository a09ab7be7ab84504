"""P9: a backup is due once a day by people's clocks, whatever is done to the clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from evorelay.protocol.schedule import check_schedule, next_due, zone_of

NEW_YORK = "America/New_York"
SAO_PAULO = "America/Sao_Paulo"


def runs(expression: str, zone: str, first: datetime, days: float) -> list[datetime]:
    """When a job runs that starts a moment late each time, as it does."""
    end = first + timedelta(days=days)
    found = []
    due = next_due(expression, ZoneInfo(zone), first)
    while due is not None and due <= end:
        found.append(due)
        due = next_due(expression, ZoneInfo(zone), due + timedelta(milliseconds=50))
    return found


def local(moments: list[datetime], zone: str) -> list[str]:
    return [f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M}" for moment in moments]


def test_every_night_at_two() -> None:
    found = runs("0 2 * * *", SAO_PAULO, datetime(2026, 11, 30, 12, tzinfo=UTC), 3)
    assert [str(moment) for moment in found] == [
        "2026-12-01 05:00:00+00:00",
        "2026-12-02 05:00:00+00:00",
        "2026-12-03 05:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "first", "expected"),
    [
        # 02:00 becomes 03:00.
        ("30 2 * * *", NEW_YORK, datetime(2026, 3, 7, 6, tzinfo=UTC), ["07 02:30", "08 03:00"]),
        (
            "0 2 * * *",
            "Europe/Lisbon",
            datetime(2026, 3, 28, 1, tzinfo=UTC),
            ["28 02:00", "29 02:00"],
        ),
        (
            "30 1 * * *",
            "Europe/Lisbon",
            datetime(2026, 3, 28, 1, tzinfo=UTC),
            ["28 01:30", "29 02:00"],
        ),
        # Midnight itself was skipped, in the last Brazilian summer time.
        ("0 0 * * *", SAO_PAULO, datetime(2018, 11, 3, 2, tzinfo=UTC), ["03 00:00", "04 01:00"]),
        # Half an hour, on Lord Howe Island.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            datetime(2026, 10, 2, 14, tzinfo=UTC),
            ["03 02:15", "04 02:30"],
        ),
    ],
)
def test_a_time_that_is_skipped_is_made_up_for_once(
    expression: str, zone: str, first: datetime, expected: list[str]
) -> None:
    assert local(runs(expression, zone, first, 2)[:2], zone) == expected
    found = runs(expression, zone, first, 10)
    assert len({moment[:2] for moment in local(found, zone)}) == len(found) >= 10


@pytest.mark.parametrize(
    ("expression", "zone", "first"),
    [
        ("30 1 * * *", NEW_YORK, datetime(2026, 10, 30, 4, tzinfo=UTC)),
        ("0 1 * * *", NEW_YORK, datetime(2026, 10, 30, 4, tzinfo=UTC)),
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 22, 0, tzinfo=UTC)),
        ("45 1 * * *", "Australia/Lord_Howe", datetime(2026, 4, 2, 0, tzinfo=UTC)),
        ("30 23 * * *", SAO_PAULO, datetime(2018, 2, 14, 0, tzinfo=UTC)),
    ],
)
def test_a_time_that_comes_twice_is_due_once(expression: str, zone: str, first: datetime) -> None:
    found = runs(expression, zone, first, 10)
    assert len({f"{moment.astimezone(ZoneInfo(zone)):%j}" for moment in found}) == len(found) == 10


def test_after_a_run_between_two_equal_times_the_next_is_tomorrow() -> None:
    """Asked in the second 01:10, cronsim begins with the first 01:30, which is over."""
    after = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)
    due = next_due("30 1 * * *", ZoneInfo(NEW_YORK), after)
    assert due == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


def test_several_missed_runs_are_one() -> None:
    """The daemon was down for a week: one is due, in the past, and then the next is tomorrow."""
    zone = ZoneInfo(SAO_PAULO)
    last, now = datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 11, 8, 9, tzinfo=UTC)
    due = next_due("0 2 * * *", zone, last)
    assert due is not None
    assert due < now
    assert next_due("0 2 * * *", zone, now) == datetime(2026, 11, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize("expression", ["61 2 * * *", "0 2 30 2 *", "0 2 * *", "every night"])
def test_what_names_no_moment_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"Bad|Wrong"):
        check_schedule(expression)


def test_the_default_zone_needs_no_zone_data() -> None:
    assert zone_of(SAO_PAULO).utcoffset(datetime(2026, 12, 1)) == timedelta(hours=-3)
