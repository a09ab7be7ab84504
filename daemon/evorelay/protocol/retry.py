"""How long to wait before something is tried again: full jitter, grown, capped.

Full jitter (a uniform draw from zero to the cap) spreads clients that failed together best; see
"Exponential backoff and jitter", AWS architecture blog, 2015.
"""

from collections.abc import Callable

from msgspec import Struct


class Backoff(Struct, frozen=True, kw_only=True):
    """Seconds. The wait before attempt n+1 is drawn from 0 to ``initial * 2**(n-1)``."""

    initial: float
    longest: float

    def wait(self, failures: int, rand: Callable[[], float]) -> float:
        """After so many failures in a row, at least one."""
        cap: float = min(self.longest, self.initial * 2.0 ** min(failures - 1, 60))
        return rand() * cap

    def steady(self, failures: int, rand: Callable[[], float]) -> float:
        """The same, but never below half of the cap: for looking whether something is back."""
        cap: float = min(self.longest, self.initial * 2.0 ** min(failures - 1, 60))
        return cap * (0.5 + rand() / 2)
