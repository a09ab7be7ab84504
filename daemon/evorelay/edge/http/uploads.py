"""Files handed in: ``POST /v1/media``, the body as it is or as ``multipart/form-data``.

Quart gathers a body in memory, while these go to the disk as they arrive. So ``Bodies`` stands
before Quart, keeps the body of such a request back, and gives Quart an empty one; the view then
reads from the connection itself, which holds the sender back when the disk is slow. Everything else
about the request (credential, errors, CORS) is Quart's as for any other.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import trio
from quart import Request, Response
from werkzeug.http import parse_options_header

from evorelay.edge.http.access import Access
from evorelay.edge.http.answers import json_answer
from evorelay.edge.http.multipart import FilePart
from evorelay.model.errors import Code, Refusal
from evorelay.relay.uploads import Uploads

PATH = "/v1/media"
_BODY = "evorelay.body"
_MULTIPART = "multipart/form-data"
_MULTIPART_BYTES_MAX = 64 * 1024
"""What the form adds to its file."""

Receive = Callable[[], Awaitable[Any]]
Asgi = Callable[[Any, Receive, Any], Awaitable[None]]


class Bodies:
    """ASGI: an application whose uploads find their body in the scope, unread."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PATH:
            scope[_BODY] = _chunks(receive)
            receive = _Nothing().receive
        await self._app(scope, receive, send)


class MediaUploads:
    """The view. ``request`` is Quart's proxy for the current request."""

    def __init__(self, request: Request, access: Access, uploads: Uploads) -> None:
        self._request = request
        self._access = access
        self._uploads = uploads

    async def take(self) -> Response:
        request = self._request
        who = await self._access.principal(request)
        type_, options = parse_options_header(request.headers.get("Content-Type"))
        is_form = type_ == _MULTIPART
        length = request.content_length
        if length is not None and is_form:
            length = max(0, length - _MULTIPART_BYTES_MAX)
        self._uploads.check(who, length)
        chunks: AsyncIterator[bytes] = request.scope[_BODY]  # type: ignore[literal-required]  # put there by Bodies
        filename, mimetype = request.args.get("filename"), type_ or None
        if is_form:
            part = FilePart(chunks, options.get("boundary", ""))
            said, mimetype = await part.head()
            filename = filename or said
            chunks = part.body()
        elif type_ == "application/x-www-form-urlencoded":
            raise Refusal(
                Code.MEDIA_TYPE,
                f"send the file itself with its own Content-Type, or {_MULTIPART} with a part "
                "named `file` (curl: --data-binary @FILE -H 'Content-Type: …', or -F file=@FILE)",
            )
        view = await self._uploads.take(who, chunks, filename=filename, mimetype=mimetype)
        return json_answer(view, 201)


class _Nothing:
    """An empty body; then nothing is to be heard of the sender any more."""

    def __init__(self) -> None:
        self._is_given = False

    async def receive(self) -> Any:
        if self._is_given:
            await trio.sleep_forever()
        self._is_given = True
        return {"type": "http.request", "body": b"", "more_body": False}


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(Code.BAD_REQUEST, "the body ended too early")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return
