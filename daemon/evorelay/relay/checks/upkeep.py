"""What goes wrong so slowly that nobody would notice: backups."""

from evorelay.config import HealthConfig
from evorelay.model.sizes import readable_span
from evorelay.relay.checks.check import Check
from evorelay.relay.vitals import BackupFacts, Vitals


def upkeep(vitals: Vitals, limits: HealthConfig) -> list[Check]:
    checks: list[Check] = []
    if vitals.backup is not None:
        checks += _backup(vitals.backup, vitals.at, limits)
    return checks


def _backup(backup: BackupFacts, at: int, limits: HealthConfig) -> list[Check]:
    age_s = None if backup.last_at is None else (at - backup.last_at) / 1000
    late_s = 0.0 if backup.due_at is None else (at - backup.due_at) / 1000
    wrong = None
    if backup.trouble is not None:
        wrong = backup.trouble
    elif late_s > limits.backup_overdue:
        last = "there is none yet" if age_s is None else f"the last is {readable_span(age_s)} old"
        wrong = (
            f"a backup is {readable_span(late_s)} overdue ({last}): look in the log for why,"
            " or run `evorelay backup now`"
        )
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
        is_doubtful = not is_verified and age_s > limits.backup_unverified
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
