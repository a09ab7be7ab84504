"""The directory backups lie in: each is a directory of its own, or it is not there.

A backup is written under a name that begins with a dot and renamed when all of it is on the disk,
so what has the name of a backup is whole. One process at a time changes anything here.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evorelay.config import Config
from evorelay.model.backup import (
    BackupFailed,
    BackupRunning,
    CheckResult,
    DamagedBackup,
    Manifest,
    UnknownBackup,
)
from evorelay.protocol.backup_manifest import (
    MANIFEST,
    MANIFEST_BYTES_MAX,
    decode_check,
    decode_manifest,
    encode_check,
    is_backup_id,
)
from evorelay.relay.backup.files import open_regular, sync_directory, write_new

_ID_FORMAT = "%Y%m%dT%H%M%SZ"
_CHECK = ".check.json"
_LOOK_EVERY_S = 0.2


def shelf_of(config: Config) -> "Shelf":
    return Shelf(Path(config.backup.dir or Path(config.state_dir) / "backups"))


class Shelf:
    """``path`` need not be there yet. Methods raise ``BackupFailed`` for what the disk says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ids(self) -> list[str]:
        """Names of the backups, the oldest first."""
        try:
            return sorted(
                entry.name
                for entry in os.scandir(self.path)
                if is_backup_id(entry.name) and entry.is_dir(follow_symlinks=False)
            )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed(error) from None

    def chosen(self, backup_id: str | None) -> str:
        """The backup of this name, or the newest. Raises ``UnknownBackup``."""
        ids = self.ids()
        if backup_id is None:
            if not ids:
                raise UnknownBackup(
                    f"there is no backup in {self.path}; make one with `evorelay backup now`"
                )
            return ids[-1]
        if backup_id not in ids:
            raise UnknownBackup(
                f"there is no backup {backup_id} in {self.path}; `evorelay backup list` shows them"
            )
        return backup_id

    def place(self, backup_id: str) -> Path:
        if not is_backup_id(backup_id):
            raise ValueError("no name of a backup")
        return self.path / backup_id

    def manifest(self, backup_id: str) -> tuple[Manifest, str]:
        """With its SHA-256. Raises ``DamagedBackup``."""
        return decode_manifest(_small_file(self.place(backup_id) / MANIFEST), backup_id)

    def strangers(self, backup_id: str, manifest: Manifest) -> list[str]:
        """Names in the backup's directory that do not belong there."""
        try:
            found = os.listdir(self.place(backup_id))
        except OSError as error:
            raise DamagedBackup(f"{backup_id} cannot be read: {error.strerror}") from None
        return sorted(set(found) - {MANIFEST, *manifest.files})

    def check_result(self, backup_id: str) -> CheckResult | None:
        """None: it was not checked yet. Raises ``DamagedBackup``."""
        path = self.path / (backup_id + _CHECK)
        return decode_check(_small_file(path)) if path.exists() else None

    def keep_check(self, result: CheckResult) -> None:
        self._replace(self.path / (result.id + _CHECK), encode_check(result))

    def size(self, backup_id: str) -> int:
        """Bytes of its files."""
        with suppress(OSError):
            return sum(entry.stat().st_size for entry in os.scandir(self.place(backup_id)))
        return 0

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free

    @contextmanager
    def locked(self, *, patience_s: float = 0.0) -> Iterator[None]:
        """Nobody else makes, checks or removes backups meanwhile; leftovers of a crash are gone.

        Raises ``BackupRunning`` when somebody still does after ``patience_s``.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _failed(error) from None
        try:
            self._wait_for(descriptor, time.monotonic() + patience_s)
            self._remove_leftovers()
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BackupRunning(
                        f"another backup, or a check of one, is at work in {self.path};"
                        " wait until it is done"
                    ) from None
                time.sleep(_LOOK_EVERY_S)
            else:
                return

    def tidy(self) -> None:
        """Remove what a crash left behind. Raises ``BackupFailed``."""
        with self.locked():
            pass

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A directory for work, on the same disk, that is gone afterwards."""
        path = self.path / f".tmp-{name}"
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def moment(self, backup_id: str) -> datetime:
        """What the name says of when it was made."""
        return datetime.strptime(backup_id, _ID_FORMAT).replace(tzinfo=UTC)

    def new_id(self, now: datetime) -> str:
        """Later than every name there is, whatever the clock says."""
        moment = now.astimezone(UTC)
        if ids := self.ids():
            moment = max(moment, self.moment(ids[-1]) + timedelta(seconds=1))
        return moment.strftime(_ID_FORMAT)

    def put(self, written: Path, backup_id: str) -> Path:
        """Give a complete directory its name, durably."""
        place = self.place(backup_id)
        sync_directory(written)
        os.rename(written, place)
        sync_directory(self.path)
        return place

    def drop_oldest(self, keep: int) -> list[str]:
        """Remove all but the newest ones; returns which."""
        doomed = self.ids()[:-keep]
        try:
            for backup_id in doomed:
                # Under another name first: half a backup must not look like one.
                leaving = self.path / f".tmp-drop-{backup_id}"
                os.rename(self.place(backup_id), leaving)
                shutil.rmtree(leaving, ignore_errors=True)
                (self.path / (backup_id + _CHECK)).unlink(missing_ok=True)
        except OSError as error:
            raise _failed(error) from None
        return doomed

    def _remove_leftovers(self) -> None:
        for leftover in self.path.glob(".tmp-*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def _replace(self, path: Path, data: bytes) -> None:
        scratch = path.with_name(f".tmp-{path.name}")
        scratch.unlink(missing_ok=True)
        write_new(scratch, data)
        os.replace(scratch, path)
        sync_directory(self.path)


def _small_file(path: Path) -> bytes:
    with open_regular(path) as file:
        data = file.read(MANIFEST_BYTES_MAX + 1)
    if len(data) > MANIFEST_BYTES_MAX:
        raise DamagedBackup(f"{path.name} is far too large")
    return data


def _failed(error: OSError) -> BackupFailed:
    return BackupFailed(f"{error.filename} cannot be used: {error.strerror}; check backup.dir")
