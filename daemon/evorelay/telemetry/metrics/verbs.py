"""The verbs: what happened, not which counter to move.

All are synchronous, never block, never raise, and may be called from any thread. None takes a
phone number, a JID or a user. Times are seconds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

Reading = Callable[[], float | None]
"""Called in the event loop at each scrape: quick, no IO, does not raise. None: no value now."""
Readings = Callable[[], Mapping[str, float]]
"""The same for several values, by the one label; whoever registers it keeps the labels few."""


class Metrics(Protocol):
    """What the parts of the daemon are handed to say what they did."""

    def webhook_answered(self, status: int, seconds: float) -> None:
        """``status`` is HTTP's; ``seconds`` from the whole body to the answer, fsync included."""

    def webhook_refused(self, reason: str) -> None:
        """``unauthorized``, ``not_json``, ``too_large``, ``redirect_suspected``, ``unavailable``
        or ``bad_request``.
        """

    def journal_committed(self, count: int, size_bytes: int, seconds: float) -> None:
        """One group commit of ``count`` envelopes, fsync included."""

    def message_counted(self, type: str, status: str, count: int = 1) -> None:
        """``status``: ``received``, ``duplicate``, ``quarantined``, ``sent`` or ``failed``.

        ``type`` is the message's type, or the event's when there is no message.
        """

    def batch_applied(self, entries: int, seconds: float) -> None:
        """One transaction of the pipeline with ``entries`` journal entries."""

    def ledger_committed(self, changes: int, seconds: float) -> None:
        """One transaction of the store that ``changes`` shared."""

    def event_published(self, count: int) -> None: ...

    def webhook_to_publish_seconds(self, many: Sequence[float]) -> None:
        """From a webhook's arrival to the publication of its events, one figure a webhook."""

    def webhook_to_browser_seconds(self, many: Sequence[float]) -> None:
        """From a webhook's arrival until an event of it was with the kernel for every connected
        client that reads; one figure for each event that somebody was told.
        """

    def attempt_ended(self, outcome: str, seconds: float) -> None:
        """One call that was to send a reply: ``sent``, or a ``FaultKind``."""

    def command_joined(self, path: str) -> None:
        """A text that came by a second path too was sent once; ``path`` is that second one:
        ``socketio``, ``rest`` or ``endpoint``.
        """

    def outcome_unknown(self, count: int = 1) -> None:
        """Replies of which nobody can say now whether they were sent."""

    def doubt_settled(self, how: str) -> None:
        """A reply of unknown outcome: ``sent``, ``not_sent``, or ``given_up``."""

    def media_fetched(self, outcome: str) -> None:
        """A try to fetch a message's file: ``fetched``, ``retried`` later, or ``failed``."""

    def session_opened(self, dialect: str) -> None: ...

    def session_closed(self, dialect: str, reason: str) -> None: ...

    def deliveries(self, count: int) -> None:
        """Events handed to sessions."""

    def feed_lagged(self) -> None:
        """A feed could not keep up and fell back to CATCHING_UP."""

    def feed_recovered(self, events: int, source: str) -> None:
        """A feed was given ``events`` that it had missed; ``source``: ``cache`` or ``store``."""

    def recovered(self, kind: str) -> None:
        """Something Evolution never posted was found: a message's type, or ``status``, ``edit``,
        ``revoke``, ``reaction``, ``vote``.
        """

    def reconciled(self, trigger: str, outcome: str) -> None:
        """Evolution's list of an instance's messages was compared with ours.

        ``trigger``: ``start``, ``open``, ``silence``, ``command``; ``outcome``: ``done``, ``cut``
        or ``failed``.
        """

    def gap_detected(self) -> None:
        """Offsets were not contiguous: a bug, and worth an alert at the first (P3)."""

    def backup_ended(self, outcome: str, seconds: float) -> None:
        """One was to be made: ``done``, ``failed``, or ``skipped`` for another process made one."""

    def backup_checked(self, is_whole: bool, seconds: float) -> None:
        """One was restored into a scratch store and compared."""

    def services_known(self, names: Iterable[str]) -> None:
        """These may crash: they are shown before they do."""

    def service_restarted(self, name: str) -> None: ...

    def loop_lag(self, seconds: float) -> None:
        """How much later than due a timer of the event loop fired."""

    def canary_returned(self, seconds: float) -> None:
        """A test message of health went through the whole daemon and came out (P8)."""

    def canary_lost(self) -> None:
        """One was given up."""

    def gauge(self, name: str, documentation: str, read: Reading) -> None:
        """Register a value read at each scrape. The same name again replaces the reading."""

    def counter(self, name: str, documentation: str, read: Reading) -> None:
        """Like ``gauge``, of what only grows; ``name`` ends in ``_total``."""

    def gauge_by(self, label: str, name: str, documentation: str, read: Readings) -> None:
        """Like ``gauge``, one value for each value of ``label``."""

    def counter_by(self, label: str, name: str, documentation: str, read: Readings) -> None:
        """Like ``counter``, one value for each value of ``label``."""

    def gauge_by_instance(
        self,
        name: str,
        documentation: str,
        read: Readings,
        rest: Literal["sum", "max"] = "sum",
    ) -> None:
        """Like ``gauge``, one value for each Evolution instance; of those beyond a bound the sum,
        or the largest."""


class NopMetrics:
    """Counts nothing."""

    def webhook_answered(self, status: int, seconds: float) -> None: ...

    def webhook_refused(self, reason: str) -> None: ...

    def journal_committed(self, count: int, size_bytes: int, seconds: float) -> None: ...

    def message_counted(self, type: str, status: str, count: int = 1) -> None: ...

    def batch_applied(self, entries: int, seconds: float) -> None: ...

    def ledger_committed(self, changes: int, seconds: float) -> None: ...

    def event_published(self, count: int) -> None: ...

    def webhook_to_publish_seconds(self, many: Sequence[float]) -> None: ...

    def webhook_to_browser_seconds(self, many: Sequence[float]) -> None: ...

    def attempt_ended(self, outcome: str, seconds: float) -> None: ...

    def command_joined(self, path: str) -> None: ...

    def outcome_unknown(self, count: int = 1) -> None: ...

    def doubt_settled(self, how: str) -> None: ...

    def media_fetched(self, outcome: str) -> None: ...

    def session_opened(self, dialect: str) -> None: ...

    def session_closed(self, dialect: str, reason: str) -> None: ...

    def deliveries(self, count: int) -> None: ...

    def feed_lagged(self) -> None: ...

    def feed_recovered(self, events: int, source: str) -> None: ...

    def recovered(self, kind: str) -> None: ...

    def reconciled(self, trigger: str, outcome: str) -> None: ...

    def gap_detected(self) -> None: ...

    def backup_ended(self, outcome: str, seconds: float) -> None: ...

    def backup_checked(self, is_whole: bool, seconds: float) -> None: ...

    def services_known(self, names: Iterable[str]) -> None: ...

    def service_restarted(self, name: str) -> None: ...

    def loop_lag(self, seconds: float) -> None: ...

    def canary_returned(self, seconds: float) -> None: ...

    def canary_lost(self) -> None: ...

    def gauge(self, name: str, documentation: str, read: Reading) -> None: ...

    def counter(self, name: str, documentation: str, read: Reading) -> None: ...

    def gauge_by(self, label: str, name: str, documentation: str, read: Readings) -> None: ...

    def counter_by(self, label: str, name: str, documentation: str, read: Readings) -> None: ...

    def gauge_by_instance(
        self,
        name: str,
        documentation: str,
        read: Readings,
        rest: Literal["sum", "max"] = "sum",
    ) -> None: ...
