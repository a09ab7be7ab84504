"""Whether what was observed of the daemon is well: the judgement behind health (P8).

``fail`` means that webhooks cannot be accepted or that the pipeline stands still; anything else
that is wrong is ``warn``, because restarting or bypassing the daemon would not help.
"""

from collections.abc import Sequence

from evorelay.config import HealthConfig
from evorelay.model.sizes import readable_bytes
from evorelay.relay.checks.check import Check, Report, Status
from evorelay.relay.checks.upkeep import upkeep
from evorelay.relay.vitals import Outside, Vitals

COMMIT_STALLED_S = 10.0
"""A commit takes milliseconds; this long is a disk that hangs, and Evolution gives up at 30 s."""
PIPELINE_STALLED_S = 30.0
PIPELINE_BEHIND_S = 10.0
"""An entry this old and unhandled: agents notice."""
LOOP_LAG_S = 0.25
"""The event loop this late is seen as jerks by every client."""
STORE_SLOW_S = 2.0
DISK_LOW_FACTOR = 2
"""Warn at this many times the watermark below which webhooks are refused."""
REPLY_LATE_S = 60.0
"""A reply that waits for longer has not been sent for a reason."""
FETCHES_BEHIND = 300
"""Files yet to come: more than the budget of several minutes."""
NAMED_MAX = 5
"""Instances in one sentence; how many more there are is said."""


def judge(vitals: Vitals, limits: HealthConfig) -> Report:
    """Pure: the same vitals always give the same report."""
    checks = (
        _journal(vitals),
        _pipeline(vitals),
        _loop(vitals),
        _store(vitals),
        _disk(vitals),
        _evolution(vitals),
        *_instances(vitals.outside),
        *_replies(vitals.outside),
        _keys(vitals),
        *upkeep(vitals, limits),
        Check(name="sessions:connected", value=vitals.sessions, unit="connections"),
    )
    return Report(checks)


def _journal(vitals: Vitals) -> Check:
    status: Status = "pass"
    output = None
    if vitals.refusal is not None:
        status, output = "fail", f"webhooks are refused: {vitals.refusal}"
    elif vitals.commit_waits_s > COMMIT_STALLED_S:
        status, output = "fail", "webhooks wait for a commit that does not end: check the disk"
    return Check(
        name="journal:commit",
        status=status,
        value=round(vitals.commit_waits_s, 4),
        unit="s",
        output=output,
    )


def _pipeline(vitals: Vitals) -> Check:
    status: Status = "pass"
    output = None
    if vitals.pipeline_stalled_s > PIPELINE_STALLED_S:
        status = "fail"
        output = (
            f"no webhook was handled for {vitals.pipeline_stalled_s:.0f} s;"
            f" webhooks waiting: {vitals.lag}, none is lost"
        )
    elif vitals.oldest_unhandled_s > PIPELINE_BEHIND_S:
        status = "warn"
        output = f"behind by {vitals.oldest_unhandled_s:.0f} s; webhooks waiting: {vitals.lag}"
    return Check(
        name="pipeline:lag", status=status, value=vitals.lag, unit="webhooks", output=output
    )


def _loop(vitals: Vitals) -> Check:
    late = vitals.loop_lag_s > LOOP_LAG_S
    return Check(
        name="loop:lag",
        status="warn" if late else "pass",
        value=round(vitals.loop_lag_s, 4),
        unit="s",
        output=f"the processor is overloaded: everything is {vitals.loop_lag_s:.1f} s late"
        if late
        else None,
    )


def _store(vitals: Vitals) -> Check:
    output = None
    if vitals.store_error is not None:
        output = f"the store cannot be read: {vitals.store_error}"
    elif vitals.store_read_s > STORE_SLOW_S:
        output = f"the store answers slowly: one read takes {vitals.store_read_s:.1f} s"
    return Check(
        name="store:read",
        status="pass" if output is None else "warn",
        value=round(vitals.store_read_s, 4),
        unit="s",
        output=output,
    )


def _disk(vitals: Vitals) -> Check:
    output = None
    if vitals.disk_free < DISK_LOW_FACTOR * vitals.disk_watermark:
        output = (
            f"{readable_bytes(vitals.disk_free)} free; webhooks are refused below"
            f" {readable_bytes(vitals.disk_watermark)}: free some space"
        )
    return Check(
        name="disk:free",
        status="pass" if output is None else "warn",
        value=vitals.disk_free,
        unit="bytes",
        output=output,
    )


def _evolution(vitals: Vitals) -> Check:
    if not vitals.evolution_configured:
        return Check(
            name="evolution:configured",
            status="warn",
            output="no replies are sent: set evolution.url and evolution.api_key",
        )
    return Check(name="evolution:configured")


def _instances(outside: Outside) -> tuple[Check, ...]:
    return (
        _counted(
            "evolution:reachable", outside.unreachable, "Evolution", "; run `evorelay doctor`"
        ),
        _counted(
            "instances:down",
            outside.down,
            "not connected to WhatsApp",
            ": reconnect, or scan the code",
        ),
        _counted(
            "instances:suspected", outside.suspected, "not to be believed", ": reconnect them"
        ),
        _counted(
            "instances:registered",
            outside.unregistered,
            "webhooks do not come to us",
            ": run `evorelay doctor --fix-webhook`",
        ),
    )


def _replies(outside: Outside) -> tuple[Check, ...]:
    is_late = outside.oldest_reply_s > REPLY_LATE_S
    is_behind = outside.fetches > FETCHES_BEHIND
    return (
        _counted("replies:parked", outside.parked, "no replies are sent", ""),
        Check(
            name="replies:oldest",
            status="warn" if is_late else "pass",
            value=round(outside.oldest_reply_s, 1),
            unit="s",
            output=f"a reply has waited for {outside.oldest_reply_s:.0f} s: look at /v1/outbox"
            if is_late
            else None,
        ),
        Check(
            name="media:fetches",
            status="warn" if is_behind else "pass",
            value=outside.fetches,
            unit="files",
            output=f"{outside.fetches} files of messages are yet to be fetched from Evolution"
            if is_behind
            else None,
        ),
    )


def _counted(name: str, found: Sequence[str], what: str, advice: str) -> Check:
    """One of a list that should be empty."""
    if not found:
        return Check(name=name, value=0, unit="found")
    named = ", ".join(found[:NAMED_MAX])
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return Check(
        name=name,
        status="warn",
        value=len(found),
        unit="found",
        output=f"{what}: {named}{more}{advice}",
    )


def _keys(vitals: Vitals) -> Check:
    if vitals.key_trouble is None:
        return Check(name="auth:keys")
    return Check(name="auth:keys", status="warn", output=vitals.key_trouble)
