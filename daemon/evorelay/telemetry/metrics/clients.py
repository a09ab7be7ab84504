"""What is counted of clients: who is connected, and whether they keep up."""

from evorelay.telemetry.metrics.families import Families, one_of

DIALECTS = ("centrifuge", "socketio")


class ClientMetrics:
    def __init__(self, make: Families) -> None:
        self._active = make.gauge("websocket_connections_active", "Clients connected now")
        sessions = make.gauge("evorelay_sessions", "Clients connected now, by protocol", "dialect")
        self._by_dialect = {dialect: sessions.labels(dialect) for dialect in DIALECTS}
        self._opened = make.counters(
            "evorelay_sessions_opened_total",
            "Clients that said who they are",
            "dialect",
            known=one_of(*DIALECTS),
        )
        self._closed = make.counters(
            "evorelay_sessions_closed_total",
            "Clients that are gone, by who ended it: `client`, or our reason",
            *("reason", "dialect"),
        )
        self._deliveries = make.counter(
            "evorelay_deliveries_total", "Events handed to clients that are up to date"
        )
        self._lagged = make.counter(
            "evorelay_feeds_lagged_total", "Times a client fell behind and had to be caught up"
        )
        self._caught_up = make.counters(
            "evorelay_events_recovered_total",
            "Events that clients had missed and were given later, by where they were read",
            "source",
            known=one_of("cache", "store"),
        )

    def session_opened(self, dialect: str) -> None:
        self._active.inc()
        self._opened[dialect,].inc()
        if dialect in self._by_dialect:
            self._by_dialect[dialect].inc()

    def session_closed(self, dialect: str, reason: str) -> None:
        self._active.dec()
        self._closed[reason, dialect].inc()
        if dialect in self._by_dialect:
            self._by_dialect[dialect].dec()

    def deliveries(self, count: int) -> None:
        self._deliveries.inc(count)

    def feed_lagged(self) -> None:
        self._lagged.inc()

    def feed_recovered(self, events: int, source: str) -> None:
        self._caught_up[source,].inc(events)
