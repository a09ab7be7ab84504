"""Bytes too large for the journal, as files named by their SHA-256: ``ab/cd/abcd...``.

A blob is durable when ``commit`` or ``put`` returns, so a webhook that refers to it may be
acknowledged then (P1). It is written under ``tmp/`` and renamed into place, so a name never stands
for part of its bytes. The same bytes are stored once.

A blob's age is counted from when it was last committed or renewed. Whoever is about to refer to one
that was there before renews it first, so what is old and referred to by nobody may be removed
without asking who might be about to (relay/collecting.py).

Directories have mode 0700, files 0600. Every disk operation runs in a worker thread, and only so
many at once: a slow disk must not take the threads of the rest of the daemon.
"""

import hashlib
import mmap
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar

import trio

from evorelay.model.errors import JournalUnavailable, StoreUnavailable

T = TypeVar("T")

_THREADS: Final = 4
_FLUSH_BYTES: Final = 256 * 1024
"""What a sink holds before it goes to a thread: the hop costs as much as hashing 200 KiB."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
SHELVES: Final = tuple(f"{number:02x}" for number in range(256))
"""The directories right below the root; each holds the blobs whose names begin so."""


class BlobStore:
    """All blobs under one directory. Make it with ``open``.

    Looking at blobs raises ``StoreUnavailable`` when the disk fails.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tmp = root / "tmp"
        self._threads = trio.CapacityLimiter(_THREADS)
        self._naming = threading.Lock()
        """Held while a name begins or ceases to stand for a blob, or becomes young again."""

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Make the directories that lack and remove what a crash left half written.

        Only one process may have ``root`` open: take the state directory's lock before.
        Raises ``StoreUnavailable`` when the directory cannot be used.
        """
        blobs = cls(root)
        await trio.to_thread.run_sync(blobs._prepare, limiter=blobs._threads)
        return blobs

    def open_sink(self) -> "Sink":
        """A new blob to write to: ``async with blobs.open_sink() as sink``."""
        return Sink(self._root, self._tmp / secrets.token_hex(16), self._threads, self._naming)

    async def put(self, data: bytes) -> str:
        """Store ``data`` durably and return its SHA-256; raises as ``Sink.commit`` does."""
        async with self.open_sink() as sink:
            await sink.write(data)
            return await sink.commit()

    def path(self, sha256: str) -> Path:
        """Where the blob of this name is, if it is. ``ValueError`` for what is no SHA-256."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError("a blob is named by 64 lower-case hexadecimal digits")
        return _place(self._root, sha256)

    async def size(self, sha256: str) -> int | None:
        """Bytes in the blob, None when there is none of this name."""
        path = self.path(sha256)
        return await self._look(lambda: path.stat().st_size)

    async def renew(self, sha256: str) -> int | None:
        """As ``size``, and the blob is young from now on: for who is about to refer to it."""
        path = self.path(sha256)

        def renew() -> int:
            with self._naming:
                os.utime(path)
                return path.stat().st_size

        return await self._look(renew)

    async def older(self, shelf: str, than_ms: int) -> list[str]:
        """Names on one of the ``SHELVES`` of blobs that are older than that (Unix ms)."""
        place = self._root / shelf

        def listed() -> list[str]:
            return [
                path.name
                for path in place.glob("??/*")
                if _SHA256.fullmatch(path.name) and _young_at(path) < than_ms
            ]

        return await self._look(listed) or []

    async def remove(self, names: Sequence[str], older_than_ms: int) -> tuple[int, int]:
        """Remove blobs, but not one that was stored again or renewed since then (Unix ms).

        Returns how many were removed, and their bytes. Cancelling leaves some of them removed.
        """
        paths = [self.path(name) for name in names]

        def remove() -> tuple[int, int]:
            count = size = 0
            for path in paths:
                with suppress(FileNotFoundError), self._naming:
                    if _young_at(path) < older_than_ms:
                        size += path.stat().st_size
                        path.unlink()
                        count += 1
            return count, size

        return await self._look(remove) or (0, 0)

    async def read(self, sha256: str, limit: int, *, start: int = 0) -> bytes | None:
        """Up to ``limit`` bytes of the blob from ``start``; None when there is no such blob."""
        path = self.path(sha256)
        return await self._look(lambda: _read(path, start, limit))

    async def examine(self, sha256: str, work: Callable[[memoryview], T]) -> T | None:
        """Return what ``work`` makes of a whole blob of any size, None when there is no such blob.

        ``work`` runs in a worker thread. The view is the file itself, mapped into memory and not
        copied; ``work`` must let go of it before it returns.
        """
        path = self.path(sha256)
        return await self._look(lambda: _examine(path, work))

    async def _look(self, work: Callable[[], T]) -> T | None:
        def look() -> T | None:
            with _faults_as(StoreUnavailable), suppress(FileNotFoundError):
                return work()
            return None

        return await trio.to_thread.run_sync(look, limiter=self._threads)

    def _prepare(self) -> None:
        with _faults_as(StoreUnavailable):
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._tmp.mkdir(mode=0o700, exist_ok=True)
            for leftover in self._tmp.iterdir():
                leftover.unlink()
            _sync_directory(self._root.parent)


