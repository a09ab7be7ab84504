"""How fast an instance may send: token buckets, and looking like a person where that is wanted.

Times are seconds of one clock for the buckets, and Unix milliseconds for days and hours.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

WARMUP_GROWTH = 1.5
"""Of the daily limit, from each day of the warm-up to the next."""
TYPING_S_PER_CHAR = 0.05
"""As a quick typist; WhatsApp shows "typing" for that long."""
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class TokenBucket:
    """``rate`` tokens a second pile up to ``burst``; full in the beginning."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 when there is one."""
        self._fill(now)
        # A hair below one counts: a sleep that ends a rounding error early must not loop.
        return 0.0 if self._tokens > 1 - 1e-9 else (1 - self._tokens) / self._rate

    def take(self, now: float) -> None:
        self._fill(now)
        self._tokens -= 1

    def is_full(self, now: float) -> bool:
        self._fill(now)
        return self._tokens >= self._burst

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


class QuietHours(Struct, frozen=True):
    """``22:00-07:00`` in a time zone; minutes since midnight."""

    begin: int
    end: int
    zone: ZoneInfo

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


def quiet_hours(text: str, zone: ZoneInfo) -> QuietHours | None:
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
    zone: ZoneInfo
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


class Pace:
    """When one instance may send its next message."""

    def __init__(
        self,
        bucket: TokenBucket,
        manners: Manners,
        *,
        rand: Callable[[], float],
    ) -> None:
        self._bucket = bucket
        self._manners = manners
        self._rand = rand
        self._created_at = 0
        self._sent_today = 0
        self._new_today = 0
        self._today = 0
        self._not_before = 0.0

    def resume(self, *, created_at: int, today: int, sent: int, first: int) -> None:
        """What an earlier run did on this day; ``created_at``, ``today``: Unix ms of the
        instance's and of the local day's beginning."""
        self._created_at, self._today = created_at, today
        self._sent_today, self._new_today = sent, first

    def wait(self, now: float, now_ms: int) -> float:
        """Seconds until the next message may go; 0: now."""
        manners = self._manners
        waits = [self._bucket.wait(now), self._not_before - now]
        if manners.quiet is not None:
            waits.append(manners.quiet.wait(now_ms))
        if manners.counts_days:
            self._turn_day(now_ms)
            limit = manners.daily_limit((now_ms - self._created_at) // 86_400_000)
            if limit is not None and self._sent_today >= limit:
                waits.append(manners.until_tomorrow(now_ms))
        return max(0.0, *waits)

    def wait_new(self, now_ms: int) -> float:
        """The same for the first message to somebody who never wrote, beside ``wait``."""
        limit = self._manners.new_contacts_per_day
        if not limit:
            return 0.0
        self._turn_day(now_ms)
        return self._manners.until_tomorrow(now_ms) if self._new_today >= limit else 0.0

    def take(self, now: float, *, is_new: bool) -> None:
        self._bucket.take(now)
        self._sent_today += 1
        self._new_today += is_new
        if self._manners.jitter_s:
            self._not_before = now + self._rand() * self._manners.jitter_s

    def _turn_day(self, now_ms: int) -> None:
        today = self._manners.midnight(now_ms)
        if today > self._today:
            self._today, self._sent_today, self._new_today = today, 0, 0
