"""What a directory of backups looks like: to people, and to whoever decides what is next."""

import logging
from datetime import datetime

from msgspec import Struct

from evorelay.model.backup import CheckResult, DamagedBackup, Manifest
from evorelay.relay.backup.chain import Manifests, gap_before, read_manifests
from evorelay.relay.backup.shelf import Shelf
from evorelay.relay.backup_questions import BackupView

log = logging.getLogger(__name__)


class Newest(Struct, frozen=True):
    """The newest backup that is one, as far as small files say."""

    manifest: Manifest
    verified_at: datetime | None
    problem: str | None
    """None as long as none was found."""
    size_bytes: int

    @property
    def is_unchecked(self) -> bool:
        return self.verified_at is None and self.problem is None


def newest_of(shelf: Shelf) -> Newest | None:
    """Raises ``BackupFailed``."""
    for backup_id in reversed(shelf.ids()):
        try:
            manifest, sums = shelf.manifest(backup_id)
        except DamagedBackup as error:
            log.debug("backup %s is damaged: %s", backup_id, error)
            continue
        result, problem = _result(shelf, backup_id, sums)
        verified_at = result.at if result is not None and problem is None else None
        return Newest(manifest, verified_at, problem, shelf.size(backup_id))
    return None


def drop_old(shelf: Shelf, keep: int) -> list[str]:
    """Remove all but the newest ``keep``, if the newest can be restored as far as we know.

    The caller holds the shelf's lock. Returns which.
    """
    newest = newest_of(shelf)
    return [] if newest is None or newest.verified_at is None else shelf.drop_oldest(keep)


def listed(shelf: Shelf) -> list[BackupView]:
    """Newest first. Only small files are read: damage elsewhere shows when it is checked.

    Raises ``BackupFailed``.
    """
    manifests = read_manifests(shelf)
    views = (_view(shelf, backup_id, manifests) for backup_id in reversed(shelf.ids()))
    return [view for view in views if view is not None]


def _view(shelf: Shelf, backup_id: str, manifests: Manifests) -> BackupView | None:
    try:
        manifest, sums = manifests.get(backup_id) or shelf.manifest(backup_id)
    except DamagedBackup as error:
        if backup_id not in shelf.ids():  # retention took it a moment ago
            return None
        moment = shelf.moment(backup_id)
        return _shown(shelf, backup_id, moment, problem=str(error))
    result, problem = _result(shelf, backup_id, sums)
    return _shown(
        shelf,
        backup_id,
        manifest.created_at,
        manifest=manifest,
        result=result,
        problem=problem,
        gap=gap_before(manifests, backup_id) if backup_id in manifests else None,
    )


def _shown(
    shelf: Shelf,
    backup_id: str,
    created_at: datetime,
    *,
    manifest: Manifest | None = None,
    result: CheckResult | None = None,
    problem: str | None,
    gap: str | None = None,
) -> BackupView:
    is_verified = result is not None and problem is None
    counts = {} if manifest is None else manifest.counts
    return BackupView(
        id=backup_id,
        created_at=created_at,
        from_=None if manifest is None else manifest.from_,
        to=created_at,
        messages=counts.get("message", 0),
        tickets=counts.get("ticket", 0),
        size_bytes=shelf.size(backup_id),
        state="damaged" if problem else "verified" if is_verified else "unverified",
        verified_at=result.at if result is not None and is_verified else None,
        problem=problem,
        gap=gap,
    )


def _result(shelf: Shelf, backup_id: str, sums: str) -> tuple[CheckResult | None, str | None]:
    """What is known of the last check, and what is wrong."""
    try:
        result = shelf.check_result(backup_id)
    except DamagedBackup as error:
        return None, str(error)
    if result is None:
        return None, None
    if result.problem is None and result.manifest_sha256 != sums:
        return result, "the manifest is another one than when it was last checked"
    return result, result.problem
