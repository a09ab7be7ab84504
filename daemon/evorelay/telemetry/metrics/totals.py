"""What happened since the start as plain numbers, for whoever shows it without Prometheus."""

from collections.abc import Iterable

from evorelay.telemetry.metrics.durations import Durations


class Totals:
    """Counted by the verbs (``PrometheusMetrics``), read by the overview, all in Trio's thread."""

    def __init__(self) -> None:
        self.received = 0
        """Messages that came in, each once; receipts and other events are none."""
        self.sent = 0
        """Messages that went out, whoever wrote them."""
        self.recovered = 0
        """What Evolution never posted and was found all the same."""
        self.gaps = 0
        self.unknown_outcomes = 0
        """Replies of which nobody could say at first whether they were sent."""
        self._written = Durations()
        self._published = Durations()

    def written(self, seconds: Iterable[float]) -> None:
        self._written.add(*seconds)

    def published(self, seconds: Iterable[float]) -> None:
        self._published.add(*seconds)

    def latencies(self) -> Durations:
        """From webhooks to what clients were sent, since these were last taken.

        Where nobody was connected, to the publication.
        """
        return self._written if self._written.count else self._published

    def take_latencies(self) -> Durations:
        """The same; what comes next is counted anew."""
        taken = self.latencies()
        self._written, self._published = Durations(), Durations()
        return taken
