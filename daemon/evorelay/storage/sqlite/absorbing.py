"""A copy's rows put into a store: merging, in small transactions, the same again changes nothing.

What is in the store stays as it is. Only where the copy is a later state of the same life, and the
store has not changed the row by itself since, the copy's row takes its place. A person the store
knows under another id, for it was filled anew in the meantime, is that person: by the aliases.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import apsw

from evorelay.model.backup import Mark
from evorelay.model.clock import now_ms
from evorelay.storage.ports.backup import Merged
from evorelay.storage.sqlite.bulk import Table
from evorelay.storage.sqlite.connection import transaction
from evorelay.storage.sqlite.identifying import (
    IS_MOVED,
    PERSON,
    PLACE,
    PREPARE,
    STAYS,
    identify_people,
    identify_tickets,
)
from evorelay.storage.sqlite.life import (
    begin_life,
    decode_ancestors,
    note_ancestors,
    read_ancestors,
    read_mark,
)
from evorelay.storage.sqlite.lines import KIND, KINDS, Kind
from evorelay.storage.sqlite.merging import Merging
from evorelay.storage.sqlite.restored_replies import (
    IS_WAITING,
    REPLY_ERROR,
    failed_message,
    failed_reply,
)
from evorelay.storage.sqlite.transaction import EARLY, FETCHES, OUTBOX, QUARANTINE, UPLOADS

_STEP = 2000
"""Messages in one transaction: memory and the log of writes stay flat."""
_RECOUNTED = 500
_UNFINISHED = "restoring"
"""In ``meta`` while a merge is under way: the revision before it."""
_PREPARE = """
    CREATE TEMP TABLE own (kind TEXT, key TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;
    CREATE TEMP TABLE fresh (id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE touched (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_CONTACT = {"contact_id": PERSON.format("s.contact_id")}
_IS_ALONE = f"""
    s.status = 'closed' OR {IS_MOVED} OR NOT EXISTS (SELECT 1 FROM main.tickets AS t
        WHERE t.contact_id = {PERSON.format("s.contact_id")} AND t.status <> 'closed'
            AND t.id <> s.id AND {STAYS})
"""  # noqa: S608 -- our own names
_HAS_ITS_MESSAGE = (
    "EXISTS (SELECT 1 FROM main.messages AS m WHERE m.id = s.message_id)"  # noqa: S608 -- our own names
    f" AND EXISTS (SELECT 1 FROM main.contacts AS c WHERE c.id = {_CONTACT['contact_id']})"
)
_WAITS_HERE = f"s.id IN (SELECT s.id FROM main.outbox AS s WHERE {IS_WAITING})"  # noqa: S608 -- our own names
_NEEDED_BY = {
    "contact": (
        ("aliases", "contact_id"),
        ("tickets", "contact_id"),
        ("messages", "contact_id"),
        ("members", "contact_id"),
        ("members", "group_id"),
        ("outbox", "contact_id"),
    ),
    "ticket": (("messages", "ticket_id"), ("seen", "ticket_id")),
}


def absorb(db: apsw.Connection, copy: Path, mark: Mark, told: Callable[[int], None]) -> Merged:
    """Merge the copy, a checked store of this schema, into the store behind ``db``."""
    db.execute("ATTACH ? AS src", (str(copy),))
    try:
        return _Absorbing(db, mark, told).run()
    finally:
        db.execute("DETACH src")


class _Absorbing:
    def __init__(self, db: apsw.Connection, mark: Mark, told: Callable[[int], None]) -> None:
        self._db = db
        self._mark = mark
        self._told = told
        self._before = read_mark(db)
        self._rows = 0
        self._wins = False
        self._known = 0
        """The revision of the copy's life up to which the store has it."""

    def run(self) -> Merged:
        db = self._db
        db.execute(PREPARE + _PREPARE)
        messages, failed = self._count("messages"), self._count_failed()
        self._compare_lives()
        unfinished = self._unfinished()
        with transaction(db):
            identify_people(db, wins=self._wins)
            if self._wins:
                self._remove()
            self._take_people()
            identify_tickets(db, wins=self._wins)
            self._take_tickets()
        self._take_messages()
        with transaction(db):
            self._take_the_rest()
        self._recount()
        if self._rows or unfinished:
            with transaction(db):
                self._note_ancestors()
                db.execute("DELETE FROM main.meta WHERE key = ?", (_UNFINISHED,))
        return Merged(
            self._rows,
            self._count("messages") - messages,
            self._count_failed() - failed,
            read_mark(db).epoch,
        )

    def _unfinished(self) -> bool:
        """Whether a merge was killed; what it had put on tickets is counted now."""
        since = self._db.execute("SELECT value FROM main.meta WHERE key = ?", (_UNFINISHED,)).get
        if since is not None:
            self._touch(int(since))
        return since is not None

    def _compare_lives(self) -> None:
        """Is the copy a later state of what the store is, or was restored from?"""
        db, mark = self._db, self._mark
        now = self._before
        if now.epoch == mark.epoch:  # an older state of the store was put back
            same = db.execute(
                "SELECT kind || ' ' || key FROM src.changes WHERE revision = ?", (now.revision,)
            ).get
            self._wins = mark.revision > now.revision and same == now.change
            self._known = now.revision
            return
        for epoch, revision, own in read_ancestors(db):
            if epoch == mark.epoch and mark.revision > revision:
                oldest = db.execute("SELECT coalesce(min(revision), 0) FROM changes").get
                self._wins = oldest <= own + 1
                self._known = revision
                db.execute(
                    "INSERT OR IGNORE INTO temp.own"
                    " SELECT kind, key FROM main.changes WHERE revision > ?",
                    (own,),
                )

    def _remove(self) -> None:
        """What the copy's life dropped since the store was like it, unless something needs it."""
        for kind in reversed(KINDS):
            table = kind.table.name
            needed = "".join(
                f" AND NOT EXISTS (SELECT 1 FROM main.{other} AS n WHERE n.{column} = t.id)"  # noqa: S608 -- our own names
                for other, column in _NEEDED_BY.get(kind.name, ())
            )
            self._do(
                f"DELETE FROM main.{table} AS t WHERE {kind.key_of('t')} IN (SELECT c.key"  # noqa: S608 -- our own names
                " FROM src.changes AS c WHERE c.revision > :known AND c.kind = :kind)"
                f" AND NOT EXISTS (SELECT 1 FROM src.{table} AS s WHERE {kind.same('s', 't')})"
                f" AND {self._not_own(kind, 't')}{needed}",
                {"known": self._known, "kind": kind.name},
            )

    def _take_people(self) -> None:
        self._take(KIND["instance"])
        merged_into = {"merged_into": PERSON.format("s.merged_into")}
        is_new = "NOT EXISTS (SELECT 1 FROM temp.person AS p WHERE p.id = s.id)"
        self._take(KIND["contact"], merged_into, where=is_new)
        self._take(KIND["alias"], _CONTACT)
        group = {"group_id": PERSON.format("s.group_id")}
        self._take(KIND["member"], {**_CONTACT, **group})

    def _take_tickets(self) -> None:
        db = self._db
        before = self._revision()
        # One that gives way to another open ticket leaves a closed shell that leads there.
        changed = {
            **_CONTACT,
            "status": f"iif({IS_MOVED}, 'closed', s.status)",
            "closed_at": f"iif({IS_MOVED}, coalesce(s.closed_at, {now_ms()}), s.closed_at)",
            "merged_into": f"iif({IS_MOVED}, {PLACE.format('s.id')},"
            f" {PLACE.format('s.merged_into')})",
            "last_message": f"iif({IS_MOVED}, NULL, s.last_message)",
            "last_message_id": f"iif({IS_MOVED}, NULL, s.last_message_id)",
            "waiting_since": f"iif({IS_MOVED}, NULL, s.waiting_since)",
        }
        # Between two rows somebody may have two open tickets; at the end nobody has.
        one_open = db.execute(
            "SELECT sql FROM main.sqlite_schema WHERE name = 'tickets_one_open'"
        ).get
        db.execute("DROP INDEX main.tickets_one_open")
        self._take(KIND["ticket"], changed, where=_IS_ALONE)
        db.execute(str(one_open))
        db.execute(
            "INSERT INTO temp.fresh SELECT DISTINCT key FROM main.changes"
            " WHERE kind = 'ticket' AND revision > ?",
            (before,),
        )
        self._take(KIND["merge"])

    def _take_messages(self) -> None:
        db = self._db
        after = done = 0
        changed = {**_CONTACT, "ticket_id": PLACE.format("s.ticket_id"), **failed_message()}
        # Of one message on WhatsApp there is one row (P2), the store's.
        is_alone = (
            "s.arrival > :after AND s.arrival <= :last AND NOT EXISTS (SELECT 1 FROM main.messages"
            " AS m WHERE m.instance = s.instance AND m.whatsapp_id = s.whatsapp_id"
            " AND m.id <> s.id)"
        )
        while True:
            last, count = db.execute(
                "SELECT max(arrival), count(*) FROM (SELECT arrival FROM src.messages"
                " WHERE arrival > ? ORDER BY arrival LIMIT ?)",
                (after, _STEP),
            ).fetchone()  # type: ignore[misc]  # an aggregate always has a row
            if not count:
                return
            with transaction(db):
                before = self._revision()
                self._take(
                    KIND["message"],
                    changed,
                    where=is_alone,
                    order="s.arrival",
                    names={"after": after, "last": last},
                )
                self._touch(before)
            after = last
            done += count
            self._told(done)

    def _take_the_rest(self) -> None:
        self._take(KIND["seen"], {"ticket_id": PLACE.format("s.ticket_id")})
        has_message = (
            "EXISTS (SELECT 1 FROM main.messages AS m"
            " WHERE m.instance = s.instance AND m.whatsapp_id = s.whatsapp_id)"
        )
        self._add(EARLY, where=f"NOT {has_message}")
        self._add(UPLOADS)
        self._add(
            FETCHES,
            where="EXISTS (SELECT 1 FROM main.messages AS m WHERE m.id = s.message_id"
            " AND m.media->>'id' IS NULL)",
        )
        self._add(QUARANTINE)
        replies = {
            **_CONTACT,
            "ticket_id": PLACE.format("s.ticket_id"),
            **failed_reply(now_ms()),
        }
        self._add(OUTBOX, replies, where=_HAS_ITS_MESSAGE)
        if self._wins:  # what the store would send although the copy knows how it ended
            self._add(OUTBOX, replies, where=_WAITS_HERE, replaces=True)
        # A store that knows how far it has come knows best; going there again changes nothing.
        self._do("INSERT OR IGNORE INTO main.cursors SELECT journal, seq FROM src.cursors")

    def _touch(self, since: int) -> None:
        """Note the tickets whose messages changed, but for those that came with theirs."""
        self._db.execute(
            "INSERT OR IGNORE INTO temp.touched SELECT m.ticket_id FROM main.changes AS c"
            " CROSS JOIN main.messages AS m ON m.id = c.key"
            " WHERE c.kind = 'message' AND c.revision > ? AND m.ticket_id IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM temp.fresh AS f WHERE f.id = m.ticket_id)",
            (since,),
        )

    def _recount(self) -> None:
        """What tickets say of messages, where some came to one that was there before."""
        merging = Merging(self._db)
        ids = [id_ for (id_,) in self._db.execute("SELECT id FROM temp.touched")]
        for first in range(0, len(ids), _RECOUNTED):
            with transaction(self._db):
                merging.recount(ids[first : first + _RECOUNTED])

    def _note_ancestors(self) -> None:
        """All that was in the copy is here, and what was changed so far was not by the store."""
        last = self._revision()
        inherited = self._db.execute("SELECT value FROM src.meta WHERE key = 'ancestors'").get
        ancestors = [(epoch, revision) for epoch, revision, _ in decode_ancestors(inherited)]
        ancestors.append((self._mark.epoch, self._mark.revision))
        note_ancestors(self._db, [(epoch, revision, last) for epoch, revision in ancestors])

    def _take(
        self,
        kind: Kind,
        changed: Mapping[str, str] | None = None,
        *,
        where: str = "true",
        order: str | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Rows of the copy that lack in the store, and where the copy wins, those that differ."""
        table = kind.table
        columns = ", ".join(table.columns)
        old = ", ".join(f"{table.name}.{column}" for column in table.columns)
        new = ", ".join(f"excluded.{column}" for column in table.columns)
        self._do(
            f"INSERT INTO main.{table.name} ({columns}) SELECT {_selected(table.columns, changed)}"  # noqa: S608 -- our own names
            f" FROM src.{table.name} AS s WHERE ({where}) ORDER BY {order or kind.key}"
            f" ON CONFLICT ({kind.key}) DO UPDATE SET ({columns}) = ({new})"
            f" WHERE :wins AND ({old}) IS NOT ({new}) AND {self._not_own(kind, table.name)}",
            {"wins": self._wins, **(names or {})},
        )

    def _add(
        self,
        table: Table,
        changed: Mapping[str, str] | None = None,
        *,
        where: str = "true",
        replaces: bool = False,
    ) -> None:
        """Rows of the copy that lack in the store, by any of its keys."""
        verb = "INSERT OR REPLACE" if replaces else "INSERT OR IGNORE"
        columns = [  # also those that the engine does not read with the record
            str(name)
            for (name,) in self._db.execute("SELECT name FROM pragma_table_info(?)", (table.name,))
        ]
        self._do(
            f"{verb} INTO main.{table.name} ({', '.join(columns)})"  # noqa: S608 -- our own names
            f" SELECT {_selected(columns, changed)} FROM src.{table.name} AS s WHERE {where}"
        )

    def _do(self, sql: str, names: Mapping[str, Any] | None = None) -> None:
        self._db.execute(sql, {name: v for name, v in (names or {}).items() if f":{name}" in sql})
        changed = self._db.changes()
        if changed and not self._rows:
            # In the transaction of the first change: were we killed after it, no client's cursor
            # would be true, and the merge can be begun anew from here.
            before = self._before.revision
            begin_life(self._db, [(self._before.epoch, before, before)])
            self._db.execute(
                "INSERT OR IGNORE INTO main.meta VALUES (?, ?)", (_UNFINISHED, str(before))
            )
        self._rows += changed

    def _not_own(self, kind: Kind, alias: str) -> str:
        key = kind.key_of(alias)
        return f"('{kind.name}', {key}) NOT IN (SELECT kind, key FROM temp.own)"  # noqa: S608 -- our own names

    def _revision(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(revision), 0) FROM main.changes").get or 0)

    def _count(self, table: str) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM main.{table}").get or 0)  # noqa: S608 -- our own names

    def _count_failed(self) -> int:
        return int(
            self._db.execute(
                "SELECT count(*) FROM main.outbox WHERE state = 'failed' AND error->>'code' = ?",
                (REPLY_ERROR["code"],),
            ).get
            or 0
        )


def _selected(columns: Iterable[str], changed: Mapping[str, str] | None) -> str:
    return ", ".join((changed or {}).get(column, f"s.{column}") for column in columns)
