"""Files of messages: a backup names them and does not hold them."""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from evorelay.model.backup import DamagedBackup, Manifest
from evorelay.protocol.backup_manifest import MEDIA
from evorelay.relay.backup.packing import Breathe, lines, unpacked
from evorelay.relay.backup.shelf import Shelf


class _File(Struct):
    sha256: str
    bytes: int | None


_decode = msgspec.json.Decoder(_File).decode


def missing_files(
    shelf: Shelf, manifest: Manifest, is_here: Callable[[str], bool], breathe: Breathe
) -> int:
    """How many files of messages ``is_here`` (given their SHA-256) does not find.

    Raises ``DamagedBackup``.
    """
    if MEDIA not in manifest.files:
        return 0
    path = shelf.place(manifest.id) / MEDIA
    named = lines(unpacked(path, manifest.files[MEDIA], breathe), MEDIA)
    try:
        return sum(not is_here(_decode(line).sha256) for line in named)
    except msgspec.MsgspecError as error:
        raise DamagedBackup(f"{MEDIA} has a line that is none of ours: {error}") from None
