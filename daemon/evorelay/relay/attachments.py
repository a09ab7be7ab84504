"""Media that came inside webhooks, into the blob store."""

import binascii
import hashlib

import msgspec

from evorelay.model.fact import Fact, MessageFact
from evorelay.relay.blobs import BlobStore


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
        elif media.blob is not None:
            media = msgspec.structs.replace(media, size=await self._blobs.size(media.blob))
        return msgspec.structs.replace(fact, media=media)

    async def _put(self, data: bytes) -> str:
        if self._is_dry:
            return hashlib.sha256(data).hexdigest()
        return await self._blobs.put(data)
