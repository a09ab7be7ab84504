"""Rows as JSON Lines and back. Writing is SQLite's: a page of rows is one step (see bulk.py).

A line is ``{"kind": "message", "id": …}`` with the columns of the row under their names; moments
are RFC 3339 in UTC with milliseconds. A row that is gone is a line of kind ``removed``.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

import apsw
import msgspec
from msgspec import Struct

from evorelay.model.backup import DamagedBackup
from evorelay.model.records import TicketRecord
from evorelay.storage.sqlite.bulk import Table, holds_json, to_json
from evorelay.storage.sqlite.merging import MERGES
from evorelay.storage.sqlite.transaction import (
    ALIASES,
    CONTACTS,
    INSTANCES,
    MEMBERS,
    MESSAGES,
    SEEN,
)

PAGE = 500
"""Rows in one step: some ms."""
_WORDLESS = {
    "content": "''",
    "reactions": "'[]'",
    "edits": "'[]'",
    "media": "NULL",
    "metadata": "json_patch('{}', json_object('origin', t.metadata->'origin',"
    " 'late', t.metadata->'late', 'history', t.metadata->'history'))",
}
"""Columns of a message that was deleted on WhatsApp: no more than model/rendering.py shows."""


class _TicketRow(TicketRecord, array_like=True, kw_only=True):
    """With what the engine does not read of a ticket."""

    forgotten: int = 0
    """Messages that came in and that retention took: ``inbound`` goes on counting them."""


_TICKETS = Table("tickets", _TicketRow)


class Kind:
    """How the rows of one table are written as lines and read back."""

    def __init__(self, name: str, table: Table, *place: str, key: str | None = None) -> None:
        self.name = name
        self.table = table
        self.place = place
        """Columns that order its rows."""
        self.key = key or ", ".join(place)
        """Columns that name a row, for SQL."""
        self.moments = [column for column in table.columns if _is_moment(column)]
        pairs = ", ".join(f"'{column}', {self._shown(column)}" for column in table.columns)
        self.line = f"json_object('kind', '{name}', {pairs})"
        """SQL of a line; the table is aliased ``t``."""
        assigned = ", ".join(f"{column} = excluded.{column}" for column in table.columns)
        self._upsert = (
            f"{table.insert_sql} WHERE true ON CONFLICT ({self.key}) DO UPDATE SET {assigned}"
        )
        fields = [self._field(field) for field in msgspec.structs.fields(table.record)]
        self.struct = msgspec.defstruct(name, fields, tag=name, tag_field="kind", kw_only=True)
        """What a line must look like."""

    def page(
        self, shown: str, source: str, after: Sequence[Any] | None, *, led_by: str = "t"
    ) -> str:
        """SQL of a page: its lines, how many, and where the last one stands (a JSON array).

        ``led_by``: the alias in ``source`` that is read in order; the others are looked up.
        """
        place = ", ".join(f"{led_by}.{column}" for column in self.place)
        where = "" if after is None else f" WHERE ({place}) > ({', '.join('?' * len(after))})"
        return (
            "SELECT group_concat(line, char(10)), count(*),"  # noqa: S608 -- our own names
            " json_group_array(json(place))->>'$[#-1]'"
            f" FROM (SELECT {shown} AS line, json_array({place}) AS place"
            f" FROM {source}{where} ORDER BY {place} LIMIT {PAGE})"
        )

    def key_of(self, alias: str) -> str:
        """SQL of what names a row in the log of changes."""
        columns = ", ".join(f"{alias}.{column}" for column in self.key.split(", "))
        return f"json_array({columns})" if "," in columns else columns

    def same(self, one: str, other: str) -> str:
        """SQL: two rows are the same one."""
        columns = self.key.split(", ")
        return " AND ".join(f"{one}.{column} = {other}.{column}" for column in columns)

    def write(self, connection: apsw.Connection, lines: Sequence[Struct]) -> None:
        """Put rows where they belong, in place of what is there."""
        rows = [
            self.table.record(
                **{column: _plain(getattr(line, column)) for column in self.moments},
                **{
                    column: getattr(line, column)
                    for column in self.table.columns
                    if column not in self.moments
                },
            )
            for line in lines
        ]
        connection.execute(self._upsert, (to_json(rows),))

    def _shown(self, column: str) -> str:
        hint = self.table.hints[column]
        is_json = holds_json(hint)
        shown = f"t.{column}"
        if hint is bool:
            return f"json(iif({shown}, 'true', 'false'))"
        if column in self.moments:
            moment = f"strftime('%Y-%m-%dT%H:%M:%fZ', {shown} / 1000.0, 'unixepoch')"
            return f"coalesce({moment}, {shown})"  # a year above 9999 stays a number
        if self.table is MESSAGES and column in _WORDLESS:
            shown = f"iif(t.deleted_at IS NULL, {shown}, {_WORDLESS[column]})"
        return f"json({shown})" if is_json else shown

    def _field(self, field: msgspec.structs.FieldInfo) -> tuple[str, Any, Any]:
        hint = self.table.hints[field.name]
        if field.name in self.moments:
            hint |= datetime
        default = msgspec.NODEFAULT if field.required else msgspec.field(default=field.default)
        if field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
        return (field.name, hint, default)


def _is_moment(column: str) -> bool:
    return column == "at" or column.endswith(("_at", "_since"))


def _plain(moment: datetime | int | None) -> int | None:
    if isinstance(moment, datetime):
        return round(moment.timestamp() * 1000)
    return moment


KINDS: tuple[Kind, ...] = (
    Kind("instance", INSTANCES, "name"),
    Kind("contact", CONTACTS, "id"),
    Kind("alias", ALIASES, "instance", "alias"),
    Kind("member", MEMBERS, "group_id", "contact_id"),
    Kind("ticket", _TICKETS, "id"),
    Kind("seen", SEEN, "ticket_id", "agent"),
    Kind("merge", MERGES, "id"),
    Kind("message", MESSAGES, "arrival", key="id"),
)
"""In the order in which their rows need each other."""
KIND = {kind.name: kind for kind in KINDS}


class Removed(Struct, tag="removed", tag_field="kind", frozen=True):
    """A row that is gone. ``key`` names it, as a JSON array where that takes two columns."""

    of: str
    key: str

    def apply(self, connection: apsw.Connection) -> None:
        kind = KIND.get(self.of)
        if kind is None:
            raise DamagedBackup(f"a line removes what there is not: {self.of[:40]!r}")
        connection.execute(
            f"DELETE FROM {kind.table.name} AS t WHERE {kind.key_of('t')} = ?",  # noqa: S608 -- our own names
            (self.key,),
        )


_decoder = msgspec.json.Decoder(reduce(or_, (kind.struct for kind in KINDS), Removed))


def decode_line(line: bytes) -> Struct:
    """Raises ``DamagedBackup``."""
    try:
        decoded: Struct = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DamagedBackup(f"a line is not one of ours: {error}") from None
    return decoded
