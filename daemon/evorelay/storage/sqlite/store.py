"""The store's writer on SQLite, and its housekeeping."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from evorelay.model.errors import RelayError
from evorelay.storage.sqlite.connection import FILE_FAULTS, open_writer, transaction
from evorelay.storage.sqlite.schema import MIGRATIONS
from evorelay.storage.sqlite.transaction import SqliteTransaction

T = TypeVar("T")


class SqliteStore:
    """``StoreWriter`` and ``Maintenance`` over one file."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._db = open_writer(path, durable=durable)
        self._migrate()
        self._transaction = SqliteTransaction(self._db)

    def transact(self, work: Callable[[SqliteTransaction], T]) -> T:
        with transaction(self._db):
            return work(self._transaction)

    def transact_each(
        self, works: Sequence[Callable[[SqliteTransaction], T]]
    ) -> list[T | Exception]:
        results: list[T | Exception] = []
        with transaction(self._db):
            for work in works:
                try:
                    with self._db:  # a savepoint
                        results.append(work(self._transaction))
                except FILE_FAULTS:
                    raise  # the file's and not this work's: nothing of the transaction holds
                except Exception as error:  # this work's own; the others go on
                    results.append(error)
        return results

    def trim_events(self, older_than_ms: int, limit: int) -> int:
        with transaction(self._db):
            last = self._db.execute(
                "SELECT max(id) FROM (SELECT id, at FROM events ORDER BY id LIMIT ?) WHERE at < ?",
                (limit, older_than_ms),
            ).get
            if last is None:
                return 0
            self._db.execute(
                'DELETE FROM positions WHERE (channel, "offset") IN'
                " (SELECT p.value->>0, p.value->>1 FROM events AS e"
                " CROSS JOIN json_each(e.positions) AS p WHERE e.id <= ?)",
                (last,),
            )
            self._db.execute("DELETE FROM events WHERE id <= ?", (last,))
            return self._db.changes()

    def trim_early_changes(self, older_than_ms: int) -> int:
        with transaction(self._db):
            self._db.execute("DELETE FROM early_changes WHERE at < ?", (older_than_ms,))
            return self._db.changes()

    def trim_outbox(self, older_than_ms: int, limit: int) -> int:
        with transaction(self._db):
            self._db.execute(
                "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
                " WHERE state IN ('sent', 'failed', 'kept') AND ended_at < ? LIMIT ?)",
                (older_than_ms, limit),
            )
            return self._db.changes()

    def trim_sockets(self, older_than_ms: int, per_agent: int) -> int:
        with transaction(self._db):
            self._db.execute(
                "DELETE FROM sockets WHERE at < ? OR pid IN (SELECT pid FROM (SELECT pid,"
                " row_number() OVER (PARTITION BY agent ORDER BY at DESC) AS place FROM sockets)"
                " WHERE place > ?)",
                (older_than_ms, per_agent),
            )
            return self._db.changes()

    def trim_uploads(self, older_than_ms: int) -> int:
        with transaction(self._db):
            self._db.execute("DELETE FROM uploads WHERE at < ?", (older_than_ms,))
            return self._db.changes()

    def close(self) -> None:
        self._db.close()

    def _migrate(self) -> None:
        with transaction(self._db):
            version = int(self._db.pragma("user_version"))
            if version > len(MIGRATIONS):
                raise RelayError(
                    f"the store was written by a newer evorelay (schema {version}, this one knows"
                    f" {len(MIGRATIONS)}); install that version, or restore a backup"
                )
            for migration in MIGRATIONS[version:]:
                self._db.execute(migration)
            if version < len(MIGRATIONS):
                self._db.pragma("user_version", len(MIGRATIONS))
            self._db.execute(
                "INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (uuid.uuid4().hex[:12],)
            )
