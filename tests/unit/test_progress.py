"""P8: figures that a judgement rests on: no false alarm after a quiet hour, none that flutters."""

from hypothesis import given
from hypothesis import strategies as st

from evorelay.relay.progress import Growth, Stall, Steady


def test_idleness_is_no_stall() -> None:
    """Work that comes after an idle hour has waited for nobody."""
    stall = Stall()
    stall.observe(False, 7, 0.0)
    stall.observe(True, 7, 3600.0)
    assert stall.seconds(3601.0) == 1.0


def test_a_stall_lasts_until_something_moves_or_nothing_is_left() -> None:
    stall = Stall()
    stall.observe(True, 7, 0.0)
    stall.observe(True, 7, 40.0)
    assert stall.seconds(40.0) == 40.0
    stall.observe(True, 8, 41.0)
    assert stall.seconds(41.0) == 0.0
    stall.observe(False, 8, 90.0)
    assert stall.seconds(99.0) == 0.0


def test_one_spike_is_no_reading() -> None:
    reading = Steady(samples=3, hold_s=60.0)
    for now, value in enumerate([0.1, 9.0, 0.1, 0.1, 9.0]):
        reading.observe(value, float(now))
    assert reading.value(4.0) == 0.1


def test_what_lasts_is_read_and_then_held() -> None:
    """Who is alerted is alerted once, however the samples flutter around the threshold."""
    reading = Steady(samples=3, hold_s=60.0)
    for now, value in enumerate([9.0, 9.0, 0.0, 9.0, 0.0, 0.0, 0.0]):
        reading.observe(value, float(now))
    assert reading.value(6.0) == 9.0
    reading.observe(0.0, 63.0)
    assert reading.value(63.0) == 9.0
    assert reading.value(63.1) == 0.0


def test_too_few_samples_are_no_reading() -> None:
    reading = Steady(samples=3, hold_s=60.0)
    reading.observe(9.0, 0.0)
    reading.observe(9.0, 1.0)
    assert reading.value(1.0) == 0.0


def test_a_reading_ends_with_its_samples() -> None:
    """A disk that was slow an hour ago, with nothing written since, is not slow now."""
    reading = Steady(samples=1, hold_s=60.0)
    reading.observe(9.0, 0.0)
    assert reading.value(60.0) == 9.0
    assert reading.value(60.1) == 0.0


@given(st.lists(st.floats(0, 10), min_size=5, max_size=40))
def test_a_reading_is_the_highest_median_within_its_time(values: list[float]) -> None:
    reading = Steady(samples=5, hold_s=10.0)
    medians: list[tuple[float, float]] = []
    for now, value in enumerate(values):
        reading.observe(value, float(now))
        if now >= 4:
            medians.append((float(now), sorted(values[now - 4 : now + 1])[2]))
    end = len(values) - 1.0
    assert reading.value(end) == max(median for at, median in medians if end - at <= 10.0)


def test_growth_is_of_the_last_minutes_only() -> None:
    growth = Growth(span_s=600.0)
    assert growth.value == 0
    growth.observe(100, 0.0)
    assert growth.value == 0
    growth.observe(130, 10.0)
    assert growth.value == 30
    growth.observe(130, 609.0)
    assert growth.value == 30
    growth.observe(131, 1300.0)
    assert growth.value == 1


def test_growth_keeps_little() -> None:
    growth = Growth(span_s=600.0)
    for second in range(5000):
        growth.observe(second, float(second))
    assert len(growth._before) <= 62
    assert 600 <= growth.value <= 610
