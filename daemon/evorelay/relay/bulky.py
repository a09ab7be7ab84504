"""Take in a webhook body that is too large to hold: media to blobs, the rest to memory or a blob.

Whatever arrives, one body costs a few MiB of memory and all of them together a few times that:
beyond the first 64 KiB a body needs one of the ``turns``, and while it waits for one nothing is
read, so that TCP holds the sender back.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from io import BytesIO
from typing import Final

import trio
from msgspec import Struct

from evorelay.model.errors import Code, Refusal
from evorelay.protocol.diverted import BlobBytes, BlobEnd, Piece, Residual
from evorelay.protocol.spill import Spiller
from evorelay.relay.blobs import BlobStore, Sink

INLINE_MAX: Final = 4 * 1024 * 1024
"""A larger residual is kept as a blob itself."""
_SECRET_KEYS: Final = ("apikey", "api_key", "destination", "keyData")
"""Evolution puts its key and our own URL with the secret into every body, and the account's
sync keys (``appStateSyncKeyShare``) into some (P7)."""
_FREE_BYTES: Final = 64 * 1024
"""Read without a turn, so that a small body never waits behind the large ones."""
_SLICE_BYTES: Final = 16 * 1024
"""Scanned between two checkpoints: 0.1 ms for any JSON Evolution writes, 3 ms for the worst."""


def bulky_turns() -> trio.CapacityLimiter:
    """How many bodies beyond 64 KiB may be read at once. One limiter serves the whole daemon."""
    return trio.CapacityLimiter(4)


class Bulky(Struct, frozen=True, kw_only=True):
    """A body as it goes into an ``Envelope``. Nothing is known yet of its being JSON."""

    body: bytes
    """The residual (``protocol/spill.py``), secrets blanked; empty beside ``body_blob``."""
    body_blob: str | None
    """SHA-256 of the blob that holds the residual."""
    blobs: tuple[str, ...]
    """SHA-256 of each diverted string's blobs, in the order of the body."""
    received_bytes: int


async def take_bulky(
    chunks: AsyncIterator[bytes],
    blobs: BlobStore,
    *,
    max_bytes: int,
    turns: trio.CapacityLimiter,
) -> Bulky:
    """Read a whole body. When this returns, every blob it names is durable (P1).

    Raises ``Refusal(TOO_LARGE)`` once more than ``max_bytes`` came, ``JournalUnavailable`` when the
    disk fails, and whatever ``chunks`` raises. Then, and when it is cancelled, blobs that were
    complete stay: the sender's next attempt finds them in place.
    """
    received_bytes = 0
    async with AsyncExitStack() as held:
        body = await held.enter_async_context(_Body(blobs))
        async for chunk in chunks:
            waits = received_bytes <= _FREE_BYTES < received_bytes + len(chunk)
            received_bytes += len(chunk)
            if received_bytes > max_bytes:
                raise Refusal(
                    Code.TOO_LARGE,
                    f"the body is larger than webhook.max_body_bytes ({max_bytes}); raise it, or "
                    "switch base64 off in Evolution's webhook settings",
                )
            if waits:
                await held.enter_async_context(turns)
            for start in range(0, len(chunk), _SLICE_BYTES):
                await trio.lowlevel.checkpoint()
                await body.feed(chunk[start : start + _SLICE_BYTES])
        return await body.finish(received_bytes)


class _Body(trio.abc.AsyncResource):
    """One body on its way: the residual so far and at most one blob being written."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._spiller = Spiller(blanked=_SECRET_KEYS)
        self._inline = BytesIO()
        self._residual: Sink | None = None
        self._blob: Sink | None = None
        self._finished: list[str] = []

    async def feed(self, data: bytes) -> None:
        for piece in self._spiller.feed(data):
            await self._handle(piece)

    async def finish(self, received_bytes: int) -> Bulky:
        for piece in self._spiller.finish():
            await self._handle(piece)
        return Bulky(
            # BytesIO gives its buffer away, where bytes(bytearray) would double it.
            body=self._inline.getvalue(),
            body_blob=await self._residual.commit() if self._residual else None,
            blobs=tuple(self._finished),
            received_bytes=received_bytes,
        )

    async def aclose(self) -> None:
        for sink in (self._blob, self._residual):
            if sink is not None:
                await sink.aclose()

    async def _handle(self, piece: Piece) -> None:
        match piece:
            case Residual(data):
                await self._keep(data)
            case BlobBytes(data):
                if self._blob is None:
                    self._blob = self._blobs.open_sink()
                await self._blob.write(data)
            case BlobEnd(label):
                assert self._blob is not None  # an end follows bytes
                sha256 = await self._blob.commit()
                await self._blob.aclose()
                self._blob = None
                self._finished.append(sha256)
                await self._keep(label + sha256.encode())

    async def _keep(self, data: bytes) -> None:
        if self._residual is None and self._inline.tell() + len(data) <= INLINE_MAX:
            self._inline.write(data)
            return
        if self._residual is None:
            self._residual = self._blobs.open_sink()
            self._inline.seek(0)
            while part := self._inline.read(_SLICE_BYTES):
                await self._residual.write(part)
            self._inline = BytesIO()
        await self._residual.write(data)
