"""The way of a message through the daemon: journal, pipeline, store, event loop, disk.

``fail`` means that webhooks cannot be accepted or that the pipeline makes no progress; whatever
else is wrong here is ``warn``, because restarting or bypassing the daemon would not help.
"""

from evorelay.config import HealthConfig
from evorelay.model.sizes import readable_bytes, readable_span
from evorelay.relay.checks.check import Check, Status, grade
from evorelay.relay.vitals import CanaryFacts, Stage, Vitals

UNTRIED_S = 60.0
"""A failure this long ago with no attempt since, as without a canary, is not known to last. Whoever
sends webhooks elsewhere while health fails would never learn that it has passed."""
_KEPT = "Evolution keeps webhooks for about 20 minutes"
_WHERE: dict[Stage, str] = {
    "journal": "it waits for the disk",
    "pipeline": "it waits in the pipeline, and webhooks behind it",
    "delivery": "it is stored, but does not come out where agents are told",
}


def engine(vitals: Vitals, limits: HealthConfig) -> list[Check]:
    checks = [
        commit(vitals, limits),
        _fsync(vitals, limits),
        _moves(vitals, limits),
        _behind(vitals, limits),
        _loop(vitals, limits),
        _reads(vitals, limits),
        _writes(vitals, limits),
        *_disk(vitals, limits),
    ]
    if vitals.canary is not None:
        checks.append(_canary(vitals.canary, vitals, limits))
    return checks


def commit(vitals: Vitals, limits: HealthConfig) -> Check:
    """Readiness is this one alone (``Health.not_ready``)."""
    waits_s = vitals.commit_waits_s
    status: Status = grade(waits_s, warn=limits.commit_warn, fail=limits.commit_fail)
    output = None
    if vitals.refusal is not None:
        status = "fail"
        output = f"webhooks are refused: {vitals.refusal}; {_KEPT}"
    elif vitals.commit_error is not None and vitals.commit_error_s > UNTRIED_S:
        status = "warn"
        output = f"the last webhook could not be written: {vitals.commit_error}; none came since"
    elif vitals.commit_error is not None:
        status = "fail"
        output = f"webhooks are refused: {vitals.commit_error}; {_KEPT}: look at the disk"
    elif status != "pass":
        output = (
            f"webhooks have waited for {readable_span(waits_s)} to be written: the disk hangs."
            " Look at it (dmesg, iotop)"
        )
    return Check(
        name="journal:commit", status=status, value=round(waits_s, 4), unit="s", output=output
    )


def _fsync(vitals: Vitals, limits: HealthConfig) -> Check:
    status = grade(vitals.fsync_s, warn=limits.fsync_warn)
    return Check(
        name="journal:fsync",
        status=status,
        value=round(vitals.fsync_s, 4),
        unit="s",
        output=f"the disk is slow: a webhook takes {vitals.fsync_s:.1f} s to be written."
        " Look for what else writes to it (iotop)"
        if status != "pass"
        else None,
    )


def _moves(vitals: Vitals, limits: HealthConfig) -> Check:
    stands = vitals.pipeline_stalled_s > limits.pipeline_fail
    return Check(
        name="pipeline:lag",
        status="fail" if stands else "pass",
        value=vitals.lag,
        unit="webhooks",
        output=f"no webhook was handled for {readable_span(vitals.pipeline_stalled_s)}; webhooks"
        f" waiting: {vitals.lag}, none is lost. The log says why; if it does not, restart evorelay"
        if stands
        else None,
    )


def _behind(vitals: Vitals, limits: HealthConfig) -> Check:
    age_s = vitals.oldest_unhandled_s
    status = grade(age_s, warn=limits.pipeline_warn)
    if vitals.lag:
        said = (
            f"agents see messages {readable_span(age_s)} late; webhooks waiting: {vitals.lag}. It"
            " passes when they are worked off; if it lasts, the machine is too small"
        )
    else:
        said = (
            f"a moment ago agents saw messages {readable_span(age_s)} late. It is worked off; if it"
            " comes again and again, the machine is too small"
        )
    return Check(
        name="pipeline:age",
        status=status,
        value=round(age_s, 3),
        unit="s",
        output=said if status != "pass" else None,
    )


