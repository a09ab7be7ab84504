"""What is old enough to go, on SQLite: a few indexed statements, each in a small transaction."""

import re
from collections.abc import Sequence

import apsw

from evorelay.model.blob_names import blob_names
from evorelay.storage.sqlite.bulk import to_json
from evorelay.storage.sqlite.connection import fits, scrub, transaction
from evorelay.storage.sqlite.merging import Merging

_BODY_NAME = re.compile(r'\{"blob":"([0-9a-f]{64})"\}')
"""A body that is a blob itself (relay/quarantine.py)."""
_COUNTS_OF = """
    SELECT ticket_id, sum(direction = 'in' AND metadata->>'history' IS NULL) FROM messages
    WHERE id IN (SELECT value FROM json_each(?)) AND ticket_id IS NOT NULL GROUP BY ticket_id
"""


class Housekeeping:
    """``Maintenance`` over the writer's connection."""

    _db: apsw.Connection

    def touch(self, at_ms: int) -> int:
        with transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('touched_at', ?)", (str(at_ms),))
            return self._db.changes()

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

    def age_media(self, older_than_ms: int, limit: int) -> int:
        with transaction(self._db):
            self._db.execute(
                "UPDATE messages SET media = json_set(media, '$.state', 'removed')"
                " WHERE arrival IN (SELECT arrival FROM messages INDEXED BY messages_with_file"
                " WHERE media->>'id' IS NOT NULL AND media->>'state' IS NOT 'removed'"
                " AND received_at < ? ORDER BY received_at LIMIT ?)",
                (older_than_ms, limit),
            )
            return self._db.changes()

    def forget_messages(self, ids: Sequence[str]) -> int:
        gone = to_json(ids)
        chosen = "id IN (SELECT value FROM json_each(?))"
        with transaction(self._db):
            execute = self._db.execute
            tickets = execute(_COUNTS_OF, (gone,)).fetchall()
            execute(f"DELETE FROM fetches WHERE message_{chosen}", (gone,))  # noqa: S608 -- a literal
            execute(f"DELETE FROM messages WHERE {chosen}", (gone,))  # noqa: S608 -- a literal
            count = self._db.changes()
            execute(
                "UPDATE tickets SET forgotten = forgotten + k.value->>1"
                " FROM json_each(?) AS k WHERE tickets.id = k.value->>0",
                (to_json(tickets),),
            )
            Merging(self._db).recount(str(ticket_id) for ticket_id, _ in tickets)
            return count

    def scrub(self, compact_bytes_max: int) -> bool:
        if fits(self._db, compact_bytes_max):
            with transaction(self._db):  # words that were marked as deleted leave the index
                self._db.execute("INSERT INTO messages_text (messages_text) VALUES ('optimize')")
        return scrub(self._db, compact_bytes_max)

    def trim_quarantine(self, older_than_ms: int, limit: int) -> int:
        with transaction(self._db):
            doomed = to_json(
                id_
                for (id_,) in self._db.execute(
                    "SELECT id FROM quarantine WHERE received_at < ? ORDER BY received_at LIMIT ?",
                    (older_than_ms, limit),
                )
            )
            gone = "(SELECT value FROM json_each(?))"
            self._db.execute(
                f"DELETE FROM quarantine_blobs WHERE quarantine_id IN {gone}",  # noqa: S608 -- a literal
                (doomed,),
            )
            self._db.execute(f"DELETE FROM quarantine WHERE id IN {gone}", (doomed,))  # noqa: S608 -- a literal
            return self._db.changes()

    def note_quarantined_blobs(self, limit: int) -> int:
        with transaction(self._db):
            ids = self._db.execute(
                "SELECT id FROM quarantine"
                " WHERE id NOT IN (SELECT quarantine_id FROM quarantine_blobs) LIMIT ?",
                (limit,),
            ).fetchall()
            noted = []
            for (id_,) in ids:  # one body at a time: each may have megabytes
                body = str(self._db.execute("SELECT body FROM quarantine WHERE id = ?", (id_,)).get)
                whole = _BODY_NAME.fullmatch(body)
                names = {whole.group(1)} if whole else blob_names(body.encode())
                # One without a name too: so that it is known to have been looked through.
                noted += [(id_, name, whole is not None) for name in names or {""}]
            self._db.execute(
                "INSERT INTO quarantine_blobs SELECT value->>0, value->>1, value->>2"
                " FROM json_each(?)",
                (to_json(noted),),
            )
            return len(ids)

    def trim_changes(self, up_to_revision: int, rows_max: int, limit: int) -> int:
        with transaction(self._db):
            last = self._db.execute("SELECT max(revision) FROM changes").get
            if last is None:
                return 0
            bound = max(min(up_to_revision, last), last - rows_max)
            self._db.execute(
                "DELETE FROM changes WHERE revision IN"
                " (SELECT revision FROM changes WHERE revision < ? ORDER BY revision LIMIT ?)",
                (bound, limit),
            )
            return self._db.changes()
