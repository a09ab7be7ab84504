"""Looking through a store and a journal for what must not be, beside a running daemon or without.

``SqliteStoreCheck`` reads one snapshot of the store, ``SqliteJournalCheck`` the journal from end to
end. Neither changes anything; ``repair`` does what follows from what is there, and needs the store
for itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import msgspec

from evorelay.model.blob_names import blob_names
from evorelay.model.envelope import Envelope
from evorelay.model.errors import RelayError
from evorelay.model.fsck import Fault, UnreadableStore
from evorelay.storage.sqlite.bulk import to_json
from evorelay.storage.sqlite.connection import (
    DamagedFile,
    open_reader,
    open_writer,
    snapshot,
    transaction,
)
from evorelay.storage.sqlite.merging import Merging
from evorelay.storage.sqlite.reader import SqliteReader
from evorelay.storage.sqlite.schema import problem_of
from evorelay.storage.sqlite.store_checks import CHECKS, run

_decode = msgspec.msgpack.Decoder(list[Envelope]).decode
_TICKETS_AT_ONCE = 500
_BLOBS_AT_ONCE = 500


class SqliteStoreCheck:
    """One store, read only."""

    def __init__(self, path: Path) -> None:
        self._db = open_reader(path)
        self._reader = SqliteReader(path)

    def close(self) -> None:
        self._reader.close()
        self._db.close()

    def schema_problem(self) -> str | None:
        """Why this version cannot look at the store; None when it can."""
        return problem_of(int(self._db.pragma("user_version")))

    def faults(self, looking: Callable[[str], None]) -> Iterator[Fault]:
        """Everything that does not hold, in one view; ``looking`` is told what comes next."""
        with snapshot(self._db):
            for check in CHECKS:
                looking(check.code)
                for where in run(self._db, check):
                    yield Fault(check.code, check.what, where, check.repair)

    def counts(self) -> dict[str, int]:
        """How many rows were looked through; -1 where a table cannot be read."""
        names = {"outbox": "replies", "quarantine": "quarantined"}
        return {
            names.get(table, table): _count(self._db, f"SELECT count(*) FROM {table}")  # noqa: S608 -- literals
            for table in ("contacts", "tickets", "messages", "events", "outbox", "quarantine")
        }

    def cursor(self, journal: str) -> int:
        seq = self._db.execute("SELECT seq FROM cursors WHERE journal = ?", (journal,)).get
        return int(seq or 0)

    def unneeded(self, blobs: Sequence[str]) -> set[str]:
        """Those that no row refers to, but for what quarantined bodies name."""
        return {*blobs} - self._reader.referred(blobs)

    def born_at(self) -> int:
        return self._reader.born_at()

    def quarantined(self) -> Iterator[str]:
        """The bodies of quarantined webhooks."""
        for (body,) in self._db.execute("SELECT body FROM quarantine"):
            yield str(body)

    def files(self) -> Iterator[tuple[str, str]]:
        """(blob, what needs it) of each file that is said to be here."""
        for blob, owner in self._db.execute(
            "SELECT media->>'id', 'message ' || min(id) FROM messages WHERE media IS NOT NULL"
            " AND media->>'id' IS NOT NULL AND media->>'state' IS NOT 'removed'"
            " GROUP BY media->>'id'"
            " UNION ALL SELECT outgoing->'media'->>'blob', 'reply ' || id FROM outbox"
            " WHERE state IN ('queued', 'sending', 'unknown')"
            " AND outgoing->'media'->>'blob' IS NOT NULL"
        ):
            yield str(blob), str(owner)


class SqliteJournalCheck:
    is_there = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = open_reader(path)
        self.entries = 0
        self.first = self.last = 0

    def close(self) -> None:
        self._db.close()

    @property
    def identity(self) -> str:
        found = self._db.execute("SELECT value FROM meta WHERE key = 'identity'").get
        return str(found or "")

    def newest(self) -> int:
        """The last number given by now, also since this look began."""
        return int(self._db.execute("SELECT coalesce(max(last_seq), 0) FROM batches").get)

    def faults(self, seen: Callable[[int, Envelope], None]) -> Iterator[Fault]:
        """Read it whole; ``seen`` is given each entry."""
        for (line,) in self._db.execute(
            "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
        ):
            yield Fault("damaged_journal", "SQLite finds the journal damaged", str(line))
        if not self.identity:
            yield Fault("no_identity", "the journal has no name", "meta")
        try:
            rows = self._db.execute(
                "SELECT first_seq, last_seq, envelopes FROM batches ORDER BY last_seq"
            )
            for first, last, packed in rows:
                yield from self._batch(int(first), int(last), bytes(packed), seen)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            yield Fault("damaged_journal", "SQLite finds the journal damaged", str(error))

    def _batch(
        self, first: int, last: int, packed: bytes, seen: Callable[[int, Envelope], None]
    ) -> Iterator[Fault]:
        where = f"{first} to {last}"
        if self.last and first <= self.last:
            yield Fault("journal_order", "a number of the journal is given twice", where)
        if self.last and first > self.last + 1:
            what = "webhooks are gone from the middle of the journal"
            yield Fault("journal_gap", what, f"{self.last + 1} to {first - 1}")
        self.first = self.first or first
        self.last = max(self.last, last)
        try:
            envelopes = _decode(packed)
        except msgspec.DecodeError as error:
            yield Fault("unreadable_entry", "webhooks cannot be read back", f"{where}: {error}")
            return
        self.entries += len(envelopes)
        if len(envelopes) != last - first + 1:
            yield Fault("journal_order", "a commit has more or fewer entries than numbers", where)
        for seq, envelope in enumerate(envelopes, first):
            seen(seq, envelope)


class NoJournal:
    """Of a store that was put back into an empty directory, until the daemon has started."""

    is_there = False
    identity = ""
    entries = first = last = 0

    def newest(self) -> int:
        return 0

    def faults(self, seen: Callable[[int, Envelope], None]) -> Iterator[Fault]:
        return iter(())

    def close(self) -> None: ...


class SqliteNames:
    """A set of blob names of any size, in a temporary file."""

    def __init__(self) -> None:
        self._db = apsw.Connection("")
        self._db.execute("CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID; BEGIN")

    def add(self, names: set[str]) -> None:
        if names:
            self._db.executemany(
                "INSERT OR IGNORE INTO names VALUES (?)", [(name,) for name in names]
            )

    def add_in(self, text: bytes) -> None:
        if b"blob" in text:
            self.add(blob_names(text))

    def __iter__(self) -> Iterator[str]:
        return (str(name) for (name,) in self._db.execute("SELECT name FROM names"))

    def missing(self, names: Sequence[str]) -> set[str]:
        """Those of them that are not in it."""
        rows = self._db.execute(
            "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT name FROM names)",
            (to_json(names),),
        )
        return {str(name) for (name,) in rows}

    def close(self) -> None:
        self._db.close()


def repair(path: Path, kinds: set[str]) -> list[str]:
    """Mend what can be worked out again; what was done, in words. The store must be one's own."""
    done = []
    with closing(open_writer(path)) as db:
        if "recount" in kinds:
            count = _recount(db)
            done.append(f"counted the messages of {count:,} tickets anew")
        if "search" in kinds:
            with transaction(db):
                db.execute("INSERT INTO messages_text (messages_text) VALUES ('rebuild')")
            done.append("made the index of search anew")
    return done


