"""Whole batches of records in one SQLite step, as JSON arrays.

Why not ``executemany``: each step gives up the GIL and has to win it back. With the event loop
busy, 100 rows took 58 ms that way and 12 ms in one step (4.4 and 2.1 ms at our 0.5 ms switch
interval; measured on 2 cores, see ARCHITECTURE.md). Records are array-like Structs, so one
``msgspec`` call makes the array and one ``INSERT … SELECT FROM json_each`` writes it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import apsw
import msgspec
from msgspec import Struct

S = TypeVar("S", bound=Struct)

_encoder = msgspec.json.Encoder()


def to_json(rows: Iterable[Any]) -> str:
    plain = rows if isinstance(rows, list | dict) else list(rows)
    return _encoder.encode(plain).decode()


class Table:
    """Reads and writes one table's rows as records of one array-like Struct type."""

    def __init__(self, name: str, record: type[Struct]) -> None:
        self.name = name
        self.columns = record.__struct_fields__
        self.record = record
        self.hints = get_type_hints(record)
        json_columns = {name for name in self.columns if holds_json(self.hints[name])}
        listed = ", ".join(f'"{column}"' for column in self.columns)
        values = ", ".join(f"value->>{index}" for index in range(len(self.columns)))
        self.insert_sql = f"INSERT INTO {self.name} ({listed}) SELECT {values} FROM json_each(?)"  # noqa: S608 -- names from our own Structs
        self.insert_new_sql = self.insert_sql.replace("INSERT", "INSERT OR IGNORE", 1)
        self.replace_sql = self.insert_sql.replace("INSERT", "INSERT OR REPLACE", 1)
        self.array = "json_array({})".format(
            ", ".join(
                f"json(t.{column})" if column in json_columns else f"t.{column}"
                for column in self.columns
            )
        )
        """The row as a JSON array; in queries the table is aliased ``t``."""
        key, *others = self.columns
        # Without the key: naming it would have SQLite look for rows that refer to it (measured:
        # 0.7 ms for each contact, in a store of 20,000 messages).
        assigned = ", ".join(
            f"{column} = v.value->>{index}" for index, column in enumerate(others, 1)
        )
        self.update_sql = (
            f"UPDATE {self.name} SET {assigned} FROM json_each(?) AS v"  # noqa: S608 -- as above
            f" WHERE {self.name}.{key} = v.value->>0"
        )
        self.decode = msgspec.json.Decoder(list[record], strict=False).decode  # type: ignore[valid-type]  # mypy cannot take a type from a variable

    def insert(self, connection: apsw.Connection, rows: Sequence[Struct]) -> None:
        if rows:
            connection.execute(self.insert_sql, (to_json(rows),))

    def insert_new(self, connection: apsw.Connection, rows: Sequence[Struct]) -> None:
        """Insert those whose keys are not there yet."""
        if rows:
            connection.execute(self.insert_new_sql, (to_json(rows),))

    def replace(self, connection: apsw.Connection, rows: Sequence[Struct]) -> None:
        if rows:
            connection.execute(self.replace_sql, (to_json(rows),))

    def update(self, connection: apsw.Connection, rows: Sequence[Struct]) -> None:
        """Overwrite rows found by their first column."""
        if rows:
            connection.execute(self.update_sql, (to_json(rows),))

    def select(self, connection: apsw.Connection, tail: str, bindings: tuple[Any, ...]) -> Any:
        """Records of ``SELECT … FROM table AS t <tail>`` in its order."""
        rows = connection.execute(
            f"SELECT json_group_array(json(row)) FROM (SELECT {self.array} AS row"  # noqa: S608 -- tails are literals of this package
            f" FROM {self.name} AS t {tail})",
            bindings,
        ).get
        return self.decode(rows)


def holds_json(hint: Any) -> bool:
    """Whether a column of this type is stored as JSON text (a list or a mapping, or None)."""
    options = get_args(hint) if type(None) in get_args(hint) else (hint,)
    return any(getattr(option, "__origin__", option) in (list, dict) for option in options)
