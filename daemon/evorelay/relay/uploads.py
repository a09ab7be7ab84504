"""Files on their way out: handed in by an agent, taken from a message, or from an address.

Whichever way, the bytes are in the blob store before anything refers to them, and what they are is
judged by the bytes (protocol/filetypes.py). An upload is its agent's alone until it is sent.
"""

import mimetypes
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta, Struct

from evorelay.model.errors import Code, JournalUnavailable, Refusal
from evorelay.model.outgoing import OutgoingMedia
from evorelay.model.principal import Principal
from evorelay.model.records import UploadRecord
from evorelay.protocol.filetypes import ANY, fit_filename, judged, kind_of, plain_mimetype
from evorelay.relay.blobs import BlobStore
from evorelay.relay.commands import SendMedia
from evorelay.relay.downloading import Downloader
from evorelay.relay.draft import Draft
from evorelay.relay.file_facts import FileFacts, file_facts
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads

AT_ONCE_MAX = 32
"""Files taken in at the same time, each with 256 KiB in memory."""
KEPT_MS = 24 * 3600 * 1000
"""An upload that nobody sent is forgotten after that (relay/retention.py)."""

MediaOf = Callable[[Principal, str], Awaitable[dict[str, Any]]]
"""``Desk.media_of``"""

_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadView(Struct, frozen=True, kw_only=True):
    """A file that was handed in: name its ``id`` in the ``media`` of a reply."""

    id: str
    mimetype: Annotated[str, Meta(description="Judged by the bytes")]
    size: Annotated[int, Meta(description="Bytes")]
    filename: str | None
    kind: Annotated[
        str,
        Meta(
            description="What it is sent as unless the reply says otherwise: `image`, `video`, "
            "`audio`, `sticker`, or `document`, which any file can be"
        ),
    ]
    seconds: int | None
    width: int | None
    height: int | None


