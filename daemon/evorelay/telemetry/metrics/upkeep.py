"""What is counted of the daemon itself: its loop, its services, its canary, its backups."""

from collections.abc import Iterable

from evorelay.telemetry.metrics.families import Families, one_of


class UpkeepMetrics:
    def __init__(self, make: Families) -> None:
        self._loop_lag_s = make.histogram(
            "evorelay_loop_lag_seconds", "How much later than due a timer of the event loop fired"
        )
        self._restarts = make.counters(
            "evorelay_service_restarts_total",
            "Services that crashed and were begun anew",
            "service",
        )
        self._canary_s = make.histogram(
            "evorelay_canary_seconds", "A test message's way through it all"
        )
        self._canaries_lost = make.counter(
            "evorelay_canaries_lost_total", "Test messages that did not come out in time"
        )
        self._backups = make.counters(
            "evorelay_backups_total",
            "Backups that were to be made",
            "outcome",
            known=one_of("done", "failed", "skipped"),
        )
        self._backup_checks = make.counters(
            "evorelay_backup_checks_total",
            "Backups restored into a scratch store and compared",
            "outcome",
            known=one_of("whole", "damaged"),
        )
        self._backup_s = make.gauge("evorelay_backup_duration_seconds", "Of the latest backup")
        self._backup_check_s = make.gauge(
            "evorelay_backup_check_duration_seconds", "Of the latest attempt to restore a backup"
        )

    def loop_lag(self, seconds: float) -> None:
        self._loop_lag_s.observe(seconds)

    def services_known(self, names: Iterable[str]) -> None:
        for name in names:
            self._restarts.know(name)

    def service_restarted(self, name: str) -> None:
        self._restarts[name,].inc()

    def canary_returned(self, seconds: float) -> None:
        self._canary_s.observe(seconds)

    def canary_lost(self) -> None:
        self._canaries_lost.inc()

    def backup_ended(self, outcome: str, seconds: float) -> None:
        self._backups[outcome,].inc()
        if outcome == "done":
            self._backup_s.set(seconds)

    def backup_checked(self, is_whole: bool, seconds: float) -> None:
        self._backup_checks["whole" if is_whole else "damaged",].inc()
        self._backup_check_s.set(seconds)
