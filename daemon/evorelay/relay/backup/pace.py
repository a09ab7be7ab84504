"""How much of the machine a backup takes, and how it is told to stop."""

import threading
import time
from collections.abc import Callable

from evorelay.model.backup import BackupStopped

_REST_S_MAX = 0.5
_WORK_S = 0.02
"""Worked between two rests: short, so that others wait for no longer."""


class Pace:
    """Calling it rests as long as it takes to keep to ``share`` of the time.

    Used from one thread; ``stop`` may be called from any, and the next call raises
    ``BackupStopped``.
    """

    def __init__(
        self,
        share: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest_per_work = (1 - share) / share
        self._clock = clock
        self._stopped = threading.Event()
        self._since = clock()

    def __call__(self) -> None:
        worked = self._clock() - self._since
        if self._rest_per_work and worked >= _WORK_S:
            self._stopped.wait(min(_REST_S_MAX, worked * self._rest_per_work))
            self._since = self._clock()
        if self._stopped.is_set():
            raise BackupStopped

    def stop(self) -> None:
        self._stopped.set()
