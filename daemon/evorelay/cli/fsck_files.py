"""The files of ``evorelay fsck``: does each hold what its name says, and does somebody need it."""

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from evorelay.model.blob_names import NAME_BYTES_MAX
from evorelay.model.fsck import Fault
from evorelay.relay.blobs import SHELVES
from evorelay.relay.collecting import GRACE_MS, SETTLING_MS
from evorelay.relay.erased import FILE as ERASED_FILE
from evorelay.relay.quarantine import blob_of
from evorelay.storage.ports.checking import Names, StoreCheck

_SHA256 = re.compile(r"[0-9a-f]{64}")
_AT_ONCE = 500
_SLICE_BYTES = 1024 * 1024
OVERDUE_S = 24 * 3600
"""A running daemon has removed by then what nobody needs."""


class Files:
    """``names``: what the journal names. ``is_served``: a daemon runs, so a file may be on its way
    to a row, or about to be removed."""

    def __init__(self, root: Path, store: StoreCheck, names: Names, *, is_served: bool) -> None:
        self._root = root
        self._store = store
        self._names = names
        self._is_served = is_served
        self.count = self.bytes = 0
        self.young_count = 0
        """Files nobody needs, which is no fault yet."""

    def faults(self, passed: Callable[[int], None]) -> Iterator[Fault]:
        """``passed`` is told of bytes that were read."""
        self.name_quarantined()
        for shelf in SHELVES:
            files = self._sound_ones(self._root / shelf, passed)
            while part := list(islice(files, _AT_ONCE)):
                faults = [item for item in part if isinstance(item, Fault)]
                yield from faults
                paths = {item.name: item for item in part if isinstance(item, Path)}
                for name in sorted(self._names.missing([*self._store.unneeded([*paths])])):
                    yield from self._orphan(paths[name])

    def missing(self, needed: Names) -> Iterator[Fault]:
        """Files that rows say are here, and that webhooks name which nobody has handled yet."""
        for blob, owner in self._store.files():
            if not self._path(blob).exists() and not self._store.unneeded([blob]):
                yield Fault("missing_file", "a file is not there", f"{blob} of {owner}")
        for blob in needed:
            if not self._path(blob).exists():
                where = f"{blob} of a webhook that is not handled yet"
                yield Fault("missing_file", "a file is not there", where)

    def unneeded(self) -> Iterator[Path]:
        """Everything that may go; for ``--repair``, when no daemon runs."""
        for shelf in SHELVES:
            paths = {path.name: path for path in (self._root / shelf).glob("??/*")}
            names = [name for name in paths if _SHA256.fullmatch(name)]
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                for name in self._names.missing([*self._store.unneeded(part)]):
                    yield paths[name]

    def _sound_ones(self, shelf: Path, passed: Callable[[int], None]) -> Iterator[Path | Fault]:
        for path in sorted(shelf.glob("??/*")):
            relative = str(path.relative_to(self._root))
            try:
                if not _SHA256.fullmatch(path.name) or path != self._path(path.name):
                    yield Fault("strange_file", "a file is where none belongs", relative)
                    continue
                digest, size = _digest(path, passed)
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:
                yield Fault("unreadable_file", "a file cannot be read", f"{relative}: {error}")
                continue
            self.count += 1
            self.bytes += size
            if digest != path.name:
                yield Fault("damaged_file", "a file does not hold what its name says", relative)
            else:
                yield path

    def _orphan(self, path: Path) -> Iterator[Fault]:
        try:
            age_s = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return
        is_settling = time.time() * 1000 - self._store.born_at() < SETTLING_MS
        if is_settling or (self._is_served and age_s < OVERDUE_S + GRACE_MS / 1000):
            self.young_count += 1
            return
        what = "nobody refers to a file; the running daemon removes such within hours"
        yield Fault("orphan", what, path.name, "files")

    def name_quarantined(self) -> None:
        """What bodies in quarantine name counts as needed, and what bodies that are files name."""
        for body in self._store.quarantined():
            self._names.add_in(body.encode())
            blob = blob_of(body)
            if blob is not None:
                self._names.add({blob})
                self.name_within(blob)

    def name_within(self, blob: str) -> None:
        """What a body that is a file itself names."""
        try:
            with self._path(blob).open("rb") as file:
                start = 0
                while part := file.read(_SLICE_BYTES + NAME_BYTES_MAX):
                    self._names.add_in(part)
                    start += _SLICE_BYTES
                    file.seek(start)
        except OSError:
            pass  # it is missed where files are looked through

    def _path(self, blob: str) -> Path:
        return self._root / blob[:2] / blob[2:4] / blob


def _digest(path: Path, passed: Callable[[int], None]) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while part := file.read(_SLICE_BYTES):
            digest.update(part)
            size += len(part)
            passed(len(part))
    return digest.hexdigest(), size


def mode_faults(state_dir: Path) -> Iterator[Fault]:
    """Who else may read what only the daemon is to read."""
    for name in ("secrets.json", "store.db", "journal.db", ERASED_FILE):
        path = state_dir / name
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        if mode & 0o077:
            what = "others may read a file that is private"
            yield Fault("open_file", what, f"{path} has mode {mode:04o}, not 0600", "modes")


def close_modes(state_dir: Path) -> None:
    for fault in list(mode_faults(state_dir)):
        os.chmod(fault.where.partition(" has mode ")[0], 0o600)
