"""When Evolution posts a webhook again: a pure function per version, as measured.

2.3.6: research/evolution-live.md, "Retry (default settings)". 2.2.3 and the others of 2.3: the
source, as told in research/evolution.md §2. 1.8.2: one attempt. ``Retry-After`` is ignored by all.
"""

from collections.abc import Callable
from enum import Enum

from msgspec import Struct


class Verdict(Enum):
    ACCEPTED = "accepted"
    LOST = "lost"
    """A redirect turned the POST into a GET whose answer looked like success."""
    DROPPED = "dropped"
    """Given up for good: by the status, or after the last attempt."""
    AGAIN = "again"


class Answer(Struct, frozen=True):
    """The final answer, after redirects. Nothing of it but this matters to Evolution."""

    status: int
    was_get: bool = False
    """301, 302 and 303 are followed as GET, without the body; 307 and 308 as they were."""


class RetryPolicy(Struct, frozen=True):
    attempts: int
    fatal: frozenset[int]
    """Statuses after which no further attempt is made."""
    wait_s: Callable[[int, float], float]
    """(attempts made so far, jitter from 0 to 1) → seconds until the next."""

    def judge(self, answer: Answer | None, attempts: int) -> Verdict:
        """What follows from the answer to attempt number ``attempts``, counted from 1.

        None: no answer at all (refused, reset, timed out).
        """
        if answer and 200 <= answer.status < 300:
            return Verdict.LOST if answer.was_get else Verdict.ACCEPTED
        if (answer and answer.status in self.fatal) or attempts >= self.attempts:
            return Verdict.DROPPED
        return Verdict.AGAIN


def doubling_wait_s(attempts: int, jitter: float) -> float:
    """5, 10, 20 … seconds, at most 300, give or take 20 %, but never below 5."""
    base_s = min(300.0, 5.0 * 2.0 ** (attempts - 1))
    return max(5.0, base_s * (0.8 + 0.4 * jitter))


_SINCE_2_3 = RetryPolicy(10, frozenset((400, 401, 403, 404, 422)), doubling_wait_s)

RETRY_POLICIES: dict[str, RetryPolicy] = {
    "1.8.2": RetryPolicy(1, frozenset(), lambda attempts, jitter: 0.0),
    "2.2.3": RetryPolicy(10, frozenset(), lambda attempts, jitter: 30.0),
    "2.3.0": _SINCE_2_3,
    "2.3.2": _SINCE_2_3,
    "2.3.4": _SINCE_2_3,
    "2.3.5": _SINCE_2_3,
    "2.3.6": _SINCE_2_3,
    "2.3.7": _SINCE_2_3,
    "2.4.0": _SINCE_2_3,
}
