"""Files of backups on the disk: private, durable, and opened without being led astray."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from evorelay.model.backup import DamagedBackup


def open_regular(path: Path) -> BinaryIO:
    """For reading; no link, pipe or device. Raises ``DamagedBackup``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DamagedBackup(f"{path.name} is missing") from None
    except OSError as error:
        raise DamagedBackup(f"{path.name} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamagedBackup(f"{path.name} is no file")
    return os.fdopen(descriptor, "rb")


def create(path: Path) -> BinaryIO:
    """A new file with mode 0600. Raises ``OSError``."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def write_new(path: Path, data: bytes) -> None:
    """Durable but for its name."""
    with create(path) as file:
        file.write(data)
        sync(file)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
