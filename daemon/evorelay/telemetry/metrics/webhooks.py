"""What is counted on the way of a webhook: door, journal, pipeline, ledger, publication."""

from collections.abc import Sequence
from itertools import product

from evorelay.telemetry.metrics.families import GROUP_SIZE, Families, one_of
from evorelay.telemetry.metrics.totals import Totals

MESSAGE_TYPES = (
    *("text", "image", "video", "audio", "document", "sticker"),
    *("location", "contact", "poll", "order", "product", "payment", "event", "invite", "album"),
    *("call", "unsupported"),
)
MESSAGE_STATUSES = ("received", "duplicate", "quarantined", "sent", "failed")
REFUSAL_REASONS = (
    *("unauthorized", "not_json", "too_large"),
    *("redirect_suspected", "unavailable", "bad_request"),
)
WEBHOOK_STATUSES = ("200", "400", "401", "405", "413", "503")


class WebhookMetrics:
    def __init__(self, make: Families, totals: Totals) -> None:
        self._totals = totals
        self._webhooks = make.counters(
            "evorelay_webhooks_total",
            "Webhooks answered, by HTTP status; only 200 was stored",
            "status",
            known=one_of(*WEBHOOK_STATUSES),
        )
        self._webhook_s = make.histogram(
            "evorelay_webhook_seconds", "From the whole body to the answer, fsync included"
        )
        self._refused = make.counters(
            "evorelay_webhooks_refused_total",
            "Webhooks refused; what is unauthorized Evolution drops for good",
            "reason",
            known=one_of(*REFUSAL_REASONS),
        )
        # The canary goes the whole way, so these have it too.
        self._journaled = make.counter(
            "evorelay_journal_envelopes_total", "Webhooks and test messages made durable"
        )
        self._journaled_bytes = make.counter(
            "evorelay_journal_bytes_total", "Bytes of webhooks made durable"
        )
        self._commit_s = make.histogram(
            "evorelay_journal_commit_seconds", "One group commit of the journal, fsync included"
        )
        self._commit_size = make.histogram(
            "evorelay_journal_commit_envelopes", "Webhooks that shared a commit", GROUP_SIZE
        )
        self._messages = make.counters(
            "messages_total",
            "Messages and events, by type and by what became of them",
            *("type", "status"),
            known=product(MESSAGE_TYPES, MESSAGE_STATUSES),
        )
        self._applied = make.counter(
            "evorelay_pipeline_entries_total", "Journal entries understood and stored"
        )
        self._batch_s = make.histogram(
            "evorelay_pipeline_batch_seconds", "One batch of entries in the store, fsync included"
        )
        self._ledger_s = make.histogram(
            "evorelay_ledger_commit_seconds", "One commit of the store, fsync included"
        )
        self._ledger_size = make.histogram(
            "evorelay_ledger_commit_changes",
            "Changes that shared a commit: batches, replies, decisions",
            GROUP_SIZE,
        )
        self._published = make.counter(
            "evorelay_events_published_total",
            "Events clients are told, each counted once; test messages are among them",
        )
        self._publish_s = make.histogram(
            "evorelay_webhook_to_publish_seconds",
            "From a webhook's arrival to the publication of its events",
        )
        self._browser_s = make.histogram(
            "evorelay_webhook_to_browser_seconds",
            "From a webhook's arrival until the kernel has its event for each client that reads",
        )
        self._gaps = make.counter(
            "evorelay_gaps_total", "Holes in the offsets of a channel: always 0, or a bug"
        )

    def webhook_answered(self, status: int, seconds: float) -> None:
        self._webhooks[str(status),].inc()
        self._webhook_s.observe(seconds)

    def webhook_refused(self, reason: str) -> None:
        self._refused[reason,].inc()

    def journal_committed(self, count: int, size_bytes: int, seconds: float) -> None:
        self._journaled.inc(count)
        self._journaled_bytes.inc(size_bytes)
        self._commit_s.observe(seconds)
        self._commit_size.observe(count)

    def message_counted(self, type: str, status: str, count: int = 1) -> None:
        self._messages[type, status].inc(count)
        if status == "sent":
            self._totals.sent += count
        elif status == "received" and type in MESSAGE_TYPES:
            self._totals.received += count

    def batch_applied(self, entries: int, seconds: float) -> None:
        self._applied.inc(entries)
        self._batch_s.observe(seconds)

    def ledger_committed(self, changes: int, seconds: float) -> None:
        self._ledger_size.observe(changes)
        self._ledger_s.observe(seconds)

    def event_published(self, count: int) -> None:
        self._published.inc(count)

    def webhook_to_publish_seconds(self, many: Sequence[float]) -> None:
        self._totals.published(many)
        observe = self._publish_s.observe
        for seconds in many:
            observe(seconds)

    def webhook_to_browser_seconds(self, many: Sequence[float]) -> None:
        self._totals.written(many)
        observe = self._browser_s.observe
        for seconds in many:
            observe(seconds)

    def gap_detected(self) -> None:
        self._gaps.inc()
        self._totals.gaps += 1
