"""Reads of replies and files under way (``StoreReader``)."""

import apsw

from evorelay.model.records import FetchRecord, MessageRecord, OutboxRecord, UploadRecord
from evorelay.storage.sqlite.bulk import to_json
from evorelay.storage.sqlite.connection import snapshot, translated_errors
from evorelay.storage.sqlite.transaction import FETCHES, MESSAGES, OUTBOX, UPLOADS

_STATES = frozenset(("queued", "sending", "unknown", "sent", "failed", "kept"))


class OutboxReads:
    """That part of ``SqliteReader``."""

    _db: apsw.Connection

    def latest_reply(self, instance: str) -> MessageRecord | None:
        with translated_errors(self._db.filename):
            rows: list[MessageRecord] = MESSAGES.select(
                self._db,
                "WHERE t.id = (SELECT message_id FROM outbox INDEXED BY outbox_sent"
                " WHERE state = 'sent' AND instance = ?"
                " AND outgoing->>'type' <> 'reaction' ORDER BY ended_at DESC LIMIT 1)",
                (instance,),
            )
            return rows[0] if rows else None

    def outbox_unfinished(self, *, after: tuple[int, str], limit: int) -> list[OutboxRecord]:
        with translated_errors(self._db.filename):
            rows: list[OutboxRecord] = OUTBOX.select(
                self._db,
                "WHERE t.state IN ('queued', 'sending', 'unknown')"
                " AND (t.queued_at, t.id) > (?, ?) ORDER BY t.queued_at, t.id LIMIT ?",
                (*after, limit),
            )
            return rows

    def outbox_page(
        self,
        instances: tuple[str, ...] | None,
        *,
        states: tuple[str, ...],
        before: str | None,
        limit: int,
    ) -> list[OutboxRecord]:
        # Words of ours and not bound values, or SQLite cannot see that a partial index fits.
        wanted = ", ".join(f"'{state}'" for state in states if state in _STATES)
        own = "" if instances is None else " AND t.instance IN (SELECT value FROM json_each(?))"
        bindings = () if instances is None else (to_json(instances),)
        with translated_errors(self._db.filename):
            rows: list[OutboxRecord] = OUTBOX.select(
                self._db,
                f"WHERE t.state IN ({wanted}){own} AND t.id < coalesce(?, '~')"
                " ORDER BY t.id DESC LIMIT ?",
                (*bindings, before, limit),
            )
            return rows

    def sent_since(self, instance: str, since: int) -> tuple[int, int]:
        with translated_errors(self._db.filename):
            sent, first = self._db.execute(
                "SELECT count(*), coalesce(sum(is_first), 0) FROM outbox INDEXED BY outbox_sent"
                " WHERE state = 'sent' AND instance = ? AND ended_at >= ?",
                (instance, since),
            ).get
            return sent, first

    def failed_since(self, since: int) -> int:
        with translated_errors(self._db.filename):
            count: int = self._db.execute(
                "SELECT count(*) FROM (SELECT 1 FROM outbox INDEXED BY outbox_failed"
                " WHERE state = 'failed' AND ended_at >= ? LIMIT 1000)",
                (since,),
            ).get
            return count

    def outbox_silent(
        self, now: int, per_instance: int
    ) -> list[tuple[OutboxRecord, MessageRecord]]:
        with snapshot(self._db):
            rows: list[OutboxRecord] = OUTBOX.select(
                self._db,
                "WHERE t.id IN (SELECT id FROM (SELECT id, row_number() OVER"
                " (PARTITION BY instance ORDER BY due_at) AS place FROM outbox"
                " INDEXED BY outbox_silent WHERE state = 'sent' AND due_at > 0 AND due_at <= ?)"
                " WHERE place <= ?) ORDER BY t.due_at",
                (now, per_instance),
            )
            messages: list[MessageRecord] = MESSAGES.select(
                self._db,
                "WHERE t.id IN (SELECT value FROM json_each(?))",
                (to_json(row.message_id for row in rows),),
            )
        by_id = {message.id: message for message in messages}
        return [(row, by_id[row.message_id]) for row in rows if row.message_id in by_id]

    def upload(self, upload_id: str) -> UploadRecord | None:
        with translated_errors(self._db.filename):
            rows: list[UploadRecord] = UPLOADS.select(self._db, "WHERE t.id = ?", (upload_id,))
            return rows[0] if rows else None

    def fetches_due(self, now: int, limit: int) -> list[FetchRecord]:
        with translated_errors(self._db.filename):
            rows: list[FetchRecord] = FETCHES.select(
                self._db, "WHERE t.due_at <= ? ORDER BY t.due_at LIMIT ?", (now, limit)
            )
            return rows
