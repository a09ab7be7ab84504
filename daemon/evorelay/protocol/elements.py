"""Where the elements of ``data`` are in a webhook too large to be decoded at once.

An import of history is one JSON object whose top-level ``data`` is an array of up to a hundred
thousand messages: 150 MB of text, nine times that as Python objects. An
``Outliner`` is fed the document chunk by chunk and keeps positions only: where ``data`` is, and
where to cut it into groups of whole elements that are small enough to be read one after the other.
What is around ``data`` (the *outer* part) is then read with ``null`` in its place, and ``split``
takes a group apart.

It counts brackets and skips strings; it does not judge. Whoever decodes the outer part and each
element does, so a document that is no JSON ends in quarantine, whole or by the element, and never
as another element than the sender wrote. ``data`` is the last top-level key of that name, however
it is escaped, as in JavaScript. Where the chunks are cut never matters.

Memory: one chunk and the positions. Measured on 2 shared cores in chunks of 64 KiB: a history of
text messages 140 MB/s, ``1,1,1,…`` 5 MB/s, ``[[[[…`` 2 MB/s; ``split`` 1.5 GB/s.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

GROUP_BYTES: Final = 256 * 1024
"""Of a group that has more than one element."""
OUTER_BYTES_MAX: Final = 1024 * 1024
"""Of everything around ``data``; it is 400 bytes in every version there is."""
ELEMENTS_MAX: Final = 1_000_000
"""A message with its key alone takes more than 160 bytes: more do not fit into a webhook."""

_DEPTH_AT_ONCE: Final = 6
"""Brackets in brackets that one match skips. What is deeper is skipped level by level."""
_KEY_BYTES_MAX: Final = 26
"""Of a key that says ``data``, every letter escaped."""
_OPENING_BRACE, _OPENING_BRACKET = b"{["

# Atomic throughout: a match never goes back, so it is linear. Not ``(?:…)*+``: see spill.py.
_QUOTED = rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"'


def _balanced(levels: int) -> bytes:
    """Anything with matching brackets, up to so many in each other."""
    inner = rb"|[{\[]" + _balanced(levels - 1) + rb"[}\]]" if levels else b""
    return rb'(?>(?:[^"{}\[\]]++|' + _QUOTED + inner + rb")*)"


_BALANCED = re.compile(_balanced(_DEPTH_AT_ONCE), re.DOTALL)
_ELEMENT = re.compile(_balanced(_DEPTH_AT_ONCE).replace(rb'[^"{', rb'[^,"{', 1), re.DOTALL)
_AROUND = re.compile(rb'[^"{}\[\]:]*+')
_DATA = re.compile(rb'"(?:d|\\u0064)(?:a|\\u0061)(?:t|\\u0074)(?:a|\\u0061)"')
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(_QUOTED, re.DOTALL)
_STRING_REST = re.compile(rb'[^"\\]*+(?>(?:\\.[^"\\]*+)*)', re.DOTALL)

_State = Callable[[bytes, int], int]
_decode_list = msgspec.json.Decoder(list[Raw]).decode


class TooMuch(Exception):
    """Too much around ``data``, or too many elements: nothing Evolution sends."""


class Outline(Struct, frozen=True):
    """Positions in a document, as half-open ranges."""

    data: tuple[int, int]
    """The array, its brackets included."""
    groups: list[tuple[int, int]]
    """All of its elements, with the commas between those of a group."""


class Outliner:
    """One document. ``feed`` every chunk, then ``finish``."""

    def __init__(self, *, group_bytes: int = GROUP_BYTES) -> None:
        """A group larger than ``group_bytes`` is a single element."""
        self._group_bytes = group_bytes
        self._state: _State = self._before
        self._after_string: _State = self._around
        self._after_brackets: _State = self._around
        self._tail = b""
        self._position = 0
        """In the document, of the first byte of the data a state is looking at."""
        self._depth = 0
        self._key_is_data = False
        self._elements = 0
        self._data_start = 0
        self._group_start = 0
        self._element_start = 0
        self._groups: list[tuple[int, int]] = []
        self._found: Outline | None = None

    def feed(self, chunk: bytes) -> None:
        """Raises ``TooMuch``."""
        data = self._tail + chunk
        at = 0
        while at < len(data):
            state = self._state
            after = state(data, at)
            if after == at and state == self._state:
                break  # a key or an escape is cut by the end of the chunk
            at = after
        self._tail = data[at:]
        self._position += at

    def finish(self) -> Outline | None:
        """The outline; None when the document is cut off, no object, or has no array ``data``.

        Raises ``TooMuch``.
        """
        found = self._found
        if self._tail or self._state != self._behind or found is None:
            return None
        if self._position - (found.data[1] - found.data[0]) > OUTER_BYTES_MAX:
            raise TooMuch(f"more than {OUTER_BYTES_MAX} bytes around data")
        return found

    # States. Each reads from ``at``, returns where it stopped and may name the next state; one that
    # returns ``at`` and stays waits for more bytes, of which it leaves only a handful unread.

    def _before(self, data: bytes, at: int) -> int:
        end = _end(_SPACE, data, at)
        if end < len(data):
            self._state = self._around if data[end] == _OPENING_BRACE else self._lost
            end += 1
        return end

    def _behind(self, data: bytes, at: int) -> int:
        end = _end(_SPACE, data, at)
        if end < len(data):
            self._state = self._lost
        return end

    def _lost(self, data: bytes, at: int) -> int:
        """Not the document this is for: the rest is not looked at."""
        return len(data)

    def _around(self, data: bytes, at: int) -> int:
        """In the outermost object, between its keys and values."""
        end = _end(_AROUND, data, at)
        byte = data[end : end + 1]
        if byte == b'"':
            key = _STRING.match(data, end)
            if key is None and len(data) - end < _KEY_BYTES_MAX:
                return end
            self._key_is_data = key is not None and _DATA.fullmatch(key[0]) is not None
            return self._enter_string(end)
        if byte in (b"{", b"["):
            return self._enter_brackets(end)
        if byte == b":" and self._key_is_data:
            self._key_is_data = False
            self._state = self._before_data
        elif byte in (b"}", b"]"):
            self._state = self._behind
        return end + len(byte)

    def _before_data(self, data: bytes, at: int) -> int:
        self._found = None  # an earlier key of this name does not count
        end = _end(_SPACE, data, at)
        if end == len(data):
            return end
        if data[end] != _OPENING_BRACKET:
            self._state = self._lost
            return end
        self._data_start = self._position + end
        self._group_start = self._element_start = self._data_start + 1
        self._groups = []
        self._elements = 0
        self._state = self._in_data
        return end + 1

    def _in_data(self, data: bytes, at: int) -> int:
        """Between the brackets of ``data`` and in none of its own."""
        end = _end(_ELEMENT, data, at)
        byte = data[end : end + 1]
        if byte == b'"':
            return self._enter_string(end)
        if byte in (b"{", b"["):
            return self._enter_brackets(end)
        if byte == b",":
            self._separate(self._position + end)
        elif byte == b"]":
            self._close_data(self._position + end)
        elif byte:
            self._state = self._lost
        return end + len(byte)

    def _separate(self, position: int) -> None:
        """An element ends here. Cut before it where its group would become too large."""
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise TooMuch(f"more than {ELEMENTS_MAX} elements")
        is_first = self._element_start == self._group_start
        if position - self._group_start >= self._group_bytes and not is_first:
            self._groups.append((self._group_start, self._element_start - 1))
            self._group_start = self._element_start
        self._element_start = position + 1

    def _close_data(self, position: int) -> None:
        self._separate(position)
        self._groups.append((self._group_start, position))
        self._found = Outline((self._data_start, position + 1), self._groups)
        self._state = self._around

    def _enter_brackets(self, at: int) -> int:
        self._after_brackets = self._state
        self._state = self._in_brackets
        self._depth = 1
        return at + 1

    def _in_brackets(self, data: bytes, at: int) -> int:
        """In brackets of which nothing is to be known but their end."""
        end = _end(_BALANCED, data, at)
        byte = data[end : end + 1]
        if byte == b'"':
            return self._enter_string(end)
        if byte:
            self._depth += 1 if byte in (b"{", b"[") else -1
            if self._depth == 0:
                self._state = self._after_brackets
        return end + len(byte)

    def _enter_string(self, at: int) -> int:
        self._after_string = self._state
        self._state = self._in_string
        return at + 1

    def _in_string(self, data: bytes, at: int) -> int:
        end = _end(_STRING_REST, data, at)
        if data.startswith(b'"', end):
            self._state = self._after_string
            end += 1
        return end


def split(group: bytes) -> list[bytes]:
    """The elements of a group, without the space around them."""
    try:
        return [bytes(element) for element in _decode_list(b"[" + group + b"]")]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # one of them is no JSON, and must not take the others with it
    document = b'{"data":[' + group + b"]}"
    outliner = Outliner(group_bytes=0)
    outliner.feed(document)
    outline = outliner.finish()
    assert outline is not None  # its brackets match and its strings end
    return [document[start:end].strip(b" \t\r\n") for start, end in outline.groups]


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    assert found is not None  # every pattern here matches nothing at least
    return found.end()