def _loop(vitals: Vitals, limits: HealthConfig) -> Check:
    status = grade(vitals.loop_lag_s, warn=limits.loop_warn)
    return Check(
        name="loop:lag",
        status=status,
        value=round(vitals.loop_lag_s, 4),
        unit="s",
        output=f"the processor is overloaded: everything is {vitals.loop_lag_s:.1f} s late. Look"
        " for what else runs (top)"
        if status != "pass"
        else None,
    )


def _reads(vitals: Vitals, limits: HealthConfig) -> Check:
    output = None
    if vitals.read_error is not None:
        output = (
            f"the store cannot be read: {vitals.read_error}; agents cannot load conversations,"
            " webhooks are still accepted"
        )
    elif grade(vitals.store_read_s, warn=limits.store_warn) != "pass":
        output = (
            f"the store answers slowly: one read takes {vitals.store_read_s:.1f} s. Look at the"
            " disk (iotop)"
        )
    return Check(
        name="store:read",
        status="pass" if output is None else "warn",
        value=round(vitals.store_read_s, 4),
        unit="s",
        output=output,
    )


def _writes(vitals: Vitals, limits: HealthConfig) -> Check:
    output = None
    if vitals.write_error is not None:
        output = (
            f"the store cannot be written: {vitals.write_error}; webhooks wait in the journal,"
            " replies are refused. Look for another program that has store.db open, and at the disk"
        )
    elif grade(vitals.store_write_s, warn=limits.store_warn) != "pass":
        output = (
            f"the store takes changes slowly: one takes {vitals.store_write_s:.1f} s. Look at the"
            " disk (iotop)"
        )
    return Check(
        name="store:write",
        status="pass" if output is None else "warn",
        value=round(vitals.store_write_s, 4),
        unit="s",
        output=output,
    )


def _disk(vitals: Vitals, limits: HealthConfig) -> list[Check]:
    left = vitals.disk_free - vitals.disk_watermark
    output = None
    if left < 0:
        output = (
            f"{readable_bytes(vitals.disk_free)} free, less than webhook.min_free_bytes"
            f" ({readable_bytes(vitals.disk_watermark)}): webhooks are refused. Free some space"
        )
    elif left < limits.disk_warn:
        output = (
            f"{readable_bytes(vitals.disk_free)} free; when {readable_bytes(left)} more are used,"
            " webhooks are refused: free some space"
        )
    return [
        Check(
            name="disk:free",
            status="pass" if output is None else "warn",
            value=vitals.disk_free,
            unit="bytes",
            output=output,
        ),
        Check(name="disk:left", value=max(0, left), unit="bytes"),
    ]


def _canary(canary: CanaryFacts, vitals: Vitals, limits: HealthConfig) -> Check:
    missing_s = canary.missing_s
    status = grade(max(missing_s, canary.round_trip_s or 0.0), warn=limits.canary_warn)
    output = None
    if missing_s > limits.canary_warn and canary.stage is not None:
        output = (
            f"a test message sent through the daemon {readable_span(missing_s)} ago has not come"
            f" back: {_WHERE[canary.stage]}"
        )
        stands = canary.stage == "journal" or (
            canary.stage == "pipeline" and vitals.pipeline_stalled_s > limits.canary_fail
        )
        if stands and missing_s > limits.canary_fail:
            status = "fail"
    elif status != "pass":
        output = f"a test message took {canary.round_trip_s:.1f} s through the daemon: agents wait"
    value = missing_s or canary.round_trip_s
    return Check(
        name="canary:roundtrip",
        status=status,
        value=None if value is None else round(value, 4),
        unit=None if value is None else "s",
        output=output,
    )
