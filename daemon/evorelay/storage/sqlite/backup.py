"""``BackupStore`` over one SQLite file."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path

import apsw
from msgspec import Struct

from evorelay.model.backup import DamagedBackup, Mark
from evorelay.model.errors import StoreUnavailable
from evorelay.storage.ports.backup import Breathe, Merged
from evorelay.storage.sqlite.absorbing import absorb
from evorelay.storage.sqlite.connection import (
    DamagedFile,
    file_faults,
    open_writer,
    transaction,
    translated_errors,
)
from evorelay.storage.sqlite.copying import SqliteCopy, copy_store, opened
from evorelay.storage.sqlite.life import begin_life
from evorelay.storage.sqlite.lines import KIND, PAGE, Removed, decode_line
from evorelay.storage.sqlite.restored_replies import fail_waiting
from evorelay.storage.sqlite.store import migrate
from evorelay.storage.sqlite.suspicion import check_schema
from evorelay.storage.sqlite.transaction import CONTACTS, MESSAGES, OUTBOX, QUARANTINE, TICKETS

_UNIQUE = ("tickets_one_open", "messages_once")
"""Indexes that hold at the end of a line's day and not between two of its lines."""
_OUTDATED = (
    """
    UPDATE tickets AS t SET status = 'closed', closed_at = (
        SELECT min(n.created_at) FROM tickets AS n WHERE n.contact_id = t.contact_id
            AND n.status <> 'closed' AND (n.created_at, n.id) > (t.created_at, t.id)
    )
    WHERE status <> 'closed' AND EXISTS (
        SELECT 1 FROM tickets AS n WHERE n.contact_id = t.contact_id
            AND n.status <> 'closed' AND (n.created_at, n.id) > (t.created_at, t.id)
    )
    """,
    """
    DELETE FROM messages WHERE arrival IN (
        SELECT arrival FROM (SELECT arrival, max(arrival) OVER (
            PARTITION BY instance, whatsapp_id) AS newest
            FROM messages WHERE whatsapp_id IS NOT NULL)
        WHERE arrival < newest
    )
    """,
)
"""Where days are missing: a ticket was closed on one of them when the person has a newer one that
is open, and a message that is there twice was removed and came again."""


class SqliteBackupStore:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def directory(self) -> Path:
        return self._path.parent

    def size_bytes(self) -> int:
        if not self._path.exists():
            raise StoreUnavailable(f"there is no store at {self._path} yet: nothing to back up")
        with file_faults():
            size = self._path.stat().st_size
        wal = self._path.with_name(self._path.name + "-wal")
        return size + (wal.stat().st_size if wal.exists() else 0)

    def copy_to(self, path: Path, breathe: Breathe) -> Mark:
        return copy_store(self._path, path, breathe)

    @contextmanager
    def open_copy(self, path: Path, breathe: Breathe) -> Iterator[SqliteCopy]:
        with _scratch(path, breathe) as db:
            yield SqliteCopy(db)

    def build_copy(
        self,
        path: Path,
        lines: Iterable[bytes],
        cursors: Mapping[str, int],
        breathe: Breathe,
        *,
        has_gaps: bool = False,
    ) -> int:
        with file_faults():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with _scratch(path, breathe) as db:
            indexes = [
                db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).get
                for name in _UNIQUE
            ]
            for name in _UNIQUE:
                db.execute(f"DROP INDEX {name}")
            decoded = map(decode_line, lines)
            try:
                while page := list(islice(decoded, PAGE)):
                    with db:
                        _write(db, page)
                for cursor in cursors.items():
                    db.execute("INSERT INTO cursors VALUES (?, ?)", cursor)
                if has_gaps:
                    for sql in _OUTDATED:
                        db.execute(sql)
                for sql in indexes:
                    db.execute(sql)
            except (apsw.ConstraintError, apsw.MismatchError) as error:
                raise DamagedBackup(f"its lines contradict each other: {error}") from error
            return _without_orphans(db)

    def at(self, path: Path) -> "SqliteBackupStore":
        return SqliteBackupStore(path)

    def restore(
        self,
        copy: Path,
        mark: Mark,
        breathe: Breathe,
        told: Callable[[int], None],
        *,
        settles: bool = True,
    ) -> Merged:
        if self._is_empty():
            with _scratch(copy, breathe) as db:
                merged = _become_store(db, mark, settles=settles)
            told(merged.messages)
            self._put_in_place(copy)
            return merged
        with translated_errors(self._path):
            db = open_writer(self._path)
            try:
                migrate(db)
                db.pragma("temp_store", "file")  # its notes may be about millions of rows
                return absorb(db, copy, mark, told)
            finally:
                db.close()

    def _is_empty(self) -> bool:
        if not self._path.exists() or self._path.stat().st_size == 0:
            return True
        with translated_errors(self._path):
            db = open_writer(self._path)
            try:
                migrate(db)
                tables = ("contacts", "tickets", "messages", "quarantine", "outbox")
                return not any(
                    db.execute(f"SELECT 1 FROM {table} LIMIT 1").get  # noqa: S608 -- literals above
                    for table in tables
                )
            finally:
                db.close()

    def _put_in_place(self, copy: Path) -> None:
        with file_faults():
            with copy.open("rb") as file:
                os.fsync(file.fileno())
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            os.replace(copy, self._path)
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextmanager
def _scratch(path: Path, breathe: Breathe) -> Iterator[apsw.Connection]:
    """A file of a backup, which may come from anybody, as a store of this version."""
    try:
        with opened(path, breathe) as db:
            db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
            db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
            db.pragma("synchronous", "off")
            db.pragma("foreign_keys", False)
            check_schema(db)
            migrate(db)
            yield db
    except DamagedFile as error:
        raise DamagedBackup(f"its copy of the database is damaged: {error.__cause__}") from error


def _become_store(db: apsw.Connection, mark: Mark, *, settles: bool) -> Merged:
    """Make a copy the store itself: another life begins."""
    with transaction(db):
        failed = fail_waiting(db) if settles else 0
        last = db.execute("SELECT coalesce(max(revision), 0) FROM changes").get
        epoch = begin_life(db, [(mark.epoch, mark.revision, int(last or 0))])
        counts = {
            table.name: int(db.execute(f"SELECT count(*) FROM {table.name}").get or 0)  # noqa: S608 -- our own names
            for table in (CONTACTS, TICKETS, MESSAGES, OUTBOX, QUARANTINE)
        }
    return Merged(sum(counts.values()), counts["messages"], failed, epoch)


def _write(db: apsw.Connection, page: list[Struct]) -> None:
    for kind, run in groupby(page, key=type):
        if kind is Removed:
            for line in run:
                line.apply(db)  # type: ignore[attr-defined]  # a ``Removed``, says its type
        else:
            KIND[kind.__name__].write(db, list(run))


def _without_orphans(db: apsw.Connection) -> int:
    """Take out rows that refer to others which are not there; returns how many."""
    dropped = 0
    while broken := db.execute("PRAGMA foreign_key_check").fetchall():
        for table in {row[0] for row in broken}:
            dropped += _drop_orphans(db, str(table))
    return dropped


def _drop_orphans(db: apsw.Connection, table: str) -> int:
    dropped = 0
    for _, _, parent, column, target, *_ in db.execute(
        "SELECT * FROM pragma_foreign_key_list(?)", (table,)
    ).fetchall():
        db.execute(
            f"DELETE FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 -- our schema, it was checked
            f" AND {column} NOT IN (SELECT {target} FROM {parent})"
        )
        dropped += db.changes()
    return dropped
