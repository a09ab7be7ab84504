"""Files of messages: ``GET /media/{id}``, with ranges, for whoever may see such a message.

The bytes are a stranger's. They are shown in place only as types that cannot run anything; every
other file is offered for download, and nothing is ever sniffed.
"""

from quart import Request, Response, send_file
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import dump_options_header

from evorelay.edge.http.access import Access
from evorelay.model.errors import Code, Refusal
from evorelay.relay.blobs import BlobStore
from evorelay.relay.desk import Desk

_SHOWN_IN_PLACE = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "video/mp4": "mp4",
    "video/3gpp": "3gp",
}
_CACHE = "private, max-age=31536000, immutable"
"""The id is the content's hash. Private: not for caches that others share."""


class MediaFiles:
    """The view. ``request`` is Quart's proxy for the current request."""

    def __init__(self, request: Request, access: Access, desk: Desk, blobs: BlobStore) -> None:
        self._request = request
        self._access = access
        self._desk = desk
        self._blobs = blobs

    async def file(self, media_id: str) -> Response:
        who = await self._access.principal(self._request)
        media = await self._desk.media_of(who, media_id)
        size = await self._blobs.size(media_id)
        if size is None:
            raise Refusal(Code.MEDIA_REMOVED, "the file is gone from the disk")
        declared = (media.get("mimetype") or "").partition(";")[0].strip().lower()
        ending = _SHOWN_IN_PLACE.get(declared)
        try:
            response = await send_file(
                self._blobs.path(media_id),
                mimetype=declared if ending else "application/octet-stream",
                conditional=True,
            )
        except RequestedRangeNotSatisfiable as error:
            error.length = size  # for Content-Range; Quart leaves it out
            raise
        name = media.get("filename") or f"{media_id[:12]}.{ending or 'bin'}"
        response.headers["Content-Disposition"] = dump_options_header(
            "inline" if ending else "attachment", {"filename": _tame(name)}
        )
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.headers["Cache-Control"] = _CACHE
        response.set_etag(media_id)
        return response


def _tame(name: str) -> str:
    """A file name without paths and control characters, of bounded length."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable())[:150] or "file"
