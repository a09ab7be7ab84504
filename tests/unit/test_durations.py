"""P8: quantiles of what happened, within the error that is promised."""

import random
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.telemetry.metrics import Durations
from evorelay.telemetry.metrics.durations import LONGEST_S, SHORTEST_S

ERROR = 0.01


@given(
    st.lists(st.floats(min_value=SHORTEST_S, max_value=LONGEST_S), min_size=1, max_size=300),
    st.floats(min_value=0.001, max_value=1),
)
def test_a_quantile_is_within_one_percent_of_the_duration_of_that_rank(
    seconds: list[float], share: float
) -> None:
    durations = Durations()
    for one in seconds:
        durations.add(one)
    exact = sorted(seconds)[ceil(share * len(seconds)) - 1]
    assert durations.quantile(share) == pytest.approx(exact, rel=ERROR)


def test_without_a_duration_there_is_no_quantile() -> None:
    assert Durations().quantile(0.5) is None


def test_two_stretches_together_are_as_if_they_had_been_one() -> None:
    rand = random.Random(1)
    first, second, both = Durations(), Durations(), Durations()
    for number in range(1000):
        one = rand.expovariate(100)
        (first if number % 3 else second).add(one)
        both.add(one)
    first += second
    assert first.count == 1000
    for share in (0.01, 0.5, 0.99, 1):
        assert first.quantile(share) == both.quantile(share)


def test_whatever_comes_there_are_few_buckets_and_nothing_is_lost() -> None:
    """P5: memory is bounded; a clock that was set back gives no negative duration either."""
    durations = Durations()
    for one in (-1.0, 0.0, 1e-9, 1e9, float("inf")):
        durations.add(one)
    for number in range(200_000):
        durations.add(1e-6 * 1.00013**number)
    assert durations.count == 200_005
    assert len(durations._counts) <= 1157
    assert durations.quantile(1e-9) == pytest.approx(SHORTEST_S, rel=ERROR)
    assert durations.quantile(1) == pytest.approx(LONGEST_S, rel=ERROR)
