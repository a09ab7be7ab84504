"""The chain of conversations: each backup's lines go on where those of the one before ended.

It begins with a backup that holds everything. Where a link is missing, the backups on both sides
are whole, and so are their copies of the database; only a store built of lines lacks a stretch.
"""

from collections.abc import Callable
from typing import NamedTuple

from evorelay.model.backup import DamagedBackup, Manifest, Stretch
from evorelay.relay.backup.shelf import Shelf

Manifests = dict[str, tuple[Manifest, str]]
"""Those that can be read, by id, each with its SHA-256."""


class Chain(NamedTuple):
    links: list[Manifest]
    """What a store can be built of, the oldest first; the last is the one asked for."""
    missing: list[Stretch]
    """What they do not hold, the oldest first."""


def read_manifests(shelf: Shelf) -> Manifests:
    """Raises ``BackupFailed``."""
    found: Manifests = {}
    # The newest first: retention, which takes the oldest first, leaves no hole meanwhile.
    for backup_id in reversed(shelf.ids()):
        try:
            found[backup_id] = shelf.manifest(backup_id)
        except DamagedBackup:
            continue
    return found


def chain_to(
    manifests: Manifests, last: Manifest, is_whole: Callable[[Manifest], bool] = lambda _: True
) -> Chain:
    """Back to the backup that holds everything, or as far as there are backups.

    ``is_whole``: whether the lines of one can be used; one that cannot counts as missing.
    """
    links: list[Manifest] = [last]
    missing: list[Stretch] = []
    while (until := links[0].from_) is not None:
        before = _nearest(manifests, links[0], is_whole)
        if before is None or not _is_linked(links[0], before):
            missing.insert(0, Stretch(None if before is None else before.created_at, until))
        if before is None:
            break
        links.insert(0, before)
    return Chain(links, missing)


def gap_before(manifests: Manifests, backup_id: str) -> str | None:
    """What is to be told of the chain right before this backup, which is whole itself.

    None for the oldest ones when a newer one holds everything: retention took what they continue.
    """
    manifest, _ = manifests[backup_id]
    if manifest.from_ is None or manifest.previous is None:
        return None
    before = _nearest(manifests, manifest)
    if before is not None and _is_linked(manifest, before):
        return None
    if before is None and any(
        later > backup_id and other.from_ is None for later, (other, _) in manifests.items()
    ):
        return None
    lacking = Stretch(None if before is None else before.created_at, manifest.from_)
    return (
        f"backup {manifest.previous.id} before it is missing or damaged: {lacking} lacks in a"
        " restore --from-conversations, not in one from the copy of the database"
    )


def _nearest(
    manifests: Manifests,
    later: Manifest,
    is_whole: Callable[[Manifest], bool] = lambda _: True,
) -> Manifest | None:
    """The newest backup before it that tells of the same life of the store."""
    link = later.previous
    for backup_id in sorted(manifests, reverse=True):
        manifest, sums = manifests[backup_id]
        if backup_id >= later.id or manifest.mark.epoch != later.mark.epoch:
            continue
        if link is not None and link.id == backup_id and link.sha256 != sums:
            continue  # not the one that was continued
        if is_whole(manifest):
            return manifest
    return None


def _is_linked(later: Manifest, before: Manifest) -> bool:
    """``before`` is what ``later`` continues; its SHA-256 was compared when it was found."""
    return later.previous is not None and later.previous.id == before.id
