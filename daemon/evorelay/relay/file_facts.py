"""What a file says of itself: its type, an image's size, how long a sound or a film is.

The bytes are a stranger's. The libraries that read them get a window that ends after so many reads,
so no file keeps a thread for long, and nothing they stumble over comes out of here.
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

import imagesize
import tinytag
from msgspec import Struct

from evorelay.protocol.filetypes import HEAD_BYTES, sniff

READS_MAX = 50_000
"""About 0.1 s of a library's time. Ten minutes of a voice note take some 1,000."""
READ_BYTES_MAX = 8 * 1024 * 1024
"""Of one file, in all."""
_SECONDS_MAX = 7 * 86400
_SIDE_MAX = 1 << 20
_BOXES_MAX = 64


class FileFacts(Struct, frozen=True, kw_only=True):
    """Whatever is not known is None."""

    mimetype: str | None
    """By the bytes alone."""
    width: int | None = None
    height: int | None = None
    seconds: int | None = None


def file_facts(file: memoryview) -> FileFacts:
    """Read what there is to know. Blocks: for worker threads. Raises nothing, whatever the bytes.

    Made for ``BlobStore.examine``; does not keep ``file``.
    """
    mimetype = sniff(bytes(file[:HEAD_BYTES]))
    if mimetype == "video/mp4" and not _has_picture(file):
        mimetype = "audio/mp4"
    family = (mimetype or "").partition("/")[0]
    if family == "image":
        width, height = _size(file)
        return FileFacts(mimetype=mimetype, width=width, height=height)
    if family in ("audio", "video"):
        return FileFacts(mimetype=mimetype, seconds=_seconds(file))
    return FileFacts(mimetype=mimetype)


class _Exhausted(ValueError):
    """The file asks for more reading than any honest one."""


class _Window:
    """The mapped file as a file, with an end to patience. Nothing is copied but what is read."""

    def __init__(self, file: memoryview) -> None:
        self._file = file
        self._at = 0
        self._reads = READS_MAX
        self._bytes = READ_BYTES_MAX

    def read(self, size: int = -1) -> bytes:
        end = len(self._file) if size < 0 else self._at + size
        data = bytes(self._file[self._at : min(end, self._at + self._bytes + 1)])
        self._reads -= 1
        self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            raise _Exhausted
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._file)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at


def _size(file: memoryview) -> tuple[int | None, int | None]:
    """As it is seen, an image on its side turned (EXIF)."""
    width, height = imagesize.get(_Window(file))  # (-1, -1) for whatever it cannot read
    is_size = 0 < width < _SIDE_MAX and 0 < height < _SIDE_MAX
    return (int(width), int(height)) if is_size else (None, None)


def _seconds(file: memoryview) -> int | None:
    try:
        found = tinytag.TinyTag.get(file_obj=cast(BinaryIO, _Window(file)), tags=False)
    except (tinytag.TinyTagException, _Exhausted):  # it wraps whatever goes wrong in parsing
        return None
    seconds = found.duration
    if seconds is None or not 0 < seconds < _SECONDS_MAX:
        return None
    return max(1, round(seconds))


def _has_picture(file: memoryview) -> bool:
    """Whether an MP4 has a video track. True where that cannot be told."""
    for name, start, end in _boxes(file, 0, len(file)):
        if name == b"moov":
            tracks = [box for box in _boxes(file, start, end) if box[0] == b"trak"]
            return not tracks or any(b"vide" in _handler(file, *box[1:]) for box in tracks)
    return True


def _handler(file: memoryview, start: int, end: int) -> bytes:
    """Of a track: what kind of thing plays it (``mdia/hdlr``, ISO 14496-12 §8.4.3)."""
    for name in (b"mdia", b"hdlr"):
        start, end = next(
            ((box[1], box[2]) for box in _boxes(file, start, end) if box[0] == name), (0, 0)
        )
    return bytes(file[start : min(end, start + 12)])


def _boxes(file: memoryview, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin, end) of what is in each box of this stretch (ISO 14496-12 §4.2)."""
    for _ in range(_BOXES_MAX):
        if end - start < 16:
            return
        size, name = struct.unpack_from(">I4s", file, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", file, start + 8)
            head = 16
        size = size or end - start  # 0: to the end
        if size < head or start + size > end:
            return
        yield name, start + head, start + size
        start += size
