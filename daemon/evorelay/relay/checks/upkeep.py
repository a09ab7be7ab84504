"""What goes wrong so slowly that nobody would notice: backups, certificates, what is set aside."""

from evorelay.config import HealthConfig
from evorelay.model.sizes import readable_span
from evorelay.relay.checks.check import Check, grade
from evorelay.relay.vitals import BackupFacts, Vitals


def upkeep(vitals: Vitals, limits: HealthConfig) -> list[Check]:
    checks = [_quarantined(vitals, limits), _logged(vitals, limits)]
    if vitals.certificate_until is not None:
        checks.append(_certificate(vitals.certificate_until, vitals.at, limits))
    if vitals.backup is not None:
        checks += _backup(vitals.backup, vitals.at, limits)
    return checks


def _quarantined(vitals: Vitals, limits: HealthConfig) -> Check:
    status = grade(vitals.quarantined, warn=limits.quarantine_warn)
    return Check(
        name="quarantine:growth",
        status=status,
        value=vitals.quarantined,
        unit="within 1 h",
        output=f"{vitals.quarantined} webhooks were not understood within an hour: messages may be"
        " missing from tickets, none is lost. /v1/quarantine says why; `evorelay replay --all`"
        " reads them again after an upgrade"
        if status != "pass"
        else None,
    )


def _logged(vitals: Vitals, limits: HealthConfig) -> Check:
    status = grade(vitals.log_dropped, warn=limits.log_warn)
    return Check(
        name="log:dropped",
        status=status,
        value=vitals.log_dropped,
        unit="within 10 min",
        output=f"{vitals.log_dropped} lines of the log were lost: nobody reads what we write, or"
        " its disk is full (systemctl status systemd-journald)"
        if status != "pass"
        else None,
    )


def _certificate(until: int, at: int, limits: HealthConfig) -> Check:
    left_s = (until - at) / 1000
    output = None
    if left_s <= 0:
        output = (
            f"server.tls_cert expired {readable_span(-left_s)} ago: Evolution and browsers refuse"
            " to connect. Renew it, then restart evorelay, which reads it at its start"
        )
    elif left_s < limits.certificate_warn:
        output = (
            f"server.tls_cert expires in {readable_span(left_s)}: renew it, then restart evorelay,"
            " which reads it at its start"
        )
    return Check(
        name="tls:certificate",
        status="pass" if output is None else "warn",
        value=round(left_s),
        unit="s",
        output=output,
    )


def _backup(backup: BackupFacts, at: int, limits: HealthConfig) -> list[Check]:
    age_s = None if backup.last_at is None else (at - backup.last_at) / 1000
    late_s = 0.0 if backup.due_at is None else (at - backup.due_at) / 1000
    wrong = backup.trouble
    if grade(late_s, warn=limits.backup_warn) != "pass":
        last = "there is none yet" if age_s is None else f"the last is {readable_span(age_s)} old"
        overdue = f"a backup is {readable_span(late_s)} overdue ({last})"
        if wrong is None:
            wrong = f"{overdue}: look in the log for why, or run `evorelay backup now`"
        else:
            wrong = f"{overdue}: {wrong}"
    checks = [
        Check(
            name="backup:age",
            status="warn" if wrong else "pass",
            value=None if age_s is None else round(age_s),
            unit=None if age_s is None else "s",
            output=wrong,
        )
    ]
    if backup.last_at is not None and age_s is not None:
        is_verified = backup.verified_at is not None and backup.verified_at >= backup.last_at
        is_doubtful = not is_verified and grade(age_s, warn=limits.verify_warn) != "pass"
        checks.append(
            Check(
                name="backup:verified",
                status="warn" if is_doubtful else "pass",
                output="the newest backup was not verified, it may not restore:"
                " run `evorelay backup verify`"
                if is_doubtful
                else None,
            )
        )
    return checks
