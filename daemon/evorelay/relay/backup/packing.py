"""Compressed files with the SHA-256 of what is in them and of what they are. Memory stays flat."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from evorelay.model.backup import DamagedBackup, FileEntry
from evorelay.relay.backup.files import create, open_regular, sync

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHUNK: Final = 256 * 1024
LINE_BYTES_MAX: Final = 256 * 1024 * 1024
"""One row: a message, whose webhook may be as large as ``webhook.max_body_bytes``."""
_WINDOW_LOG_MAX: Final = 27
"""128 MiB: what a file may make the decompressor hold; ours take 2 MiB."""
_OPTIONS: Final = {
    int(zstd.CompressionParameter.compression_level): 3,
    int(zstd.CompressionParameter.checksum_flag): 1,
}

Breathe = Callable[[], None]


class _Hashed:
    """A file being written that is hashed on its way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)


class Packer:
    """Write with ``write``; ``entry`` says what was written once ``packed`` was left."""

    def __init__(self, file: BinaryIO) -> None:
        self._out = _Hashed(file)
        self._raw = hashlib.sha256()
        self._raw_bytes = 0
        self._stream = zstd.ZstdCompressor(options=_OPTIONS)

    def write(self, data: bytes) -> None:
        self._raw.update(data)
        self._raw_bytes += len(data)
        self._out.write(self._stream.compress(data))

    def finish(self) -> None:
        self._out.write(self._stream.flush())

    @property
    def entry(self) -> FileEntry:
        return FileEntry(
            bytes=self._out.bytes,
            sha256=self._out.sha256.hexdigest(),
            raw_bytes=self._raw_bytes,
            raw_sha256=self._raw.hexdigest(),
        )


@contextmanager
def packed(path: Path) -> Iterator[Packer]:
    """A new file, durable when this is left. Raises ``OSError``."""
    with create(path) as file:
        packer = Packer(file)
        yield packer
        packer.finish()
        sync(file)


def pack_file(source: Path, target: Path, breathe: Breathe) -> FileEntry:
    with source.open("rb") as file, packed(target) as packer:
        while chunk := file.read(_CHUNK):
            packer.write(chunk)
            breathe()
    return packer.entry


def unpacked(path: Path, entry: FileEntry, breathe: Breathe) -> Iterator[bytes]:
    """What is in the file, in pieces. Raises ``DamagedBackup`` as soon as anything is not as
    ``entry`` says; only when all pieces were taken is it known that nothing was wrong.
    """
    raw, raw_bytes = hashlib.sha256(), 0
    for piece in _decompressed(path, entry, breathe):
        raw_bytes += len(piece)
        if raw_bytes > entry.raw_bytes:
            raise DamagedBackup(f"{path.name} holds more than it should")
        raw.update(piece)
        yield piece
    if raw_bytes != entry.raw_bytes or raw.hexdigest() != entry.raw_sha256:
        raise DamagedBackup(f"{path.name} does not hold what it should")


def unpack_file(source: Path, entry: FileEntry, target: Path, breathe: Breathe) -> None:
    with create(target) as file:
        for piece in unpacked(source, entry, breathe):
            file.write(piece)


def lines(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The lines of a text, without their newlines. Raises ``DamagedBackup`` for a monstrous one."""
    rest = bytearray()
    for piece in pieces:
        head, newline, tail = piece.rpartition(b"\n")
        if not newline:
            rest += piece
            if len(rest) > LINE_BYTES_MAX:
                raise DamagedBackup(f"{name} has a line of more than {LINE_BYTES_MAX} bytes")
            continue
        yield from (bytes(rest) + head).split(b"\n")
        rest = bytearray(tail)
    if rest:
        raise DamagedBackup(f"{name} ends in the middle of a line")


def check_file(path: Path, entry: FileEntry, breathe: Breathe) -> None:
    """Compare a file's bytes with its SHA-256. Raises ``DamagedBackup``."""
    for _ in _read(path, entry, breathe):
        pass


def _read(path: Path, entry: FileEntry, breathe: Breathe) -> Iterator[bytes]:
    hashed, size = hashlib.sha256(), 0
    with open_regular(path) as file:
        while True:
            try:
                chunk = file.read(_CHUNK)
            except OSError as error:
                raise DamagedBackup(f"{path.name} cannot be read: {error.strerror}") from None
            if not chunk:
                break
            breathe()
            size += len(chunk)
            hashed.update(chunk)
            yield chunk
    if size < entry.bytes:
        raise DamagedBackup(f"{path.name} is cut short: {size} of {entry.bytes} bytes")
    if size > entry.bytes:
        raise DamagedBackup(f"{path.name} is longer than it was: {size} instead of {entry.bytes}")
    if hashed.hexdigest() != entry.sha256:
        raise DamagedBackup(f"{path.name} was changed: its SHA-256 is another one")


def _decompressed(path: Path, entry: FileEntry, breathe: Breathe) -> Iterator[bytes]:
    """In pieces of bounded size, whatever a short input may expand to."""
    stream = zstd.ZstdDecompressor(
        options={int(zstd.DecompressionParameter.window_log_max): _WINDOW_LOG_MAX}
    )
    try:
        for chunk in _read(path, entry, breathe):
            data = chunk
            while not stream.eof:
                piece = stream.decompress(data, max_length=_CHUNK)
                data = b""
                if piece:
                    yield piece
                elif stream.needs_input:
                    break
            if stream.unused_data:
                raise DamagedBackup(f"{path.name} holds more than it should")
    except (zstd.ZstdError, EOFError) as error:
        raise DamagedBackup(f"{path.name} cannot be decompressed") from error
    if not stream.eof:
        raise DamagedBackup(f"{path.name} is cut short")