def _recount(db: apsw.Connection) -> int:
    count = 0
    after = ""
    while ids := [
        str(id_)
        for (id_,) in db.execute(
            "SELECT id FROM tickets WHERE id > ? AND merged_into IS NULL ORDER BY id LIMIT ?",
            (after, _TICKETS_AT_ONCE),
        )
    ]:
        with transaction(db):
            Merging(db).recount(ids)
            db.execute(
                "UPDATE tickets SET unread = max(0, min(unread, inbound))"
                " WHERE id IN (SELECT value FROM json_each(?))",
                (to_json(ids),),
            )
        count += len(ids)
        after = ids[-1]
    return count


@contextmanager
def opened(
    store: Path, journal: Path
) -> Iterator[tuple[SqliteStoreCheck, SqliteJournalCheck | NoJournal]]:
    """A journal need not be there. Raises ``RelayError`` for a store that is not there, or that
    this version cannot look at."""
    if not store.is_file():
        raise RelayError(f"there is no {store}; is state_dir the daemon's?")
    with (
        _damage(),
        closing(SqliteStoreCheck(store)) as one,
        closing(SqliteJournalCheck(journal) if journal.is_file() else NoJournal()) as other,
    ):
        if problem := one.schema_problem():
            raise RelayError(problem)
        yield one, other


@contextmanager
def _damage() -> Iterator[None]:
    """A file of which nothing can be asked."""
    try:
        yield
    except (DamagedFile, apsw.CorruptError, apsw.NotADBError) as error:
        raise UnreadableStore(str(error)) from error


def _count(db: apsw.Connection, sql: str) -> int:
    try:
        return int(db.execute(sql).get)
    except apsw.CorruptError:
        return -1
