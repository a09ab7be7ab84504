"""How much of the machine a backup takes, and how it is told to stop."""

import time
from collections.abc import Callable

_REST_S_MAX = 0.5
_WORK_S = 0.02
"""Worked between two rests: short, so that others wait for no longer."""


class Pace:
    """Calling it rests as long as it takes to keep to ``share`` of the time; for one thread.

    ``check`` may raise what ends the work: ``trio.from_thread.check_cancelled`` does.
    """

    def __init__(
        self,
        share: float = 1.0,
        *,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rest_per_work = (1 - share) / share
        self._check = check
        self._clock = clock
        self._rest = rest
        self._since = clock()

    def __call__(self) -> None:
        worked = self._clock() - self._since
        if self._rest_per_work and worked >= _WORK_S:
            self._rest(min(_REST_S_MAX, worked * self._rest_per_work))
            self._since = self._clock()
        self._check()