class Sink(trio.abc.AsyncResource):
    """One blob being written. Leaving it without ``commit`` leaves nothing behind.

    ``write`` and ``commit`` raise ``JournalUnavailable`` when the disk is full or fails; the sink
    is then good for closing only. When they are cancelled, so is it.
    """

    def __init__(
        self, root: Path, tmp: Path, threads: trio.CapacityLimiter, naming: threading.Lock
    ) -> None:
        self._root = root
        self._tmp = tmp
        self._threads = threads
        self._naming = naming
        self._pending = bytearray()
        self._sha256 = hashlib.sha256()
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Append; waits for the disk every 256 KiB."""
        self._pending += data
        if len(self._pending) >= _FLUSH_BYTES:
            await self._run(self._flush)
        else:
            await trio.lowlevel.checkpoint()

    async def commit(self) -> str:
        """Make the blob durable under its name, the SHA-256 that is returned."""
        return await self._run(self._commit)

    async def aclose(self) -> None:
        """Remove what was written, unless it was committed. Not interrupted by cancelling."""
        with trio.CancelScope(shield=True):
            await self._run(self._discard)

    async def _run(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._threads)

    def _flush(self) -> None:
        with _faults_as(JournalUnavailable):
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._file = os.fdopen(os.open(self._tmp, flags, 0o600), "wb")
            self._sha256.update(self._pending)
            self._file.write(self._pending)
        self._pending.clear()

    def _commit(self) -> str:
        self._flush()
        assert self._file is not None
        sha256 = self._sha256.hexdigest()
        place = _place(self._root, sha256)
        with _faults_as(JournalUnavailable):
            self._file.flush()
            os.fsync(self._file.fileno())
            place.parent.parent.mkdir(mode=0o700, exist_ok=True)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            # Also over the same blob, stored before: it costs little, and mends a damaged one.
            with self._naming:
                os.utime(self._tmp)  # its last byte may have been written long ago
                os.replace(self._tmp, place)
            # Every directory on the way, also those that were there: another sink may have made
            # them a moment ago and not yet have come this far.
            for directory in (place.parent, place.parent.parent, self._root):
                _sync_directory(directory)
        return sha256

    def _discard(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take need not get there now
                self._file.close()
            self._tmp.unlink(missing_ok=True)  # a committed file has left this name
            self._file = None


@contextmanager
def _faults_as(error: type[JournalUnavailable] | type[StoreUnavailable]) -> Iterator[None]:
    """Turn what the disk says into our words, keeping the cause."""
    try:
        yield
    except OSError as fault:
        raise error(f"the blob store cannot be used: {fault.strerror}") from fault


def _place(root: Path, sha256: str) -> Path:
    return root / sha256[:2] / sha256[2:4] / sha256


def _young_at(path: Path) -> int:
    """Since when (Unix ms) the blob is this young."""
    return path.stat().st_mtime_ns // 1_000_000


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: Path, start: int, limit: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(limit)


def _examine(path: Path, work: Callable[[memoryview], T]) -> T:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return work(memoryview(b""))  # an empty file cannot be mapped
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        with mapped, memoryview(mapped) as view:
            return work(view)
