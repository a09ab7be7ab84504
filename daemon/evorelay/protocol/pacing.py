"""How fast an instance may send: token buckets, and a person's manners where they are wanted.

Times are seconds of one clock for the buckets, and Unix milliseconds for days and hours.
"""

from collections.abc import Callable

from evorelay.protocol.manners import Manners


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

    def take(self, now: float, tokens: int = 1) -> None:
        """More than there are may be taken; then the next one is long in coming."""
        self._fill(now)
        self._tokens -= tokens

    def tokens(self, now: float) -> float:
        """How many there are; below 0 when more were taken."""
        self._fill(now)
        return self._tokens

    def is_full(self, now: float) -> bool:
        self._fill(now)
        return self._tokens >= self._burst

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


class Held:
    """How often messages were held back to keep a pace, and for how long all together."""

    def __init__(self) -> None:
        self.times = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.times += 1
        self.seconds += seconds


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

    def tokens(self, now: float) -> float:
        """What the instance's rate allows at once; manners may still say wait."""
        return self._bucket.tokens(now)

    def _turn_day(self, now_ms: int) -> None:
        today = self._manners.midnight(now_ms)
        if today > self._today:
            self._today, self._sent_today, self._new_today = today, 0, 0
