"""What the daemon counts (P8).

Every part is handed a ``Metrics`` and says what it did. ``PrometheusMetrics`` keeps the numbers;
``NopMetrics`` is for tests and tools.
"""

from evorelay.telemetry.metrics.prometheus import PrometheusMetrics
from evorelay.telemetry.metrics.verbs import Metrics, NopMetrics

__all__ = ["Metrics", "NopMetrics", "PrometheusMetrics"]
