"""One file out of a ``multipart/form-data`` body, while it arrives.

Browsers and ``curl -F`` send files this way. The parsing is Werkzeug's own decoder, which does no
IO; what it may hold is bounded here.
"""

from collections.abc import AsyncIterator

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from evorelay.model.errors import Code, Refusal

_PIECE_BYTES = 32 * 1024
_HELD_BYTES_MAX = 128 * 1024
"""A part's headers, and what may be the beginning of a boundary."""
_BOUNDARY_CHARS_MAX = 70
"""RFC 2046 §5.1.1"""


class FilePart:
    """The part named ``file``, which has to be the only one: first ``head``, then ``body``."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        """Raises ``Refusal`` for a boundary that is none."""
        if not 0 < len(boundary) <= _BOUNDARY_CHARS_MAX or not boundary.isascii():
            raise _malformed("the header Content-Type names no boundary")
        self._chunks = chunks
        self._decoder = MultipartDecoder(
            boundary.encode(), max_form_memory_size=_HELD_BYTES_MAX, max_parts=2
        )
        self._events = self._decode()

    async def head(self) -> tuple[str | None, str | None]:
        """The file's name and declared type."""
        async for event in self._events:
            if isinstance(event, File) and event.name == "file":
                return event.filename, event.headers.get("content-type")
            if isinstance(event, File | Field):
                break
        raise _malformed("send one part, with the name `file` and a filename")

    async def body(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            if isinstance(event, Data):
                yield event.data
            elif isinstance(event, File | Field):
                raise _malformed("send one file at a time")

    async def _decode(self) -> AsyncIterator[Event]:
        """Raises ``Refusal`` for what is malformed, or ends too early."""
        try:
            async for chunk in self._chunks:
                for start in range(0, len(chunk), _PIECE_BYTES):
                    self._decoder.receive_data(chunk[start : start + _PIECE_BYTES])
                    while not isinstance(event := self._decoder.next_event(), NeedData | Epilogue):
                        yield event
            self._decoder.receive_data(None)
            while not isinstance(event := self._decoder.next_event(), Epilogue):
                yield event
        except (ValueError, RequestEntityTooLarge):
            raise _malformed("the body is no whole multipart/form-data") from None


def _malformed(message: str) -> Refusal:
    return Refusal(Code.BAD_REQUEST, message)
