"""Turning samples into figures that a judgement may rest on."""

import math
from collections import deque
from statistics import median_low


class Stall:
    """How long something has had work and not moved.

    Its last progress alone does not tell: after an idle hour that is an hour ago.
    """

    def __init__(self) -> None:
        self._mark: object = None
        self._moved_at = -math.inf
        self._has_work = False

    def observe(self, has_work: bool, mark: object, now: float) -> None:
        """``mark`` is anything that changes with every progress."""
        if not has_work or not self._has_work or mark != self._mark:
            self._moved_at = now
        self._has_work, self._mark = has_work, mark

    def seconds(self, now: float) -> float:
        return now - self._moved_at if self._has_work else 0.0


class Steady:
    """A reading that one spike does not raise, and that does not flutter around a threshold.

    It is the median of the last ``samples``, or a higher one that there was within ``hold_s``: who
    is alerted by it is alerted once.
    """

    def __init__(self, samples: int, hold_s: float) -> None:
        self._samples: deque[float] = deque(maxlen=samples)
        self._hold_s = hold_s
        self._highest: deque[tuple[float, float]] = deque()
        """(when, median), each lower than the one before it: what the reading falls to in turn."""

    def observe(self, value: float, now: float) -> None:
        self._samples.append(value)
        if len(self._samples) < (self._samples.maxlen or 1):
            return
        middle = median_low(self._samples)
        while self._highest and self._highest[-1][1] <= middle:
            self._highest.pop()
        self._highest.append((now, middle))

    def value(self, now: float) -> float:
        """0.0 until there are enough samples, and when there were none for ``hold_s``."""
        while self._highest and now - self._highest[0][0] > self._hold_s:
            self._highest.popleft()
        return self._highest[0][1] if self._highest else 0.0


class Growth:
    """How much a counter grew within the last ``span_s``, to a sixtieth of it."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._before: deque[tuple[float, int]] = deque()
        self._last = 0

    def observe(self, total: int, now: float) -> None:
        self._last = total
        if not self._before or now - self._before[-1][0] >= self._span_s / 60:
            self._before.append((now, total))
        while len(self._before) > 1 and now - self._before[1][0] >= self._span_s:
            self._before.popleft()

    @property
    def value(self) -> int:
        return self._last - self._before[0][1] if self._before else 0
