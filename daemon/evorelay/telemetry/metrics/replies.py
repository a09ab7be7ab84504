"""What is counted of replies, and of all else that is asked of Evolution."""

from itertools import product

from evorelay.telemetry.metrics.families import CALL_S, Families, one_of
from evorelay.telemetry.metrics.totals import Totals
from evorelay.telemetry.metrics.webhooks import MESSAGE_TYPES

ATTEMPT_OUTCOMES = (
    *("sent", "permanent", "retry", "unknown"),
    *("instance_down", "gateway_down", "licence"),
)


class ReplyMetrics:
    def __init__(self, make: Families, totals: Totals) -> None:
        self._totals = totals
        self._attempts = make.counters(
            "evorelay_reply_attempts_total",
            "Calls to send a reply, by what came of them",
            "outcome",
            known=one_of(*ATTEMPT_OUTCOMES),
        )
        self._attempt_s = make.histogram(
            "evorelay_reply_attempt_seconds", "One call to send a reply", CALL_S
        )
        self._unknown = make.counter(
            "evorelay_reply_unknown_outcomes_total",
            "Replies of which it was unclear whether they were sent; looked up before any resend",
        )
        self._doubts = make.counters(
            "evorelay_reply_doubts_total",
            "How unclear replies ended; given_up has to be looked up on the phone",
            "end",
            known=one_of("sent", "not_sent", "given_up"),
        )
        self._joined = make.counters(
            "evorelay_commands_joined_total",
            "Texts that came by two paths and were sent once, by the second path",
            "path",
            known=one_of("socketio", "rest", "endpoint"),
        )
        self._fetched = make.counters(
            "evorelay_media_fetches_total",
            "Tries to fetch a message's file, by what came of them",
            "outcome",
            known=one_of("fetched", "retried", "failed"),
        )
        self._recovered = make.counters(
            "evorelay_recovered_total",
            "Found in Evolution's list though it never posted a webhook for it",
            "kind",
            known=one_of(*MESSAGE_TYPES, "status"),
        )
        self._reconciled = make.counters(
            "evorelay_reconcile_runs_total",
            "Comparisons of Evolution's list of messages with ours",
            *("trigger", "outcome"),
            known=product(("start", "open", "silence", "command"), ("done", "cut", "failed")),
        )

    def attempt_ended(self, outcome: str, seconds: float) -> None:
        self._attempts[outcome,].inc()
        self._attempt_s.observe(seconds)

    def outcome_unknown(self, count: int = 1) -> None:
        self._unknown.inc(count)
        self._totals.unknown_outcomes += count

    def doubt_settled(self, how: str) -> None:
        self._doubts[how,].inc()

    def command_joined(self, path: str) -> None:
        self._joined[path,].inc()

    def media_fetched(self, outcome: str) -> None:
        self._fetched[outcome,].inc()

    def recovered(self, kind: str) -> None:
        self._recovered[kind,].inc()
        self._totals.recovered += 1

    def reconciled(self, trigger: str, outcome: str) -> None:
        self._reconciled[trigger, outcome].inc()
