"""How our metrics are made: one registry, and buckets that suit what is measured."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from evorelay.telemetry.metrics.labels import Counters

LATENCY_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""From a commit on a fast disk to Evolution's own time-out of 30 s."""
CALL_S = (*LATENCY_S, 60, 120)
"""A call to Evolution waits for as long as it takes to act as if somebody typed."""
GROUP_SIZE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Families:
    """Makes metrics in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, documentation: str) -> Counter:
        return Counter(name, documentation, registry=self._registry)

    def counters(
        self,
        name: str,
        documentation: str,
        *labels: str,
        known: Iterable[tuple[str, ...]] = (),
    ) -> Counters:
        """``known``: what is there, at 0, before it happens; a rate over a series that appears
        with its first failure misses that failure."""
        return Counters(Counter(name, documentation, labels, registry=self._registry), known)

    def gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self._registry)

    def histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...] = LATENCY_S
    ) -> Histogram:
        return Histogram(name, documentation, registry=self._registry, buckets=buckets)


def one_of(*names: str) -> list[tuple[str, ...]]:
    """Each as the value of one label."""
    return [(name,) for name in names]
