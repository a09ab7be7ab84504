"""Is a database file one of ours? SQL that lies in a file runs when the file is used."""

import apsw

from evorelay.model.backup import DamagedBackup
from evorelay.storage.sqlite.schema import MIGRATIONS

_ACTIVE = ("trigger", "view")
"""Whose SQL runs by itself. Of tables and indexes the names are enough."""


def check_schema(db: apsw.Connection) -> None:
    """Raise ``DamagedBackup`` unless the file's schema is that of one of our versions.

    A file from a newer version is left to ``migrate``, and an empty one is as good as ours.
    """
    version = int(db.pragma("user_version"))
    if version > len(MIGRATIONS):
        return
    reference = apsw.Connection(":memory:")
    try:
        for migration in MIGRATIONS[:version]:
            reference.execute(migration)
        strange = _parts(db) ^ _parts(reference)
    finally:
        reference.close()
    if strange:
        name = min(strange)[1]
        raise DamagedBackup(f"its copy of the database is no store of ours: look at {name[:80]!r}")


def _parts(db: apsw.Connection) -> set[tuple[str, str, str]]:
    return {
        (kind, name, sql or "" if kind in _ACTIVE else "")
        for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema")
        if not name.startswith("sqlite_")
    }