class Uploads:
    def __init__(
        self,
        blobs: BlobStore,
        ledger: Ledger,
        reads: Reads,
        downloader: Downloader,
        *,
        media_of: MediaOf,
        refusal: Callable[[], str | None],
        bytes_max: int,
    ) -> None:
        """``refusal``: why nothing can be written now (``Journal.refusal``), None while it can."""
        self._blobs = blobs
        self._ledger = ledger
        self._reads = reads
        self._downloader = downloader
        self._media_of = media_of
        self._refusal = refusal
        self._turns = trio.CapacityLimiter(AT_ONCE_MAX)
        self._types = mimetypes.MimeTypes()
        self.bytes_max = bytes_max

    def check(self, who: Principal, length: int | None) -> None:
        """Judge an upload before a byte of it is read; ``length`` is what it says of its size.

        Raises ``Refusal`` and, where the disk is full, ``JournalUnavailable``.
        """
        _check_role(who)
        if length is not None and length > self.bytes_max:
            raise self._too_large()
        reason = self._refusal()
        if reason is not None:
            raise JournalUnavailable(reason)

    async def take(
        self,
        who: Principal,
        chunks: AsyncIterator[bytes],
        *,
        filename: str | None,
        mimetype: str | None,
    ) -> UploadView:
        """Take in a file while it arrives; durable on return.

        Raises ``Refusal`` (TOO_LARGE, MEDIA_TYPE, BAD_REQUEST for an empty one, UNAVAILABLE) and
        ``JournalUnavailable``. Whatever ``chunks`` raises leaves nothing behind, and so does
        cancelling.
        """
        self.check(who, None)
        try:
            self._turns.acquire_nowait()
        except trio.WouldBlock:
            raise Refusal(
                Code.UNAVAILABLE, "too many files are being handed in at once; try again"
            ) from None
        try:
            blob, size = await self._store(chunks)
        finally:
            self._turns.release()
        media = await self._described(blob, size, mimetype, fit_filename(filename))

        def keep(draft: Draft) -> str:
            id_ = draft.new_id()
            described = msgspec.to_builtins(media)
            draft.plan.uploads.append(
                UploadRecord(id=id_, agent=who.sub, at=draft.now, media=described)
            )
            return id_

        return _view(await self._ledger.change(keep), media)

    async def media(self, who: Principal, params: SendMedia) -> OutgoingMedia:
        """The file a reply is to carry.

        Raises ``Refusal``: NOT_FOUND for an id that is not the caller's to use (P7),
        MEDIA_UNAVAILABLE and TOO_LARGE for a URL, MEDIA_TYPE for a voice note that is no audio.
        """
        _check_role(who)
        if (params.id is None) == (params.url is None):
            raise Refusal(Code.BAD_REQUEST, "media: give exactly one of id and url")
        if params.url is not None:
            media = await self._from_web(params.url)
        elif _SHA256.fullmatch(params.id or ""):
            media = await self._from_message(who, params.id or "")
        else:
            media = await self._from_upload(who, params.id or "")
        if params.is_voice and not media.mimetype.startswith("audio/"):
            raise Refusal(
                Code.MEDIA_TYPE, f"is_voice: needs audio, and the file is {media.mimetype}"
            )
        return msgspec.structs.replace(
            media,
            filename=fit_filename(params.filename) or media.filename,
            is_voice=params.is_voice,
            waveform=media.waveform if params.is_voice else None,
        )

    async def _from_web(self, url: str) -> OutgoingMedia:
        reason = self._refusal()
        if reason is not None:
            raise JournalUnavailable(reason)
        found = await self._downloader.fetch(url)
        return await self._described(found.blob, found.size, found.mimetype, found.filename)

    async def _from_message(self, who: Principal, media_id: str) -> OutgoingMedia:
        said = await self._media_of(who, media_id)
        size = await self._blobs.renew(media_id)
        if size is None:
            raise Refusal(Code.MEDIA_UNAVAILABLE, "the file was removed; send it from elsewhere")
        filename = fit_filename(said.get("filename"))
        media = await self._described(media_id, size, said.get("mimetype"), filename)
        return msgspec.structs.replace(
            media,
            seconds=media.seconds or said.get("seconds"),
            waveform=said.get("waveform"),
        )

    async def _from_upload(self, who: Principal, upload_id: str) -> OutgoingMedia:
        row = await self._reads(lambda reader: reader.upload(upload_id))
        if row is None or row.agent != who.sub:
            raise Refusal(
                Code.NOT_FOUND,
                "media: there is no such file of yours; hand it in with POST /v1/media "
                "(it is kept for a day)",
            )
        media = msgspec.convert(row.media, OutgoingMedia)
        if await self._blobs.renew(media.blob) is None:
            raise Refusal(Code.MEDIA_UNAVAILABLE, "the file was removed; hand it in again")
        return media

    async def _store(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        size = 0
        async with self._blobs.open_sink() as sink:
            async for chunk in chunks:
                size += len(chunk)
                if size > self.bytes_max:
                    raise self._too_large()
                await sink.write(chunk)
            if not size:
                raise Refusal(Code.BAD_REQUEST, "the file is empty")
            return await sink.commit(), size

    async def _described(
        self, blob: str, size: int, declared: str | None, filename: str | None
    ) -> OutgoingMedia:
        """A refused file's bytes stay in the store, as those of any file nobody sends."""
        facts = await self._blobs.examine(blob, file_facts) or FileFacts(mimetype=None)
        if plain_mimetype(declared) in (None, ANY):
            declared, _ = self._types.guess_type(filename or "")
        return OutgoingMedia(
            blob=blob,
            mimetype=judged(facts.mimetype, declared),
            size=size,
            filename=filename,
            seconds=facts.seconds,
            width=facts.width,
            height=facts.height,
        )

    def _too_large(self) -> Refusal:
        return Refusal(
            Code.TOO_LARGE, f"the file is larger than {self.bytes_max} bytes (media.max_bytes)"
        )


def _check_role(who: Principal) -> None:
    if who.role is None:
        raise Refusal(Code.FORBIDDEN, "this token grants nothing here")


def _view(id_: str, media: OutgoingMedia) -> UploadView:
    return UploadView(
        id=id_,
        mimetype=media.mimetype,
        size=media.size,
        filename=media.filename,
        kind=kind_of(media),
        seconds=media.seconds,
        width=media.width,
        height=media.height,
    )
