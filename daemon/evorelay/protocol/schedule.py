"""When a scheduled job is due, in the local time of people: right in the DST gap and fold.

A time that the clocks skip is due when they have moved on; one that comes twice is due the first
time. ``after`` is when the job last ran, so what was missed is due at once, and only once.
"""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_BRAZIL = "America/Sao_Paulo"


def zone_of(name: str) -> tzinfo:
    """A time zone. The default one also on a machine without time zone data, which is common in
    containers: Brazil has had no summer time since 2019."""
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        if name == _BRAZIL:
            return timezone(timedelta(hours=-3), name)
        raise


def check_schedule(expression: str) -> None:
    """Raise ``ValueError`` with what is wrong, if it names no moment."""
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(str(error)) from None


def next_due(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """The first moment later than ``after``, in UTC; None when there is none in 50 years."""
    for moment in CronSim(expression, after.astimezone(zone)):
        due = moment.astimezone(UTC)
        # In the second of two equal hours cronsim begins with the first one's, which is over.
        if due > after:
            return due
    return None
