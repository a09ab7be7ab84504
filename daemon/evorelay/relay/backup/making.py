"""One backup, from the live store to a directory that is whole or not there."""

import logging
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from evorelay import __version__
from evorelay.model.backup import (
    FORMAT,
    BackupFailed,
    DamagedBackup,
    FileEntry,
    Link,
    Manifest,
    Media,
)
from evorelay.model.sizes import readable_bytes
from evorelay.protocol.backup_manifest import (
    CONVERSATIONS,
    DATABASE,
    MANIFEST,
    MEDIA,
    encode_manifest,
)
from evorelay.relay.backup.chain import chain_to, read_manifests
from evorelay.relay.backup.files import write_new
from evorelay.relay.backup.packing import Breathe, pack_file, packed
from evorelay.relay.backup.shelf import Shelf
from evorelay.storage.ports.backup import BackupStore, StoreCopy

log = logging.getLogger(__name__)

_ROOM = 2
"""Times the store's size: the copy at rest, its compressed form, and another copy to check it."""


def make_backup(
    store: BackupStore,
    shelf: Shelf,
    now: datetime,
    breathe: Breathe,
    *,
    keep: int,
    spare_bytes: int,
) -> Manifest:
    """Write one; the caller holds the shelf's lock.

    ``keep``: how many will be kept, with this one. ``spare_bytes``: what must be left on the disk
    for everything else. Raises ``BackupFailed``,
    ``StoreUnavailable``, and whatever ``breathe`` raises; nothing is left behind then.
    """
    _check_room(store.size_bytes() * _ROOM + spare_bytes, shelf)
    backup_id = shelf.new_id(now)
    try:
        with shelf.scratch(backup_id) as work, shelf.scratch(backup_id + "-copy") as aside:
            manifest = _write(store, shelf, work, aside / "store.db", backup_id, now, keep, breathe)
            shelf.put(work, backup_id)
    except OSError as error:
        raise BackupFailed(f"the backup could not be written: {error.strerror or error}") from error
    return manifest


def _check_room(needed: int, shelf: Shelf) -> None:
    free = shelf.free_bytes()
    if free < needed:
        raise BackupFailed(
            f"{readable_bytes(free)} are free at {shelf.path}, a backup needs"
            f" {readable_bytes(needed)}; free some, lower backup.keep, or set backup.dir to a"
            " larger disk"
        )


def _write(
    store: BackupStore,
    shelf: Shelf,
    work: Path,
    copy_path: Path,
    backup_id: str,
    now: datetime,
    keep: int,
    breathe: Breathe,
) -> Manifest:
    # Everything is read from one copy: what is in the files is the same moment, to the row.
    mark = store.copy_to(copy_path, breathe)
    with store.open_copy(copy_path, breathe) as copy:
        previous = _previous(shelf)
        continues = (
            previous is not None
            and copy.continues(previous[0].mark)
            and _is_whole_to(shelf, previous[0], keep)
        )
        since = previous[0].mark.revision if previous is not None and continues else None
        conversations, counts = _conversations(copy, work / CONVERSATIONS, since)
        media_file, media = _media(copy, work / MEDIA)
        totals = copy.totals()
    files = {
        CONVERSATIONS: conversations,
        MEDIA: media_file,
        DATABASE: pack_file(copy_path, work / DATABASE, breathe),
    }
    manifest = Manifest(
        format=FORMAT,
        evorelay=__version__,
        id=backup_id,
        created_at=now,
        from_=previous[0].created_at if previous is not None and continues else None,
        since=since,
        mark=mark,
        previous=None if previous is None else Link(previous[0].id, previous[1]),
        counts=counts,
        totals=totals,
        media=media,
        files=files,
    )
    write_new(work / MANIFEST, encode_manifest(manifest)[0])
    return manifest


def _previous(shelf: Shelf) -> tuple[Manifest, str] | None:
    """The newest backup, with the SHA-256 of its manifest; nothing continues a damaged one."""
    ids = shelf.ids()
    if not ids:
        return None
    try:
        found = shelf.manifest(ids[-1])
        result = shelf.check_result(ids[-1])
        if result is not None and result.problem is not None:
            raise DamagedBackup(result.problem)
    except DamagedBackup as error:
        log.warning("backup %s is damaged, the next one holds everything: %s", ids[-1], error)
        return None
    return found


def _is_whole_to(shelf: Shelf, last: Manifest, keep: int) -> bool:
    """Whether the lines of all days up to ``last`` are there, and still will be when one more was
    made and the oldest went. If not the next one holds everything, so that its own are."""

    def is_whole(manifest: Manifest) -> bool:
        with suppress(DamagedBackup):
            result = shelf.check_result(manifest.id)
            return result is None or result.problem is None
        return False

    links, missing = chain_to(read_manifests(shelf), last, is_whole)
    if missing:
        log.warning("backups are missing, the next one holds everything: %s", missing[-1])
    newer = [backup_id for backup_id in shelf.ids() if backup_id >= links[0].id]
    return not missing and len(newer) < keep


def _conversations(
    copy: StoreCopy, path: Path, since: int | None
) -> tuple[FileEntry, dict[str, int]]:
    counts: Counter[str] = Counter()
    with packed(path) as packer:
        for kind, count, text in copy.lines(since):
            counts[kind] += count
            packer.write(text)
    return packer.entry, dict(counts)


def _media(copy: StoreCopy, path: Path) -> tuple[FileEntry, Media]:
    files = size = 0
    with packed(path) as packer:
        for count, size_bytes, text in copy.media():
            files += count
            size += size_bytes
            packer.write(text)
    return packer.entry, Media(files=files, bytes=size)
