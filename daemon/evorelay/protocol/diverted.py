"""Turn the text of one long JSON string into blobs: base64 for as long as it is that, then text.

The blobs' meaning and the references to them are described in ``protocol/spill.py``, the only
caller. Splitting where base64 ends, instead of going back to treat the whole string as text, is
what makes one pass enough: what was decoded and given away can be encoded again.
"""

import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

_GROUPS = re.compile(rb"(?>(?:(?:[A-Za-z0-9+/]|\\/){4})*)")
_UNFINISHED_GROUP = re.compile(rb"(?:[A-Za-z0-9+/]|\\/){0,3}={0,2}")


class Residual(Struct, frozen=True, gc=False):
    """The next bytes of the document that stays."""

    data: bytes


class BlobBytes(Struct, frozen=True, gc=False):
    """The next bytes, never none, of the current blob; the first ones begin a blob."""

    data: bytes


class BlobEnd(Struct, frozen=True, gc=False):
    """The current blob is complete: append ``label`` and its SHA-256 in hex to the residual."""

    label: Literal[b"blob:", b"blob-text:"]


Piece = Residual | BlobBytes | BlobEnd


class Diverted:
    """One diverted string, its text given in any chunks that cut no JSON escape."""

    def __init__(self, give: Callable[[Piece], None]) -> None:
        self._give = give
        self._unfinished = b""
        self._has_bytes = False
        self._is_text = False

    def feed(self, text: bytes) -> None:
        if self._is_text:
            if text:
                self._give(BlobBytes(text))
            return
        text = self._unfinished + text
        decoded, end = _decode_groups(text)
        if decoded:
            self._has_bytes = True
            self._give(BlobBytes(decoded))
        self._unfinished = text[end:]
        if not _UNFINISHED_GROUP.fullmatch(self._unfinished):
            self._turn_to_text()

    def finish(self) -> None:
        if not self._is_text and self._unfinished:
            group = self._unfinished.replace(b"\\/", b"/")
            try:
                decoded = a2b_base64(group + b"=" * (-len(group) % 4), strict_mode=True)
            except NotBase64:
                self._turn_to_text()
            else:
                self._give(BlobBytes(decoded))
        self._give(BlobEnd(b"blob-text:" if self._is_text else b"blob:"))

    def _turn_to_text(self) -> None:
        if self._has_bytes:
            self._give(BlobEnd(b"blob:"))
            self._give(Residual(b"+"))
        self._is_text = True
        self._give(BlobBytes(self._unfinished))


def _decode_groups(text: bytes) -> tuple[bytes, int]:
    """Decode the whole groups of four without padding that ``text`` begins with.

    Return the bytes and where the groups end. Padding is left: only the string's end, which is not
    known here, may have it.
    """
    end = len(text) - len(text) % 4
    if not text.endswith(b"=", 0, end):
        try:
            return a2b_base64(text[:end], strict_mode=True), end
        except NotBase64:
            pass  # an escape, or no base64 at all: the slower way finds out where
    groups = _GROUPS.match(text)
    assert groups is not None  # it matches nothing at least
    end = groups.end()
    return a2b_base64(text[:end].replace(b"\\/", b"/"), strict_mode=True), end
