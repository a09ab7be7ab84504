"""A backup put into a store: from its copy of the database, or from conversations alone."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from evorelay.model.backup import DamagedBackup, Manifest, Restored, RestoreRefused, Stretch
from evorelay.model.sizes import readable_bytes
from evorelay.protocol.backup_manifest import CONVERSATIONS, DATABASE
from evorelay.relay.backup.chain import chain_to, read_manifests
from evorelay.relay.backup.checking import check_files, compare
from evorelay.relay.backup.packing import Breathe, check_file, lines, unpack_file, unpacked
from evorelay.relay.backup.shelf import Shelf
from evorelay.storage.ports.backup import BackupStore

_SCRATCH = ".restore-"

Told = Callable[[str, int, int], None]
"""(what is being done, how far, of how much)."""


def restore_backup(
    store: BackupStore,
    shelf: Shelf,
    backup_id: str,
    scratch: Path,
    breathe: Breathe,
    told: Told,
    *,
    from_conversations: bool = False,
    is_partial: bool = False,
) -> Restored:
    """Put it into the store, which the caller has for itself alone. Checked before it is believed.

    ``scratch``: from ``scratch_beside``. ``from_conversations``: do without the copy of the
    database; ``is_partial``: also where backups of the chain are missing. Raises
    ``DamagedBackup`` and ``RestoreRefused`` before anything was changed.
    """
    copy_path = scratch / "copy.db"
    manifest, _ = shelf.manifest(backup_id)
    _check_room(manifest, scratch)
    missing: list[Stretch] = []
    if is_database := not from_conversations and DATABASE in manifest.files:
        told("checking", 0, 1)
        manifest, _ = check_files(shelf, backup_id, breathe)
        told("unpacking", 0, 1)
        unpack_file(shelf.place(backup_id) / DATABASE, manifest.files[DATABASE], copy_path, breathe)
        with store.open_copy(copy_path, breathe) as copy:
            told("comparing", 0, 1)
            compare(copy, manifest)
    else:
        missing = _build(store, shelf, manifest, copy_path, breathe, told, is_partial=is_partial)
    total = manifest.totals["messages"].rows
    merged = store.restore(
        copy_path, manifest.mark, breathe, lambda done: told("restoring", done, total)
    )
    return Restored(
        id=backup_id,
        source="database" if is_database else "conversations",
        messages=merged.messages,
        rows=merged.rows,
        epoch=merged.epoch,
        failed_replies=merged.failed_replies,
        missing_before=next((one.to for one in missing if one.from_ is None), None),
        missing=missing,
    )


@contextmanager
def scratch_beside(store: BackupStore) -> Iterator[Path]:
    """A directory on the store's disk that is gone afterwards."""
    remove_leftovers(store)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=store.directory) as directory:
        yield Path(directory)


def remove_leftovers(store: BackupStore) -> None:
    """What a killed restore left: a copy of the store, with everybody who was erased since. For
    whoever has the store for itself."""
    for leftover in store.directory.glob(f"{_SCRATCH}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _build(
    store: BackupStore,
    shelf: Shelf,
    last: Manifest,
    copy_path: Path,
    breathe: Breathe,
    told: Told,
    *,
    is_partial: bool,
) -> list[Stretch]:
    """Make a store of the chain of conversations that leads to ``last``; returns what it lacks."""

    def is_whole(manifest: Manifest) -> bool:
        path = shelf.place(manifest.id) / CONVERSATIONS
        with suppress(DamagedBackup):
            check_file(path, manifest.files[CONVERSATIONS], breathe)
            return True
        return False

    told("checking", 0, 1)
    links, missing = chain_to(read_manifests(shelf), last, is_whole)
    if missing and not is_partial:
        raise RestoreRefused(
            f"{last.id}: backups before it are missing or damaged, and with them"
            f" {'; '.join(map(str, missing))}. Nothing was restored. Bring them back, or restore"
            " the rest with --from-conversations --partial"
        )

    def text(manifest: Manifest) -> Iterator[bytes]:
        path = shelf.place(manifest.id) / CONVERSATIONS
        return lines(unpacked(path, manifest.files[CONVERSATIONS], breathe), CONVERSATIONS)

    def days() -> Iterator[Iterator[bytes]]:
        for number, manifest in enumerate(links):
            told("reading conversations", number, len(links))
            yield text(manifest)

    # Where days are missing, the journal is to be read from its beginning: it may have them.
    cursors = {} if missing else last.mark.cursors
    store.build_copy(
        copy_path, chain.from_iterable(days()), cursors, breathe, has_gaps=bool(missing)
    )
    with store.open_copy(copy_path, breathe) as copy:
        if problem := copy.problem():
            raise DamagedBackup(problem)
    return missing


def _check_room(manifest: Manifest, scratch: Path) -> None:
    entry = manifest.files.get(DATABASE, manifest.files[CONVERSATIONS])
    free, needed = shutil.disk_usage(scratch).free, entry.raw_bytes * 2
    if free < needed:
        raise RestoreRefused(
            f"{readable_bytes(free)} are free at {scratch.parent}, the restore needs"
            f" {readable_bytes(needed)}"
        )
