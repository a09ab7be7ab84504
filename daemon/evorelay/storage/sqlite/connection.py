"""Opening SQLite files the one safe way, and turning its errors into ours.

WAL with ``synchronous=FULL``: a commit that returned survives a power cut (P1). One connection
writes each file; readers open it ``query_only`` and never wait for the writer.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from evorelay.model.errors import RelayError, StoreInUse, StoreUnavailable

CHECKPOINT_PAGES = 4000
"""16 MiB of WAL between checkpoints: at the default 1000 the p99 of commits doubles (measured)."""
WRITER_CACHE_KIB = 16 * 1024
READER_CACHE_KIB = 4 * 1024
"""Pages kept by SQLite itself; the kernel keeps the rest, and a VPS has little memory."""
_CHECKPOINT_TRIES = 5
"""Each waits up to the busy timeout."""

_PASSING = (
    apsw.FullError,  # disk full
    apsw.IOError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,  # a file system that the kernel remounted after a fault
)
_DAMAGE = (apsw.CorruptError, apsw.NotADBError)
FILE_FAULTS = (*_PASSING, *_DAMAGE)
"""What says something about the file, whatever was asked of it."""


class DamagedFile(RelayError):
    """The file's content is not what we wrote; trying again does not help."""

    def __init__(self, path: Path | str, what: str) -> None:
        super().__init__(
            f"{path} is damaged ({what}): stop evorelay, then put a backup of it in its place,"
            f" or move it and {os.path.basename(path)}-wal away"
        )


def version() -> str:
    """Of the SQLite that apsw brings along."""
    return apsw.sqlite_lib_version()


def open_writer(path: Path, *, durable: bool = True) -> apsw.Connection:
    """Open (creating it 0600) the file for its only writer."""
    with file_faults():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with translated_errors(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(5000)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full" if durable else "off")
        connection.pragma("foreign_keys", True)
        connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        connection.pragma("journal_size_limit", 64 * 1024 * 1024)
        connection.pragma("temp_store", "memory")
        connection.pragma("cache_size", -WRITER_CACHE_KIB)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open the file for reading beside its writer."""
    with translated_errors(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        connection.pragma("query_only", True)
        connection.pragma("cache_size", -READER_CACHE_KIB)
    return connection


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """``BEGIN IMMEDIATE`` … ``COMMIT``; any exception, also one from COMMIT, rolls back."""
    with translated_errors(connection.filename):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """One consistent view over several reads."""
    with translated_errors(connection.filename):
        connection.execute("BEGIN")
        try:
            yield
        finally:
            if connection.in_transaction:  # some errors have ended it already
                connection.execute("ROLLBACK")


def fits(connection: apsw.Connection, bytes_max: int) -> bool:
    """Whether the file is no larger than that."""
    with translated_errors(connection.filename):
        size = int(connection.pragma("page_count")) * int(connection.pragma("page_size"))
        return size <= bytes_max


def scrub(connection: apsw.Connection, compact_bytes_max: int) -> bool:
    """Have nothing of what was deleted left in the file and its WAL; ``Maintenance.scrub``."""
    is_small = fits(connection, compact_bytes_max)
    with translated_errors(connection.filename):
        if is_small:
            connection.pragma("temp_store", "file")  # in memory it would all be there at once
            try:
                connection.execute("VACUUM")
            finally:
                connection.pragma("temp_store", "memory")
        for _ in range(_CHECKPOINT_TRIES):  # readers are short, but there may be one
            with suppress(apsw.BusyError):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                break
        connection.pragma("secure_delete", False)
    return is_small


@contextmanager
def translated_errors(path: Path | str) -> Iterator[None]:
    """Raise SQLite's passing troubles as ``StoreUnavailable``, damage as ``DamagedFile``."""
    try:
        yield
    except _PASSING as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
    except _DAMAGE as error:
        raise DamagedFile(path, str(error)) from error


@contextmanager
def file_faults() -> Iterator[None]:
    """Raise what the file system says about a path as ``StoreUnavailable`` with that path."""
    try:
        yield
    except OSError as error:
        path = error.filename or "the store's disk"
        raise StoreUnavailable(f"{path} cannot be used: {error.strerror}") from error


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a state directory for this process; released by the kernel even after kill -9."""
    with file_faults():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(
                f"{path.parent} is in use by another evorelay; stop it, or give this one"
                " another state_dir"
            ) from None
        yield
    finally:
        os.close(descriptor)
