"""Is a backup what was written, and can it be restored? The second is found out by doing it."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from hashlib import sha256

from evorelay.model.backup import BackupFailed, CheckResult, DamagedBackup, Manifest
from evorelay.protocol.backup_manifest import CONVERSATIONS, DATABASE
from evorelay.relay.backup.packing import Breathe, check_file, unpack_file
from evorelay.relay.backup.shelf import Shelf
from evorelay.storage.ports.backup import BackupStore, StoreCopy

_nobody: Callable[[int], None] = lambda done: None  # noqa: E731 -- nobody watches a rehearsal


def check_backup(
    store: BackupStore, shelf: Shelf, backup_id: str, now: datetime, breathe: Breathe
) -> CheckResult:
    """Check every byte, restore it into a scratch store, compare, and keep the result beside it.

    The caller holds the shelf's lock. Raises ``BackupFailed`` where it could not be tried.
    """
    try:
        result = _checked(store, shelf, backup_id, now, breathe)
        shelf.keep_check(result)
    except OSError as error:
        raise BackupFailed(
            f"{backup_id} could not be checked: {error.strerror or error}; see to {shelf.path}"
        ) from error
    return result


def _checked(
    store: BackupStore, shelf: Shelf, backup_id: str, now: datetime, breathe: Breathe
) -> CheckResult:
    began = time.monotonic()
    problem, sums = None, ""
    try:
        manifest, sums = check_files(shelf, backup_id, breathe)
        _rehearse(store, shelf, manifest, breathe)
    except DamagedBackup as error:
        problem = str(error)
    return CheckResult(
        id=backup_id,
        manifest_sha256=sums,
        at=now,
        problem=problem,
        seconds=round(time.monotonic() - began, 3),
    )


def check_files(shelf: Shelf, backup_id: str, breathe: Breathe) -> tuple[Manifest, str]:
    """Compare all of its bytes with what its manifest says, and the manifest with its neighbours.

    Raises ``DamagedBackup``.
    """
    manifest, sums = shelf.manifest(backup_id)
    if strangers := shelf.strangers(backup_id, manifest):
        raise DamagedBackup(f"{strangers[0][:80]!r} does not belong into it")
    for name, entry in manifest.files.items():
        check_file(shelf.place(backup_id) / name, entry, breathe)
    _check_chain(shelf, manifest, sums)
    result = shelf.check_result(backup_id)
    if result is not None and result.manifest_sha256 not in (sums, ""):
        raise DamagedBackup("the manifest is another one than when it was last checked")
    return manifest, sums


def _check_chain(shelf: Shelf, manifest: Manifest, sums: str) -> None:
    """The hash chain, as far as its neighbours are still there, and whole: what is wrong with one
    of them says nothing of this one."""
    ids = shelf.ids()
    link = manifest.previous
    if link is not None and link.id in ids:
        previous = _neighbour(shelf, link.id)
        if previous is not None and previous[1] != link.sha256:
            raise DamagedBackup(f"it continues another {link.id} than the one that is there")
    for later in ids[ids.index(manifest.id) + 1 :][:1]:
        following = _neighbour(shelf, later)
        back = None if following is None else following[0].previous
        if back is not None and back.id == manifest.id and back.sha256 != sums:
            raise DamagedBackup(f"{later} continues another one than this")


def _neighbour(shelf: Shelf, backup_id: str) -> tuple[Manifest, str] | None:
    with suppress(DamagedBackup):
        return shelf.manifest(backup_id)
    return None


def _rehearse(store: BackupStore, shelf: Shelf, manifest: Manifest, breathe: Breathe) -> None:
    if DATABASE not in manifest.files:
        return
    with shelf.scratch(manifest.id + "-check") as work:
        copy_path, target = work / "copy.db", work / "store.db"
        unpack_file(
            shelf.place(manifest.id) / DATABASE, manifest.files[DATABASE], copy_path, breathe
        )
        store.at(target).restore(copy_path, manifest.mark, breathe, _nobody, settles=False)
        with store.open_copy(target, breathe) as restored:
            compare(restored, manifest)


def compare(restored: StoreCopy, manifest: Manifest) -> None:
    """Raise ``DamagedBackup`` unless a restored store holds what the manifest says."""
    if problem := restored.problem():
        raise DamagedBackup(problem)
    found = restored.totals()
    if {name: total.rows for name, total in found.items()} != {
        name: total.rows for name, total in manifest.totals.items()
    }:
        raise DamagedBackup("restored, it has more or fewer rows than the store had")
    if restored.mark().schema != manifest.mark.schema:
        return  # an older version wrote it: its columns were others, so were sums over them
    if found != manifest.totals:
        raise DamagedBackup("restored, it has other rows than the store had")
    # The lines are what the store says of that stretch of its life, to the byte.
    hashed = sha256()
    for _, _, text in restored.lines(manifest.since):
        hashed.update(text)
    if hashed.hexdigest() != manifest.files[CONVERSATIONS].raw_sha256:
        raise DamagedBackup(f"{CONVERSATIONS} does not say what its copy of the database says")
