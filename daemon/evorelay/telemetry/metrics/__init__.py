"""What the daemon counts (P8).

Every part is handed a ``Metrics`` and says what it did. ``PrometheusMetrics`` keeps the numbers;
``NopMetrics`` is for tests and tools.
"""

from evorelay.telemetry.metrics.durations import Durations
from evorelay.telemetry.metrics.prometheus import PrometheusMetrics
from evorelay.telemetry.metrics.totals import Totals
from evorelay.telemetry.metrics.verbs import Metrics, NopMetrics

__all__ = ["Durations", "Metrics", "NopMetrics", "PrometheusMetrics", "Totals"]
