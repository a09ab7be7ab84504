"""Records through SQLite as JSON arrays: any record comes back equal."""

from typing import Any

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from evorelay.storage.sqlite.bulk import Table, to_json

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


class Row(Struct, array_like=True, kw_only=True):
    id: str
    number: int
    maybe_number: int | None
    text: str
    maybe_text: str | None
    flag: bool
    items: list[Any]
    fields: dict[str, Any]
    maybe_fields: dict[str, Any] | None


ROWS = st.lists(
    st.builds(
        Row,
        id=TEXT,
        number=NUMBERS,
        maybe_number=st.none() | NUMBERS,
        text=TEXT,
        maybe_text=st.none() | TEXT,
        flag=st.booleans(),
        items=st.lists(JSON, max_size=3),
        fields=st.dictionaries(TEXT, JSON, max_size=3),
        maybe_fields=st.none() | st.dictionaries(TEXT, JSON, max_size=3),
    ),
    max_size=5,
    unique_by=lambda row: row.id,
)
TABLE = Table("rows", Row)
SCHEMA = (
    "CREATE TABLE rows (id TEXT PRIMARY KEY, number INTEGER, maybe_number INTEGER, text TEXT,"
    " maybe_text TEXT, flag INTEGER, items TEXT, fields TEXT, maybe_fields TEXT)"
)


def database() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(SCHEMA)
    return connection


def stored(connection: apsw.Connection) -> list[Row]:
    rows: list[Row] = TABLE.select(connection, "ORDER BY t.id", ())
    return rows


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_rows_come_back_as_they_were(rows: list[Row]) -> None:
    db = database()
    TABLE.insert(db, rows)
    assert sorted(stored(db), key=lambda row: row.id) == sorted(rows, key=lambda row: row.id)


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS)
def test_replace_overwrites_and_adds(first: list[Row], second: list[Row]) -> None:
    db = database()
    TABLE.insert(db, first)
    TABLE.replace(db, second)
    expected = {row.id: row for row in [*first, *second]}
    assert {row.id: row for row in stored(db)} == expected


@settings(max_examples=30, deadline=None)
@given(ROWS, ROWS)
def test_update_overwrites_and_adds_nothing(first: list[Row], second: list[Row]) -> None:
    db = database()
    TABLE.insert(db, first)
    TABLE.update(db, second)
    known = {row.id: row for row in first}
    known.update((row.id, row) for row in second if row.id in known)
    assert {row.id: row for row in stored(db)} == known


def test_a_change_is_found_by_its_key_and_not_by_reading_the_table() -> None:
    """A batch of changes costs its own size, not the store's."""
    plan = database().execute("EXPLAIN QUERY PLAN " + TABLE.update_sql, ("[]",)).fetchall()
    assert not any("SCAN rows" in str(step[-1]) for step in plan)


def test_any_iterable_is_an_array() -> None:
    assert to_json({"a": 1}) == '{"a":1}'
    assert to_json(iter(["a", "b"])) == '["a","b"]'
    assert to_json({"x"}) == '["x"]'
