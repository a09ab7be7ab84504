"""Durations of one stretch of time, kept so that quantiles can be read off them."""

from math import ceil, log
from typing import Self

SHORTEST_S = 1e-5
LONGEST_S = 86_400.0
"""What is shorter or longer counts as this."""
_GROWTH = 1.02
_PER_BUCKET = 1 / log(_GROWTH)


class Durations:
    """A histogram with buckets that grow by 2 %: every duration counts, none is sampled.

    A quantile is the middle of the bucket that holds the duration of that rank, so it is off by 1 %
    of itself at most. At most 1,156 buckets, whatever comes; typically some thirty.
    """

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0

    def add(self, *many: float) -> None:
        counts = self._counts
        for seconds in many:
            bounded = min(max(seconds, SHORTEST_S), LONGEST_S)
            bucket = int(log(bounded / SHORTEST_S) * _PER_BUCKET)
            counts[bucket] = counts.get(bucket, 0) + 1
        self.count += len(many)

    def __iadd__(self, other: "Durations") -> Self:
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += other.count
        return self

    def quantile(self, share: float) -> float | None:
        """Seconds within which ``share`` (above 0, at most 1) of the durations were over.

        None when there is none.
        """
        rank = ceil(share * self.count)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return SHORTEST_S * float(_GROWTH ** (bucket + 0.5))
        return None
