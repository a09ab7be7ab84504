"""Media of webhooks into the blob store, and bodies too large for memory back out of it."""

import binascii

import msgspec

from evorelay.model.envelope import Envelope
from evorelay.model.fact import Fact, MessageFact
from evorelay.relay.blobs import BlobStore

BODY_BYTES_MAX = 16 * 1024 * 1024
"""Of a body without its media. As objects it takes nine times that, and 100 MB of messages six
seconds of the processor (measured); nothing that a person reads is so large."""


class Attachments:
    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

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
                blob = await self._blobs.put(data)
                media = msgspec.structs.replace(media, base64=None, blob=blob, size=len(data))
        elif media.blob is not None:
            media = msgspec.structs.replace(media, size=await self._blobs.size(media.blob))
        return msgspec.structs.replace(fact, media=media)

    async def restore_body(self, envelope: Envelope) -> Envelope | None:
        """The envelope with its spilled body in memory, None when that is too large to be read.

        The body is empty (and so quarantined) if the blob is gone.
        """
        assert envelope.body_blob is not None
        size = await self._blobs.size(envelope.body_blob)
        if size is not None and size > BODY_BYTES_MAX:
            return None
        body = await self._blobs.read(envelope.body_blob, BODY_BYTES_MAX)
        return msgspec.structs.replace(envelope, body=body or b"", body_blob=None)
