"""The retry schedule is the measured one (research/evolution-live.md, "Retry")."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.simulator.retry import RETRY_POLICIES, Answer, Verdict

V1, V22, V23 = (RETRY_POLICIES[version] for version in ("1.8.2", "2.2.3", "2.3.6"))

# Attempts made so far, and the range of waits that were measured after them.
MEASURED_WAITS = (
    (1, 5, 6),
    (2, 8, 12),
    (3, 16, 24),
    (4, 32, 48),
    (5, 64, 96),
    (6, 128, 192),
    (7, 240, 360),
    (8, 240, 360),
    (9, 240, 360),
)


@pytest.mark.parametrize(("attempts", "shortest", "longest"), MEASURED_WAITS)
def test_waits_double_up_to_five_minutes(attempts: int, shortest: float, longest: float) -> None:
    assert V23.wait_s(attempts, 0.0) == pytest.approx(shortest)
    assert V23.wait_s(attempts, 1.0) == pytest.approx(longest)


@given(attempts=st.integers(1, 10), jitter=st.floats(0, 1))
def test_no_wait_is_below_5_s_or_above_6_minutes(attempts: int, jitter: float) -> None:
    assert 5 <= V23.wait_s(attempts, jitter) < 360.001


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    for policy in (V1, V22, V23):
        assert policy.judge(Answer(status), 1) is Verdict.ACCEPTED


def test_a_2xx_to_the_get_that_a_redirect_made_loses_the_webhook() -> None:
    assert V23.judge(Answer(200, was_get=True), 1) is Verdict.LOST


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_some_statuses_drop_the_webhook_at_once(status: int) -> None:
    assert V23.judge(Answer(status), 1) is Verdict.DROPPED


@pytest.mark.parametrize("status", [402, 405, 408, 410, 413, 429, 500, 502, 503, None])
def test_everything_else_is_tried_ten_times(status: int | None) -> None:
    answer = Answer(status) if status else None
    verdicts = [V23.judge(answer, attempt) for attempt in range(1, 11)]
    assert verdicts == [Verdict.AGAIN] * 9 + [Verdict.DROPPED]


def test_1_8_2_tries_once() -> None:
    assert V1.judge(Answer(503), 1) is Verdict.DROPPED
    assert V1.judge(None, 1) is Verdict.DROPPED


def test_2_2_3_repeats_after_every_refusal_with_a_fixed_wait() -> None:
    assert V22.judge(Answer(401), 1) is Verdict.AGAIN
    assert V22.judge(Answer(401), 10) is Verdict.DROPPED
    assert {V22.wait_s(attempts, 0.7) for attempts in range(1, 10)} == {30.0}
