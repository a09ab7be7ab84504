"""What the daemon depends on and what depends on it: Evolution, instances, replies, keys."""

from evorelay.config import HealthConfig
from evorelay.model.sizes import readable_span
from evorelay.relay.checks.check import Check, counted, grade
from evorelay.relay.vitals import InstanceSeen, KeyFacts, Outside, Vitals

CONNECTING_S = 60.0
"""An instance that connects for longer is as good as down."""


def outside(vitals: Vitals, limits: HealthConfig) -> list[Check]:
    found = vitals.outside
    checks = [
        _configured(vitals),
        counted(
            "evolution:reachable",
            found.unreachable,
            "Evolution does not answer, so replies wait and instances are not watched",
            "; run `evorelay doctor`",
        ),
        _certificates(found, vitals.at, limits),
        *_instances(vitals.instances, found, limits),
        *_replies(found, limits),
        _failed(vitals, limits),
        _reconciled(found, limits),
    ]
    if vitals.keys is not None:
        checks.append(_keys(vitals.keys, vitals.at, limits))
    return checks


def _configured(vitals: Vitals) -> Check:
    if vitals.evolution_configured:
        return Check(name="evolution:configured")
    return Check(
        name="evolution:configured",
        status="warn",
        output="no replies are sent: set evolution.url and evolution.api_key",
    )


def _certificates(found: Outside, at: int, limits: HealthConfig) -> Check:
    ending = [
        f"{host} ({readable_span(left_s)} left)" if left_s > 0 else f"{host} (it has ended)"
        for host, until in found.certificates
        if (left_s := (until - at) / 1000) < limits.certificate_warn
    ]
    return counted(
        "evolution:certificate",
        ending,
        "the certificate ends, and then no replies are sent",
        ": have it renewed",
    )


def _instances(
    instances: tuple[InstanceSeen, ...], found: Outside, limits: HealthConfig
) -> list[Check]:
    return [
        counted(
            "instances:down",
            [one.name for one in instances if _is_down(one, limits)],
            "not connected to WhatsApp",
            ": reconnect, or scan the code, at /console",
        ),
        counted(
            "instances:suspected",
            found.suspected,
            "they say they are connected, but nothing comes and WhatsApp does not answer",
            ": reconnect them at /console",
        ),
        counted(
            "instances:missing",
            found.missing,
            "Evolution has no instance of this name",
            ": it was mistyped or deleted, or its webhooks come from another Evolution; correct"
            " evolution.url, or whatever posts them",
        ),
        counted(
            "instances:unasked",
            [f"{name}: {why}" for name, why in found.unasked],
            "Evolution does not say how these are",
            " Run `evorelay doctor`",
        ),
        counted(
            "instances:registered",
            found.unregistered,
            "their webhooks do not come to us",
            ": run `evorelay doctor --fix-webhook`",
        ),
        *(_silence(one, limits) for one in instances),
    ]


def _is_down(one: InstanceSeen, limits: HealthConfig) -> bool:
    if one.state == "connecting":
        return one.state_s > max(CONNECTING_S, limits.instance_warn)
    return one.state == "close" and one.state_s >= limits.instance_warn


def _silence(one: InstanceSeen, limits: HealthConfig) -> Check:
    is_odd = 0 < limits.silence_warn < one.silent_s and one.state == "open"
    return Check(
        name="instance:silence",
        component=one.name,
        status="warn" if is_odd else "pass",
        value=round(one.silent_s),
        unit="s",
        state=one.state,
        output=f"{one.name}: no webhook for {readable_span(one.silent_s)}. Write to its number; if"
        " that does not come in either, run `evorelay doctor`"
        if is_odd
        else None,
    )


def _replies(found: Outside, limits: HealthConfig) -> list[Check]:
    is_late = grade(found.oldest_reply_s, warn=limits.reply_warn) != "pass"
    is_behind = grade(found.fetches, warn=limits.media_warn) != "pass"
    return [
        counted(
            "replies:parked",
            [f"{name}: {why}" for name, why in found.parked],
            "no replies are sent, they wait",
            ". They go out when that is over; /v1/outbox and the console show them",
        ),
        Check(
            name="replies:oldest",
            status="warn" if is_late else "pass",
            value=round(found.oldest_reply_s, 1),
            unit="s",
            output=f"a reply has waited for {readable_span(found.oldest_reply_s)}: /v1/outbox and"
            " the console say which, and why"
            if is_late
            else None,
        ),
        Check(
            name="media:fetches",
            status="warn" if is_behind else "pass",
            value=found.fetches,
            unit="files",
            output=f"{found.fetches} files of messages are yet to be fetched from Evolution: agents"
            " see them late (media.fetch_per_minute is the pace)"
            if is_behind
            else None,
        ),
    ]


def _failed(vitals: Vitals, limits: HealthConfig) -> Check:
    status = grade(vitals.failed, warn=limits.failed_warn)
    return Check(
        name="replies:failed",
        status=status,
        value=vitals.failed,
        unit="within 1 h",
        output=f"{vitals.failed} replies were given up within an hour: customers did not get them."
        " /v1/outbox?state=failed and the console say why, and retry them"
        if status != "pass"
        else None,
    )


def _reconciled(found: Outside, limits: HealthConfig) -> Check:
    failing = [
        f"{name} ({why})"
        for name, for_s, why in found.unreconciled
        if for_s > limits.reconcile_warn
    ]
    return counted(
        "evolution:reconciled",
        failing,
        "what these may have missed cannot be looked for",
        "; it is tried again. `evorelay reconcile` tries now",
    )


def _keys(keys: KeyFacts, at: int, limits: HealthConfig) -> Check:
    if keys.fetched_at is None:
        return Check(
            name="auth:keys",
            status="pass" if keys.failure is None else "warn",
            output=None
            if keys.failure is None
            else f"the keys at auth.jwks_url were never fetched ({keys.failure}): agents whose"
            " tokens they verify cannot sign in",
        )
    age_s = (at - keys.fetched_at) / 1000
    is_stale = keys.failure is not None and age_s > limits.keys_warn
    return Check(
        name="auth:keys",
        status="warn" if is_stale else "pass",
        value=round(age_s),
        unit="s",
        output=f"the keys at auth.jwks_url are {readable_span(age_s)} old and cannot be fetched"
        f" anew ({keys.failure}): agents sign in until your provider changes them"
        if is_stale
        else None,
    )
