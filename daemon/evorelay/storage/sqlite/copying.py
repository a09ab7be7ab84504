"""A copy of the store: made beside its writer, and read at rest."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import msgspec

from evorelay.model.backup import Mark, Total
from evorelay.storage.ports.backup import Breathe
from evorelay.storage.sqlite.connection import file_faults, translated_errors
from evorelay.storage.sqlite.life import begin_life, read_ancestors, read_mark
from evorelay.storage.sqlite.lines import KINDS, PAGE, Kind
from evorelay.storage.sqlite.store import migrate

_VM_STEPS = 20_000
"""Of SQLite's machine between two breaths of the copying: about 1 ms."""
_CONTEXT = (
    """
    INSERT OR IGNORE INTO wanted_messages
        SELECT t.arrival FROM changes AS c CROSS JOIN messages AS t ON t.id = c.key
        WHERE c.revision > ?1 AND c.kind = 'message'
    """,
    """
    INSERT OR IGNORE INTO wanted_seen
        SELECT t.ticket_id, t.agent FROM changes AS c CROSS JOIN seen AS t
            ON t.ticket_id = c.key->>0 AND t.agent = c.key->>1
        WHERE c.revision > ?1 AND c.kind = 'seen'
    """,
    """
    INSERT OR IGNORE INTO wanted_members
        SELECT t.group_id, t.contact_id FROM changes AS c CROSS JOIN members AS t
            ON t.group_id = c.key->>0 AND t.contact_id = c.key->>1
        WHERE c.revision > ?1 AND c.kind = 'member'
    """,
    """
    INSERT OR IGNORE INTO wanted_merges
        SELECT t.id FROM changes AS c CROSS JOIN merges AS t ON t.id = c.key
        WHERE c.revision > ?1 AND c.kind = 'merge'
    """,
    """
    INSERT OR IGNORE INTO wanted_tickets
        SELECT t.id FROM changes AS c CROSS JOIN tickets AS t ON t.id = c.key
        WHERE c.revision > ?1 AND c.kind = 'ticket'
        UNION SELECT ticket_id FROM wanted_seen
        UNION SELECT t.ticket_id FROM wanted_messages AS w CROSS JOIN messages AS t
            ON t.arrival = w.arrival WHERE t.ticket_id IS NOT NULL
    """,
    """
    INSERT OR IGNORE INTO wanted_contacts
        SELECT t.id FROM changes AS c CROSS JOIN contacts AS t ON t.id = c.key
        WHERE c.revision > ?1 AND c.kind = 'contact'
        UNION SELECT t.contact_id FROM changes AS c CROSS JOIN aliases AS t
            ON t.instance = c.key->>0 AND t.alias = c.key->>1
        WHERE c.revision > ?1 AND c.kind = 'alias'
        UNION SELECT group_id FROM wanted_members
        UNION SELECT contact_id FROM wanted_members
        UNION SELECT t.contact_id FROM wanted_tickets AS w CROSS JOIN tickets AS t ON t.id = w.id
        UNION SELECT t.contact_id FROM wanted_messages AS w CROSS JOIN messages AS t
            ON t.arrival = w.arrival
    """,
    """
    INSERT OR IGNORE INTO wanted_aliases
        SELECT t.instance, t.alias FROM wanted_contacts AS w CROSS JOIN aliases AS t
            ON t.contact_id = w.id
    """,
    "INSERT OR IGNORE INTO wanted_instances SELECT name FROM instances",
)
"""What changed, and the people and tickets it is about, so that a day can be read by itself."""


@contextmanager
def opened(path: Path, breathe: Breathe, *, read_only: bool = False) -> Iterator[apsw.Connection]:
    """A connection that breathes while it works; what ``breathe`` raises ends its statement."""

    def breathed() -> bool:
        breathe()
        return False

    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    with translated_errors(path):
        db = apsw.Connection(str(path), flags=flags)
        try:
            db.set_busy_timeout(5000)
            db.set_progress_handler(breathed, _VM_STEPS)
            yield db
        finally:
            db.close()


def copy_store(source: Path, target: Path, breathe: Breathe) -> Mark:
    """``BackupStore.copy_to``: VACUUM INTO, which leaves behind what was deleted in the file."""
    with file_faults():
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with opened(source, breathe, read_only=True) as db:
        db.execute("VACUUM INTO ?", (str(target),))
    return _make_presentable(target, breathe)


def _make_presentable(path: Path, breathe: Breathe) -> Mark:
    """Bring a fresh copy up to date, take out what is secret, and give it a life of its own.

    Whoever puts the file in place by hand has a store whose clients are told to load anew.
    """
    with opened(path, breathe) as db:
        db.pragma("synchronous", "off")  # whoever wants it durable syncs the file
        db.pragma("secure_delete", True)
        migrate(db)
        mark = read_mark(db)
        with db:
            db.execute("DELETE FROM sockets")  # who has a pid may have what it missed
            db.execute("UPDATE events SET origin = NULL WHERE origin IS NOT NULL")  # likewise
            db.execute("UPDATE instances SET qrcode = NULL")
            begin_life(db, [(mark.epoch, mark.revision, mark.revision)])
    return mark


