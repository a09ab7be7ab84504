"""A file out of ``chat/getBase64FromMediaMessage`` into the blob store, while it arrives."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct

from evorelay.model.outcome import FaultKind, FetchedMedia, GatewayFault
from evorelay.protocol.diverted import BlobBytes, BlobEnd, Residual
from evorelay.protocol.normalise.values import count_of, short_text
from evorelay.protocol.spill import Spiller
from evorelay.relay.blobs import BlobStore, Sink

_REST_MAX = 1024 * 1024
"""What the answer may hold beside its base64."""
_SPILL_MIN = 1024


async def take_media(
    chunks: AsyncIterator[bytes], blobs: BlobStore, *, max_bytes: int
) -> FetchedMedia:
    """Read ``{mediaType, fileName, size, mimetype, base64, …}`` (research/evolution.md §4.2).

    Holds one chunk and a few KiB, whatever the size. Raises ``GatewayFault`` for what is no such
    answer or larger than ``max_bytes``, ``JournalUnavailable`` when the disk fails.
    """
    async with blobs.open_sink() as sink:
        taking = _Taking(sink, max_bytes)
        spiller = Spiller(spill_min=_SPILL_MIN)
        async for chunk in chunks:
            await taking.take(spiller.feed(chunk))
        await taking.take(spiller.finish())
        row = _row(taking.rest)
        if not taking.size:  # a small one stayed in the document
            await taking.write(_decoded(row.get("base64")))
        sha256 = await sink.commit()
    size = row.get("size")
    size = size if isinstance(size, dict) else {}
    return FetchedMedia(
        blob=sha256,
        size=taking.size,
        mimetype=short_text(row.get("mimetype"), 256),
        filename=short_text(row.get("fileName"), 256),
        width=count_of(size.get("width")),
        height=count_of(size.get("height")),
    )


class _Taking(Struct):
    """The file's bytes go to the sink, the rest of the document stays here."""

    sink: Sink
    max_bytes: int
    size: int = 0
    rest: bytearray = msgspec.field(default_factory=bytearray)
    is_whole: bool = False

    async def take(self, pieces: list[Residual | BlobBytes | BlobEnd]) -> None:
        for piece in pieces:
            match piece:
                case Residual(data):
                    self.rest += data
                    if len(self.rest) > _REST_MAX:
                        raise _unreadable()
                case BlobBytes(data):
                    if self.is_whole:  # a second one
                        raise _unreadable()
                    await self.write(data)
                case BlobEnd(label):
                    if label != b"blob:":  # no base64 after all
                        raise _unreadable()
                    self.is_whole = True

    async def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.max_bytes:
            raise GatewayFault(
                FaultKind.PERMANENT, "too_large", "This file is larger than media.max_bytes."
            )
        await self.sink.write(data)


def _row(document: bytearray) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise _unreadable() from None
    if not isinstance(row, dict):
        raise _unreadable()
    return row


def _decoded(value: Any) -> bytes:
    try:
        data = base64.b64decode(value.encode(), validate=True) if isinstance(value, str) else b""
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    if not data:
        raise GatewayFault(
            FaultKind.PERMANENT, "no_media", "Evolution answered without the file's bytes."
        )
    return data


def _unreadable() -> GatewayFault:
    return GatewayFault(
        FaultKind.RETRY, "unreadable", "Evolution's answer is not the file that was asked for."
    )
