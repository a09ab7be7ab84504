"""A bounded stretch of the past in steps of equal length."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Series(Generic[T]):
    """One value for each step, the newest ``kept`` of them; steps are numbered since 1970."""

    def __init__(self, step_s: int, kept: int) -> None:
        self.step_s = step_s
        self._values: deque[tuple[int, T]] = deque(maxlen=kept)

    def number(self, unix_ms: int) -> int:
        """The step a moment is in."""
        return unix_ms // (self.step_s * 1000)

    def put(self, number: int, value: T) -> None:
        """Say what a step came to, in place of whatever was said of it or of later ones.

        Later ones are there when the clock was set back.
        """
        while self._values and self._values[-1][0] >= number:
            self._values.pop()
        self._values.append((number, value))

    def stretch(self, first: int, count: int) -> list[T | None]:
        """``count`` steps from the one numbered ``first``; None where nothing was put."""
        values = dict(self._values)
        return [values.get(number) for number in range(first, first + count)]
