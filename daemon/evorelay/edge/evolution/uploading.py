"""The bytes of a call whose body holds a file, read from the blob store while they are sent."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from evorelay.model.errors import StoreUnavailable
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.request import Frame, Request
from evorelay.relay.blobs import BlobStore

_CHUNK_BYTES: Final = 192 * 1024
"""A multiple of three, so that pieces of base64 join without padding."""


@asynccontextmanager
async def open_content(
    blobs: BlobStore, request: Request, frame: Frame
) -> AsyncIterator[bytes | AsyncIterator[bytes]]:
    """Raises ``GatewayFault`` when the file is not there (nothing was sent), and while it is read
    ``StoreUnavailable``: Evolution then has a part of a body, with which it does nothing."""
    if request.file is None:
        yield frame.head
        return
    if await blobs.size(request.file.blob) != request.file.size:
        raise GatewayFault(
            FaultKind.PERMANENT, "no_file", "This reply's file is gone. Attach it again."
        )
    chunks = _streamed(blobs, request.file.blob, frame, is_base64=not request.is_form)
    async with aclosing(chunks):
        yield chunks


def content_size(request: Request, frame: Frame) -> int:
    """For ``Content-Length``: without it the body would go out in chunks, which proxies dislike."""
    size = len(frame.head) + len(frame.tail)
    if request.file is None:
        return size
    return size + (request.file.size if request.is_form else -(-request.file.size // 3) * 4)


async def _streamed(
    blobs: BlobStore, sha256: str, frame: Frame, *, is_base64: bool
) -> AsyncGenerator[bytes, None]:
    yield frame.head
    start = 0
    while chunk := await blobs.read(sha256, _CHUNK_BYTES, start=start):
        start += len(chunk)
        yield base64.b64encode(chunk) if is_base64 else chunk
    if not start:
        raise StoreUnavailable("the file vanished while it was being sent")
    yield frame.tail
