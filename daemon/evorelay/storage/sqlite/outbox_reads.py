"""Reads of replies and files under way (``StoreReader``)."""

import apsw

from evorelay.model.records import FetchRecord, MessageRecord, OutboxRecord, UploadRecord
from evorelay.storage.sqlite.bulk import to_json
from evorelay.storage.sqlite.connection import snapshot, translated_errors
from evorelay.storage.sqlite.transaction import FETCHES, MESSAGES, OUTBOX, UPLOADS


class OutboxReads:
    """That part of ``SqliteReader``."""

    _db: apsw.Connection

    def latest_reply(self, instance: str) -> MessageRecord | None:
        with translated_errors(self._db.filename):
            rows: list[MessageRecord] = MESSAGES.select(
                self._db,
                "WHERE t.id = (SELECT message_id FROM outbox INDEXED BY outbox_by_end"
                " WHERE state IN ('sent', 'failed', 'kept') AND state = 'sent' AND instance = ?"
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
        own = "" if instances is None else "t.instance IN (SELECT value FROM json_each(?)) AND "
        bindings = () if instances is None else (to_json(instances),)
        with translated_errors(self._db.filename):
            rows: list[OutboxRecord] = OUTBOX.select(
                self._db,
                f"WHERE {own}t.state IN (SELECT value FROM json_each(?))"  # noqa: S608 -- two literals
                " AND t.id < coalesce(?, '~') ORDER BY t.id DESC LIMIT ?",
                (*bindings, to_json(states), before, limit),
            )
            return rows

    def sent_since(self, instance: str, since: int) -> tuple[int, int]:
        with translated_errors(self._db.filename):
            sent, first = self._db.execute(
                "SELECT count(*), coalesce(sum(is_first), 0) FROM outbox INDEXED BY outbox_by_end"
                " WHERE state IN ('sent', 'failed', 'kept') AND ended_at >= ?"
                " AND state = 'sent' AND instance = ?",
                (since, instance),
            ).get
            return sent, first

    def outbox_silent(self, now: int, limit: int) -> list[tuple[OutboxRecord, MessageRecord]]:
        with snapshot(self._db):
            rows: list[OutboxRecord] = OUTBOX.select(
                self._db,
                "WHERE t.state = 'sent' AND t.due_at > 0 AND t.due_at <= ?"
                " ORDER BY t.due_at LIMIT ?",
                (now, limit),
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
