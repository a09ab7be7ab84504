"""Reading an envelope: what it says, with its media in the blob store.

A body of ordinary size is one part. One that was too large for the journal lies in a blob; where
its ``data`` is an array (an import of history) it is read in parts of some hundred elements, so
that memory stays flat and nobody else waits: 150 MB with 102,000 messages were in the store after
8 s, for 25 MiB of memory, on 2 shared cores (a smaller one: ``tests/e2e/test_huge_import.py``).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import trio

from evorelay.model.envelope import Envelope
from evorelay.model.fact import CanaryFact, Fact, MessageFact, QuarantineFact
from evorelay.protocol.elements import (
    OUTER_BYTES_MAX,
    Outline,
    Outliner,
    TooMuch,
    split,
)
from evorelay.protocol.normalise import Reason, normalise, normalise_row
from evorelay.relay.attachments import Attachments
from evorelay.relay.blobs import BlobStore

Part = Callable[[], Awaitable[list[Fact]]]
"""Reads one part of an envelope. It may be called again: the answer is the same."""

HELD_BYTES_MAX = 16 * 1024 * 1024
"""Of what is decoded at once: a body whose ``data`` is no array, or one element of an array. As
objects it takes nine times that (measured); nothing that a person reads is so large."""
THREAD_BYTES = 128 * 1024
"""A larger body is read in a thread: it takes 3 ms and more, in which everybody else would wait."""
_SLICE_BYTES = 1024 * 1024
"""Looked through in a thread between two chances to be cancelled: 8 ms."""
_FEED_BYTES = 64 * 1024
"""Looked through without giving up the GIL: 0.5 ms."""

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class Reader:
    """``store_status_posts`` as in ``normalise``; ``is_dry`` as in ``Attachments``."""

    def __init__(
        self, blobs: BlobStore, *, store_status_posts: bool = False, is_dry: bool = False
    ) -> None:
        self._blobs = blobs
        self._attachments = Attachments(blobs, is_dry=is_dry)
        self._store_status_posts = store_status_posts

    def dry(self) -> "Reader":
        """One that reads the same and stores nothing."""
        return Reader(self._blobs, store_status_posts=self._store_status_posts, is_dry=True)

    async def facts(self, envelope: Envelope) -> list[Fact]:
        """What an envelope says whose body is in it.

        Raises ``StoreUnavailable`` and ``JournalUnavailable`` when the disk fails; whatever is
        wrong with the body is a fact.
        """
        if envelope.canary is not None:
            return [CanaryFact(id=envelope.canary)]
        if len(envelope.body) > THREAD_BYTES:
            return await self._kept(await trio.to_thread.run_sync(self._normalise, envelope))
        return await self._kept(self._normalise(envelope))

    async def parts(self, envelope: Envelope) -> list[Part]:
        """All parts of an envelope in order, at least one. Errors are those of ``facts``."""
        if envelope.body_blob is None:
            return [partial(self.facts, envelope)]
        try:
            outline = await self._outline(envelope.body_blob)
        except TooMuch as error:
            return [_quarantined(Reason.TOO_LARGE, str(error))]
        if outline is None:
            return [await self._whole(envelope)]
        outer = await self._outer(envelope.body_blob, outline)
        if outer is None:
            return [_quarantined(Reason.NOT_JSON, "what stands around data is no JSON object")]
        return [partial(self._group, envelope, outer, *group) for group in outline.groups]

    async def _outline(self, blob: str) -> Outline | None:
        outliner = Outliner()
        start = 0
        while found := await self._blobs.read(blob, _SLICE_BYTES, start=start):
            await trio.to_thread.run_sync(_feed, outliner, found)
            start += len(found)
        return outliner.finish()

    async def _outer(self, blob: str, outline: Outline) -> dict[str, Any] | None:
        """The body with null for ``data``; None when it is no object."""
        start, end = outline.data
        before = await self._blobs.read(blob, start)
        behind = await self._blobs.read(blob, OUTER_BYTES_MAX, start=end)
        try:
            return _decode_object((before or b"") + b"null" + (behind or b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    async def _whole(self, envelope: Envelope) -> Part:
        """A spilled body read back at once; one whose blob is gone is empty."""
        assert envelope.body_blob is not None
        size = await self._blobs.size(envelope.body_blob)
        if size is not None and size > HELD_BYTES_MAX:
            return _quarantined(Reason.TOO_LARGE, "too large to be read at once")
        body = await self._blobs.read(envelope.body_blob, HELD_BYTES_MAX)
        restored = msgspec.structs.replace(envelope, body=body or b"", body_blob=None)
        return partial(self.facts, restored)

    async def _group(
        self, envelope: Envelope, outer: dict[str, Any], start: int, end: int
    ) -> list[Fact]:
        assert envelope.body_blob is not None
        if end - start > HELD_BYTES_MAX:
            detail = "one element of data is too large to be read"
            return [QuarantineFact(reason=Reason.TOO_LARGE, detail=detail)]
        group = await self._blobs.read(envelope.body_blob, end - start, start=start)
        return await self._kept(
            await trio.to_thread.run_sync(self._elements, envelope, outer, group or b"")
        )

    def _normalise(self, envelope: Envelope) -> list[Fact]:
        return normalise(envelope, store_status_posts=self._store_status_posts)

    def _elements(self, envelope: Envelope, outer: dict[str, Any], group: bytes) -> list[Fact]:
        return [
            fact
            for row in split(group)
            for fact in normalise_row(
                envelope, outer, row, store_status_posts=self._store_status_posts
            )
        ]

    async def _kept(self, facts: list[Fact]) -> list[Fact]:
        if any(isinstance(fact, MessageFact) and fact.media for fact in facts):
            return [await self._attachments.keep(fact) for fact in facts]
        return facts


def _quarantined(reason: Reason, detail: str) -> Part:
    async def read() -> list[Fact]:
        return [QuarantineFact(reason=reason, detail=detail)]

    return read


def _feed(outliner: Outliner, data: bytes) -> None:
    for start in range(0, len(data), _FEED_BYTES):
        outliner.feed(data[start : start + _FEED_BYTES])
