"""Labelled counters that stay few, and whose labels name no person."""

import re
from collections.abc import Iterable

from prometheus_client import Counter

LABELS_MAX = 256
"""Combinations of label values of one metric that get a series of their own."""
OTHER = "other"
_NAME = re.compile(r"(?!.*\d{5})[A-Za-z_][A-Za-z0-9_.:-]{0,63}", re.ASCII)
"""What names of events, types and services look like: no number long enough to be a phone's, no
JID, no text."""


class Counters(dict[tuple[str, ...], Counter]):
    """A labelled counter's children, bound on first use.

    Only the first label may come from outside (an event's name, say); past ``LABELS_MAX``
    combinations, or when it looks like no name of ours, it counts as ``other``.
    """

    def __init__(self, counter: Counter, known: Iterable[tuple[str, ...]] = ()) -> None:
        super().__init__()
        self._counter = counter
        for labels in known:
            self.know(*labels)

    def know(self, *labels: str) -> None:
        """Show this one at 0. It is a name of ours, whatever it looks like."""
        self[labels] = self._counter.labels(*labels)

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        if len(self) >= LABELS_MAX or not _NAME.fullmatch(labels[0]):
            return self._counter.labels(OTHER, *labels[1:])
        child = self[labels] = self._counter.labels(*labels)
        return child
