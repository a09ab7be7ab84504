"""Token buckets, and a person's manners where they are asked for."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from evorelay.config import PacingConfig
from evorelay.protocol.manners import Manners, manners_of, quiet_hours
from evorelay.protocol.pacing import Pace, TokenBucket
from evorelay.protocol.retry import Backoff

SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def at(hour: int, minute: int = 0, day: int = 10) -> int:
    return int(datetime(2026, 11, day, hour, minute, tzinfo=SAO_PAULO).timestamp() * 1000)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 2, 0.0)
    bucket.take(0.0)
    bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(0.1)
    assert bucket.wait(0.1) == 0
    bucket.take(0.1)
    assert bucket.wait(5.0) == 0
    assert bucket.is_full(5.0)


def test_what_is_taken_in_advance_is_waited_for() -> None:
    bucket = TokenBucket(10, 2, 0.0)
    bucket.take(0.0, 5)
    assert bucket.wait(0.0) == pytest.approx(0.4)


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    bucket = TokenBucket(10, 1, 100.0)
    bucket.take(100.0)
    assert bucket.wait(50.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("hour", "hours_left"), [(21, 0), (22, 9), (3, 4), (7, 0), (12, 0)], ids=str
)
def test_quiet_hours_go_over_midnight(hour: int, hours_left: int) -> None:
    quiet = quiet_hours("22:00-07:00", SAO_PAULO)
    assert quiet is not None
    assert quiet.wait(at(hour)) == hours_left * 3600


def test_quiet_hours_that_make_no_sense_are_refused() -> None:
    for text in ("22-7", "25:00-07:00", "07:00-07:00"):
        with pytest.raises(ValueError, match=r"07:00|same moment"):
            quiet_hours(text, UTC)


def test_nothing_slows_replies_down_by_default() -> None:
    manners = manners_of(PacingConfig())
    pace = Pace(TokenBucket(10, 1, 0.0), manners, rand=lambda: 1.0)
    pace.take(0.0, is_new=True)
    assert pace.wait(0.1, at(3)) == 0
    assert manners.typing_ms("x" * 500) == 0


def test_a_warm_up_grows_from_day_to_day_and_ends() -> None:
    manners = Manners(warmup_days=3, warmup_first=20, zone=SAO_PAULO)
    assert [manners.daily_limit(day) for day in range(4)] == [20, 30, 45, None]


def test_a_day_that_is_full_waits_for_the_next() -> None:
    """Also after a restart, which is told what was sent today."""
    manners = Manners(warmup_days=5, warmup_first=20, zone=SAO_PAULO)
    pace = Pace(TokenBucket(10, 10, 0.0), manners, rand=lambda: 0.0)
    pace.resume(created_at=at(9), today=manners.midnight(at(9)), sent=19, first=0)
    assert pace.wait(0.0, at(18)) == 0
    pace.take(0.0, is_new=False)
    assert pace.wait(1.0, at(18)) == 6 * 3600
    assert pace.wait(6 * 3600.0, at(0, 1, day=11)) == 0


def test_jitter_comes_after_a_message() -> None:
    pace = Pace(TokenBucket(10, 10, 0.0), Manners(jitter_s=4.0), rand=lambda: 0.5)
    assert pace.wait(0.0, 0) == 0
    pace.take(0.0, is_new=False)
    assert pace.wait(0.0, 0) == 2.0


def test_typing_grows_with_the_text_up_to_its_longest() -> None:
    manners = Manners(typing_s=3.0)
    assert manners.typing_ms("oi!!") == 200
    assert manners.typing_ms("x" * 500) == 3000


def test_waits_grow_are_drawn_and_are_capped() -> None:
    backoff = Backoff(initial=1.0, longest=60.0)
    assert [backoff.wait(n, lambda: 1.0) for n in (1, 2, 3, 7, 500)] == [1, 2, 4, 60, 60]
    assert backoff.wait(5, lambda: 0.0) == 0
    assert backoff.steady(3, lambda: 0.0) == 2
