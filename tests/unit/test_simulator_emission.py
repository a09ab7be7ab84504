"""Disorder: late and repeated webhooks, within bounds, with nothing lost."""

import random

from hypothesis import given
from hypothesis import strategies as st

from evorelay.simulator.emission import DUPLICATE_AFTER_S, SHUFFLE_MAX_S, Emission, disturb


def _emissions(due: list[float]) -> list[Emission]:
    return [
        Emission(due_s=at, instance="a", version="2.3.6", event="e", body=b"%d" % number)
        for number, at in enumerate(sorted(due))
    ]


@given(
    due=st.lists(st.floats(0, 100), max_size=60),
    duplicates=st.floats(0, 1),
    shuffle=st.floats(0, 1),
    seed=st.integers(),
)
def test_every_webhook_comes_once_and_some_again_in_order_of_time(
    due: list[float], duplicates: float, shuffle: float, seed: int
) -> None:
    before = _emissions(due)
    rng = random.Random(seed)
    after = list(disturb(before, duplicates=duplicates, shuffle=shuffle, rng=rng))

    assert [e.due_s for e in after] == sorted(e.due_s for e in after)
    first_ones = {e.body: e.due_s for e in after if not e.is_duplicate}
    assert len(first_ones) == len([e for e in after if not e.is_duplicate]) == len(before)
    for emission in before:
        assert 0 <= first_ones[emission.body] - emission.due_s <= SHUFFLE_MAX_S
    planned = {e.body: e.due_s for e in before}
    for emission in after:
        if emission.is_duplicate:
            assert 0 < emission.due_s - planned[emission.body] <= DUPLICATE_AFTER_S[1]


def test_without_disorder_nothing_changes() -> None:
    before = _emissions([0.0, 1.0, 1.0, 2.5])
    assert before == list(disturb(before, duplicates=0, shuffle=0, rng=random.Random(1)))


def test_with_it_something_is_overtaken() -> None:
    before = _emissions([number / 10 for number in range(200)])
    after = list(disturb(before, duplicates=0, shuffle=0.05, rng=random.Random(1)))
    assert before != after
    assert sorted(e.body for e in before) == sorted(e.body for e in after)
