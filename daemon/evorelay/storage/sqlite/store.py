"""The store's writer on SQLite."""

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from evorelay.model.clock import now_ms
from evorelay.model.errors import RelayError
from evorelay.storage.sqlite.connection import FILE_FAULTS, open_writer, transaction
from evorelay.storage.sqlite.housekeeping import Housekeeping
from evorelay.storage.sqlite.schema import MIGRATIONS
from evorelay.storage.sqlite.transaction import SqliteTransaction

T = TypeVar("T")


class SqliteStore(Housekeeping):
    """``StoreWriter`` and ``Maintenance`` over one file."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._db = open_writer(path, durable=durable)
        migrate(self._db)
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

    def close(self) -> None:
        self._db.close()


def migrate(db: apsw.Connection) -> None:
    """Bring a store up to this version's schema; a new one gets an epoch."""
    with transaction(db):
        version = int(db.pragma("user_version"))
        if version > len(MIGRATIONS):
            raise RelayError(
                f"the store was written by a newer evorelay (schema {version}, this one knows"
                f" {len(MIGRATIONS)}); install that version, or move {db.filename} away and restore"
                " a backup that this version made"
            )
        for migration in MIGRATIONS[version:]:
            db.execute(migration)
        if version < len(MIGRATIONS):
            db.pragma("user_version", len(MIGRATIONS))
        db.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (uuid.uuid4().hex[:12],))
        db.execute("INSERT OR IGNORE INTO meta VALUES ('born_at', ?)", (str(now_ms()),))
