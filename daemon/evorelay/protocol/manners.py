"""Looking like a person, for numbers that WhatsApp may take for a robot (config ``pacing``).

None of it is on by default: it makes replies slower, and a team that answers its customers does not
need it. Times are Unix milliseconds, waits are seconds.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from msgspec import Struct

from evorelay.config import PacingConfig

WARMUP_GROWTH = 1.5
"""Of the daily limit, from each day of the warm-up to the next."""
TYPING_S_PER_CHAR = 0.05
"""As a quick typist; WhatsApp shows "typing" for that long."""
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class QuietHours(Struct, frozen=True):
    """``22:00-07:00`` in a time zone; minutes since midnight."""

    begin: int
    end: int
    zone: tzinfo

    def wait(self, now_ms: int) -> float:
        """Seconds until they are over; 0 outside them."""
        local = datetime.fromtimestamp(now_ms / 1000, self.zone)
        minute = local.hour * 60 + local.minute
        if self.begin <= self.end:
            is_quiet = self.begin <= minute < self.end
        else:
            is_quiet = minute >= self.begin or minute < self.end
        if not is_quiet:
            return 0.0
        day = local.date() + timedelta(days=self.begin > self.end and minute >= self.begin)
        over = datetime(
            day.year, day.month, day.day, self.end // 60, self.end % 60, tzinfo=self.zone
        )
        return max(0.0, over.timestamp() - now_ms / 1000)


def quiet_hours(text: str, zone: tzinfo) -> QuietHours | None:
    """None for "". Raises ``ValueError`` that says how to write them."""
    if not text:
        return None
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError("must look like 22:00-07:00")
    hours = [int(part) for part in match.groups()]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if begin == end:
        raise ValueError("begins and ends at the same moment; leave it out for none")
    return QuietHours(begin, end, zone)


class Manners(Struct, frozen=True, kw_only=True):
    """What makes an instance look like a person; all of it off by default."""

    jitter_s: float = 0.0
    typing_s: float = 0.0
    warmup_days: int = 0
    warmup_first: int = 20
    quiet: QuietHours | None = None
    zone: tzinfo = UTC
    new_contacts_per_day: int = 0

    @property
    def counts_days(self) -> bool:
        return bool(self.warmup_days or self.new_contacts_per_day)

    def daily_limit(self, age_days: int) -> int | None:
        """Messages on that day of the instance's life; None: no limit."""
        if age_days >= self.warmup_days:
            return None
        return int(self.warmup_first * WARMUP_GROWTH**age_days)

    def typing_ms(self, text: str) -> int:
        return int(1000 * min(self.typing_s, len(text) * TYPING_S_PER_CHAR))

    def midnight(self, now_ms: int) -> int:
        """Unix ms: when the local day began."""
        return self._midnight(now_ms, 0)

    def until_tomorrow(self, now_ms: int) -> float:
        return max(1.0, (self._midnight(now_ms, 1) - now_ms) / 1000)

    def _midnight(self, now_ms: int, days: int) -> int:
        day = datetime.fromtimestamp(now_ms / 1000, self.zone).date() + timedelta(days=days)
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp() * 1000)


def manners_of(config: PacingConfig) -> Manners:
    """Raises ``ValueError`` for hours or a zone that settings/checks.py has not seen."""
    has_days = config.quiet_hours or config.warmup_days or config.new_contacts_per_day
    zone = ZoneInfo(config.timezone) if has_days else UTC
    return Manners(
        jitter_s=config.jitter,
        typing_s=config.typing,
        warmup_days=config.warmup_days,
        warmup_first=config.warmup_first,
        quiet=quiet_hours(config.quiet_hours, zone),
        zone=zone,
        new_contacts_per_day=config.new_contacts_per_day,
    )
