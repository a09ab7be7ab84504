"""Finding the elements of ``data`` by counting brackets, beside a parser that reads all of it."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol import elements
from evorelay.protocol.elements import Outline, Outliner, TooMuch, split

NAMES = ('"data"', '"d\\u0061ta"', '"\\u0064\\u0061\\u0074\\u0061"')
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=9),
    st.sampled_from(['"', "\\", '\\"', "{", "}]", '{"data":[1]}', ",", ":", "\U0001f600", "\x00"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["data", "key", "]", '"', ""]), inner, max_size=3),
    ),
    max_leaves=12,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Objects whose ``data`` may be spelled with escapes, there twice, or no array."""
    space = st.sampled_from(["", "", " ", "\n\t "])
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from([*NAMES, '"sender"', '"dat\\u0061x"', '"\\\\"']))
        value = draw(st.one_of(st.lists(VALUES, max_size=6), VALUES))
        text = json.dumps(
            value,
            ensure_ascii=draw(st.booleans()),
            separators=draw(st.sampled_from([(",", ":"), (" ,\n", " : ")])),
        )
        parts.append(f"{draw(space)}{name}{draw(space)}:{draw(space)}{text}{draw(space)}")
    return f"{draw(space)}{{{','.join(parts)}}}{draw(space)}".encode()


def chunked(document: bytes, size: int) -> Iterable[bytes]:
    return (document[at : at + size] for at in range(0, len(document), size))


def outline(document: bytes, *, chunk: int = 1 << 20, group_bytes: int = 64) -> Outline | None:
    outliner = Outliner(group_bytes=group_bytes)
    for part in chunked(document, chunk):
        outliner.feed(part)
    return outliner.finish()


def elements_of(document: bytes, **options: int) -> list[bytes] | None:
    found = outline(document, **options)
    if found is None:
        return None
    return [element for start, end in found.groups for element in split(document[start:end])]


def array_of(document: bytes) -> list[Any] | None:
    """What a parser finds under ``data``, None when it is no array or the document no JSON."""
    try:
        data = json.loads(document).get("data")
    except (ValueError, RecursionError, AttributeError):
        return None
    return data if isinstance(data, list) else None


CHUNKS = st.one_of(st.integers(1, 40), st.just(1 << 20))
GROUPS = st.sampled_from([0, 1, 10, 64, 1 << 20])


@given(documents(), CHUNKS, GROUPS)
def test_it_finds_what_a_parser_finds(document: bytes, chunk: int, group_bytes: int) -> None:
    found = elements_of(document, chunk=chunk, group_bytes=group_bytes)
    expected = array_of(document)
    if found is None:
        # A later key of the name that is no array ends the search, also where another follows.
        values = json.loads(document, object_pairs_hook=tuple)
        assert expected is None or not all(isinstance(v, list) for k, v in values if k == "data")
    else:
        assert expected == [json.loads(element) for element in found]


@given(documents())
def test_what_is_around_data_reads_the_same_with_null_in_its_place(document: bytes) -> None:
    found = outline(document)
    if found is not None:
        start, end = found.data
        outer = document[:start] + b"null" + document[end:]
        assert json.loads(document) | {"data": None} == json.loads(outer)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from([b"", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"data"]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=4,
)


@given(documents(), MUTATIONS, CHUNKS)
def test_damage_never_makes_an_element_of_something_else(
    document: bytes, mutations: list[tuple[int, bytes, int]], chunk: int
) -> None:
    """What a parser accepts comes out alike; cuts of chunks never matter; nothing is raised."""
    for at, new, length in mutations:
        at %= len(document) + 1
        document = document[:at] + new + document[at + length :]
    found = elements_of(document, chunk=chunk)
    assert found == elements_of(document)
    expected = array_of(document)
    if expected is not None and found is not None:
        assert expected == [json.loads(element) for element in found]


@given(documents(), st.integers(1, 30), GROUPS)
def test_groups_are_small_or_one_element_and_leave_nothing_out(
    document: bytes, chunk: int, group_bytes: int
) -> None:
    found = outline(document, chunk=chunk, group_bytes=group_bytes)
    if found is None:
        return
    for start, end in found.groups:
        assert end - start <= group_bytes or len(split(document[start:end])) == 1
    start, end = found.data
    joined = b",".join(document[one:other] for one, other in found.groups)
    assert document[start:end] == b"[" + joined + b"]"


@pytest.mark.parametrize("depth", [6, 7, 600, 50_000])
def test_nesting_needs_no_stack(depth: int) -> None:
    deep = b"[" * depth + b"{" * depth + b"}" * depth + b"]" * depth
    document = b'{"data":[1,' + deep + b',{"a":' + deep + b"},2]}"
    assert elements_of(document, chunk=977) == [b"1", deep, b'{"a":' + deep + b"}", b"2"]


@pytest.mark.parametrize(
    "odd", [b'"\\ud83d"', b'"\x01"', b'"\xff"', b"NaN", b"{]", b'{"a" 1}', b'"\\x"', b"1 2"]
)
@pytest.mark.parametrize("group_bytes", [0, 1 << 20])
def test_an_odd_element_does_not_touch_its_neighbours(odd: bytes, group_bytes: int) -> None:
    document = b'{"data":[{"a":1}, ' + odd + b" ,[2]]}"
    assert elements_of(document, group_bytes=group_bytes) == [b'{"a":1}', odd, b"[2]"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b" ",
        b"[]",
        b'"data"',
        b"{}",
        b'{"data":{}}',
        b'{"data":"[1]"}',
        b'{"data":null}',
        b'{"x":{"data":[1]}}',
        b'{"x":"data","data[":[1]}',
        b'{"data":[1}',
        b'{"data":[1]',
        b'{"data":[1],"x":"}',
        b'{"data":[1]} x',
        b'{"data":[1]}{"data":[2]}',
        b'{"data":[1],"data":2}',
        b'{"Data":[1]}',
        b'{"data" "data":[1]',
    ],
)
def test_a_document_without_an_array_of_that_name_has_no_outline(document: bytes) -> None:
    for chunk in (1, 100):
        assert elements_of(document, chunk=chunk) is None


def test_too_many_elements_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "ELEMENTS_MAX", 3)
    assert elements_of(b'{"data":[1,2,3]}') == [b"1", b"2", b"3"]
    with pytest.raises(TooMuch, match="more than 3 elements"):
        outline(b'{"data":[1,2,3,4,')


def test_too_much_around_data_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two arrays of the name: the first one, which does not count, is around the second."""
    monkeypatch.setattr(elements, "OUTER_BYTES_MAX", 20)
    assert elements_of(b'{"data":[%s]}' % b",".join([b"1"] * 50)) is not None
    with pytest.raises(TooMuch, match="more than 20 bytes around data"):
        outline(b'{"data":["........"],"data":[1]}')


def test_nothing_between_two_commas_is_no_element() -> None:
    assert elements_of(b'{"data":[1,,2, ]}', group_bytes=0) == [b"1", b"2"]


def test_the_pattern_of_an_element_differs_from_the_other_by_the_comma() -> None:
    """It is made by a replacement that must not miss."""
    assert re.fullmatch(elements._ELEMENT.pattern, b'{"a":[1,2]} "," 3')
    assert not re.fullmatch(elements._ELEMENT.pattern, b"1,2")
