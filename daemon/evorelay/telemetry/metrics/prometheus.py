"""The verbs as Prometheus metrics in a registry that is handed in.

What is counted is in the parts: ``webhooks``, ``replies``, ``clients``, ``upkeep``; what is read at
a scrape is in ``readings``.

CPU time by ``timeit``, on two cores that others kept busy: 0.6 us for a counter, 1.0 us for a
histogram, 1.6 us for ``webhook_answered``, 2.9 us for ``journal_committed``, which comes once per
group; 1.3 us per figure of ``webhook_to_publish_seconds`` and ``webhook_to_browser_seconds``, of
which 0.5 us is for the overview. The latter is one figure per event, however many clients are told.
"""

import sys
from collections.abc import Mapping
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from evorelay import __version__
from evorelay.telemetry.metrics.clients import ClientMetrics
from evorelay.telemetry.metrics.families import Families
from evorelay.telemetry.metrics.readings import ScrapedReadings
from evorelay.telemetry.metrics.replies import ReplyMetrics
from evorelay.telemetry.metrics.totals import Totals
from evorelay.telemetry.metrics.upkeep import UpkeepMetrics
from evorelay.telemetry.metrics.verbs import Reading, Readings
from evorelay.telemetry.metrics.webhooks import WebhookMetrics


class PrometheusMetrics(WebhookMetrics, ReplyMetrics, ClientMetrics, UpkeepMetrics):
    """``Metrics`` in ``registry``, with ``process_*``, ``python_*`` and ``evorelay_build_info``."""

    def __init__(
        self,
        registry: CollectorRegistry,
        totals: Totals | None = None,
        *,
        built_on: Mapping[str, str] | None = None,
    ) -> None:
        """``totals``: where what the overview shows is counted as well. ``built_on``: versions of
        what we stand on, beside Python's."""
        # They double every counter, and the client has no switch but this one.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it takes and gives nothing
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        python = ".".join(str(number) for number in sys.version_info[:3])
        Info("evorelay_build", "What runs here", registry=registry).info(
            {"version": __version__, "python": python, **(built_on or {})}
        )
        totals = totals or Totals()
        make = Families(registry)
        WebhookMetrics.__init__(self, make, totals)
        ReplyMetrics.__init__(self, make, totals)
        ClientMetrics.__init__(self, make)
        UpkeepMetrics.__init__(self, make)
        self._readings = ScrapedReadings()
        registry.register(self._readings)

    def gauge(self, name: str, documentation: str, read: Reading) -> None:
        self._readings.gauge(name, documentation, read)

    def counter(self, name: str, documentation: str, read: Reading) -> None:
        self._readings.counter(name, documentation, read)

    def gauge_by(self, label: str, name: str, documentation: str, read: Readings) -> None:
        self._readings.gauge_by(label, name, documentation, read)

    def counter_by(self, label: str, name: str, documentation: str, read: Readings) -> None:
        self._readings.counter_by(label, name, documentation, read)

    def gauge_by_instance(
        self,
        name: str,
        documentation: str,
        read: Readings,
        rest: Literal["sum", "max"] = "sum",
    ) -> None:
        self._readings.gauge_by_instance(name, documentation, read, rest)
