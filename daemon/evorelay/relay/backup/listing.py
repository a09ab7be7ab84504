"""What a directory of backups looks like to people."""

from evorelay.model.backup import CheckResult, DamagedBackup
from evorelay.relay.backup.shelf import Shelf
from evorelay.relay.backup_questions import BackupView


def listed(shelf: Shelf) -> list[BackupView]:
    """Newest first. Only small files are read: damage elsewhere shows when it is checked."""
    views = (_view(shelf, backup_id) for backup_id in reversed(shelf.ids()))
    return [view for view in views if view is not None]


def _view(shelf: Shelf, backup_id: str) -> BackupView | None:
    problem, result = None, None
    moment = shelf.moment(backup_id)
    created_at, since, messages, tickets = moment, None, 0, 0
    try:
        manifest, sums = shelf.manifest(backup_id)
        created_at, since = manifest.created_at, manifest.from_
        messages = manifest.counts.get("message", 0)
        tickets = manifest.counts.get("ticket", 0)
        result = shelf.check_result(backup_id)
        problem = _problem(result, sums)
    except DamagedBackup as error:
        if backup_id not in shelf.ids():  # retention took it a moment ago
            return None
        problem = str(error)
    is_verified = result is not None and problem is None
    return BackupView(
        id=backup_id,
        created_at=created_at,
        from_=since,
        to=created_at,
        messages=messages,
        tickets=tickets,
        size_bytes=shelf.size(backup_id),
        state="damaged" if problem else "verified" if is_verified else "unverified",
        verified_at=result.at if result is not None and is_verified else None,
        problem=problem,
    )


def _problem(result: CheckResult | None, sums: str) -> str | None:
    if result is None:
        return None
    if result.problem is not None:
        return result.problem
    if result.manifest_sha256 != sums:
        return "the manifest is another one than when it was last checked"
    return None
