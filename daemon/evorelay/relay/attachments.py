"""Media that came inside webhooks, into the blob store."""

import binascii
import hashlib

import msgspec
import trio

from evorelay.model.fact import Fact, MediaFact, MessageFact
from evorelay.relay.blobs import BlobStore
from evorelay.relay.file_facts import FileFacts, file_facts


class Attachments:
    """``is_dry``: bytes are named, as if they had been stored, and not stored."""

    def __init__(self, blobs: BlobStore, *, is_dry: bool = False) -> None:
        self._blobs = blobs
        self._is_dry = is_dry

    async def keep(self, fact: Fact) -> Fact:
        """Move media bytes that came inside the webhook into the blob store.

        Undecodable base64 leaves the message without the file, never without the message.
        """
        if not isinstance(fact, MessageFact) or fact.media is None:
            return fact
        media = fact.media
        if media.base64 is not None:
            try:
                data = binascii.a2b_base64(media.base64)
            except (binascii.Error, ValueError):
                media = msgspec.structs.replace(media, base64=None)
            else:
                blob = await self._put(data)
                media = msgspec.structs.replace(media, base64=None, blob=blob, size=len(data))
                if _lacks(fact.type, media):
                    facts = await trio.to_thread.run_sync(file_facts, memoryview(data))
                    media = with_facts(media, facts)
        elif (kept := media.blob) is not None:
            media = msgspec.structs.replace(media, size=await self._size(kept))
            if _lacks(fact.type, media):
                media = with_facts(media, await self._blobs.examine(kept, file_facts))
        return msgspec.structs.replace(fact, media=media)

    async def _size(self, blob: str) -> int | None:
        """Of a blob that a message is about to refer to."""
        return await (self._blobs.size(blob) if self._is_dry else self._blobs.renew(blob))

    async def _put(self, data: bytes) -> str:
        if self._is_dry:
            return hashlib.sha256(data).hexdigest()
        return await self._blobs.put(data)


def with_facts(media: MediaFact, facts: FileFacts | None) -> MediaFact:
    """What the webhook says of a file, and where it says nothing the file itself."""
    if facts is None:
        return media
    return msgspec.structs.replace(
        media,
        mimetype=media.mimetype or facts.mimetype,
        width=media.width or facts.width,
        height=media.height or facts.height,
        seconds=media.seconds or facts.seconds,
    )


def _lacks(type_: str, media: MediaFact) -> bool:
    """Whether the file may say what the webhook does not. The Cloud API's never say it."""
    if type_ in ("image", "sticker"):
        return media.width is None or media.height is None
    return type_ in ("audio", "video") and media.seconds is None