class SqliteCopy:
    """``StoreCopy`` on a file that nobody writes to."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def mark(self) -> Mark:
        return read_mark(self._db)

    def continues(self, mark: Mark) -> bool:
        *_, (copied, _, _) = read_ancestors(self._db)
        if copied != mark.epoch:
            return False
        if mark.revision == 0:
            return self._db.execute("SELECT min(revision) FROM changes").get in (None, 1)
        change = self._db.execute(
            "SELECT kind || ' ' || key FROM changes WHERE revision = ?", (mark.revision,)
        ).get
        return bool(change == mark.change)

    def lines(self, since: int | None) -> Iterator[tuple[str, int, bytes]]:
        if since is not None:
            yield from self._removed(since)
            self._want(since)
        for kind in KINDS:
            source, led_by = f"{kind.table.name} AS t", "t"
            if since is not None:
                same = " AND ".join(f"t.{column} = w.{column}" for column in kind.place)
                source = f"wanted_{kind.table.name} AS w CROSS JOIN {source} ON {same}"
                led_by = "w"
            for count, text in self._pages(kind, kind.line, source, led_by=led_by):
                yield kind.name, count, text

    def media(self) -> Iterator[tuple[int, int, bytes]]:
        after = ""
        while True:
            rows = self._db.execute(
                "SELECT media->>'id' AS id, max(media->>'size') FROM messages"
                " INDEXED BY messages_by_media WHERE media IS NOT NULL AND media->>'id' > ?"
                " GROUP BY media->>'id' ORDER BY media->>'id' LIMIT ?",
                (after, PAGE),
            ).fetchall()
            if not rows:
                return
            after = str(rows[-1][0])
            text = b"".join(
                msgspec.json.encode({"sha256": id_, "bytes": size}) + b"\n" for id_, size in rows
            )
            yield len(rows), sum(int(size or 0) for _, size in rows), text

    def totals(self) -> dict[str, Total]:
        found = {}
        for kind in KINDS:
            rows, hashed = 0, sha256()
            source = f"{kind.table.name} AS t"
            for count, text in self._pages(kind, kind.table.array, source):
                rows += count
                hashed.update(text)
            found[kind.table.name] = Total(rows, hashed.hexdigest())
        return found

    def problem(self) -> str | None:
        found = self._db.execute("PRAGMA integrity_check(1)").get
        if found != "ok":
            return f"SQLite's integrity check says: {found}"
        broken = self._db.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            return f"a row of {broken[0]} belongs to one of {broken[2]} that is not there"
        self._db.execute("INSERT INTO messages_text (messages_text) VALUES ('integrity-check')")
        return None

    def _want(self, since: int) -> None:
        self._db.pragma("temp_store", "file")
        for kind in KINDS:
            columns = ", ".join(kind.place)
            self._db.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS wanted_{kind.table.name}"
                f" ({columns}, PRIMARY KEY ({columns})) WITHOUT ROWID"
            )
            self._db.execute(f"DELETE FROM wanted_{kind.table.name}")  # noqa: S608 -- our own names
        for sql in _CONTEXT:
            self._db.execute(sql, (since,) if "?1" in sql else ())

    def _removed(self, since: int) -> Iterator[tuple[str, int, bytes]]:
        for kind in KINDS:
            after: Any = ""
            while True:
                text, count, after = self._db.execute(
                    "SELECT group_concat(json_object('kind', 'removed', 'of', kind, 'key', key),"  # noqa: S608 -- our own names
                    " char(10)), count(*), max(key) FROM (SELECT DISTINCT kind, key FROM changes"
                    f" WHERE revision > ? AND kind = ? AND key > ?"
                    f" AND NOT EXISTS (SELECT 1 FROM {kind.table.name} AS t"
                    f" WHERE {kind.key_of('t')} = changes.key)"
                    f" ORDER BY key LIMIT {PAGE})",
                    (since, kind.name, after),
                ).fetchone()  # type: ignore[misc]  # an aggregate always has a row
                if not count:
                    break
                yield "removed", count, text.encode() + b"\n"

    def _pages(
        self, kind: Kind, shown: str, source: str, *, led_by: str = "t"
    ) -> Iterator[tuple[int, bytes]]:
        after: list[Any] | None = None
        while True:
            text, count, place = self._db.execute(
                kind.page(shown, source, after, led_by=led_by), after or ()
            ).fetchone()  # type: ignore[misc]  # an aggregate always has a row
            if not count:
                return
            after = msgspec.json.decode(place)
            yield count, text.encode() + b"\n"
            if count < PAGE:
                return
