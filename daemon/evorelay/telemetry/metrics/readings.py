"""Values that are read at each scrape instead of being counted."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from evorelay.telemetry.metrics.labels import OTHER
from evorelay.telemetry.metrics.verbs import Reading, Readings

INSTANCE = "evolution_instance"
"""The label; Prometheus itself calls `instance` where a series was scraped."""
INSTANCES_MAX = 500
"""With a series of their own in each metric that has one per instance."""


class ScrapedReadings(Collector):
    """Families by name; the same name again takes the place of the former."""

    def __init__(self) -> None:
        self._families: dict[str, Callable[[], Metric]] = {}

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is registered yet when the registry asks

    def collect(self) -> Iterator[Metric]:
        for read_family in self._families.values():
            yield read_family()

    def gauge(self, name: str, documentation: str, read: Reading) -> None:
        def family() -> Metric:
            found = GaugeMetricFamily(name, documentation)
            value = read()
            if value is not None:
                found.add_metric([], value)
            return found

        self._families[name] = family

    def counter(self, name: str, documentation: str, read: Reading) -> None:
        self._families[name] = lambda: CounterMetricFamily(name, documentation, value=read() or 0)

    def gauge_by(self, label: str, name: str, documentation: str, read: Readings) -> None:
        self._families[name] = lambda: _filled(
            GaugeMetricFamily(name, documentation, labels=[label]), read()
        )

    def counter_by(self, label: str, name: str, documentation: str, read: Readings) -> None:
        self._families[name] = lambda: _filled(
            CounterMetricFamily(name, documentation, labels=[label]), read()
        )

    def gauge_by_instance(
        self, name: str, documentation: str, read: Readings, rest: Literal["sum", "max"]
    ) -> None:
        def few() -> Mapping[str, float]:
            values = sorted(read().items())
            shown = dict(values[:INSTANCES_MAX])
            others = [value for _, value in values[INSTANCES_MAX:]]
            if others:
                shown[OTHER] = sum(others) if rest == "sum" else max(others)
            return shown

        self.gauge_by(INSTANCE, name, documentation, few)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family
