"""Reads of everything about one message (``StoreReader``)."""

from typing import Any

import apsw

from evorelay.model.ids import moment_of, ticket_channel
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.storage.ports import MessageStory, ToldEvent
from evorelay.storage.sqlite.connection import snapshot
from evorelay.storage.sqlite.transaction import MESSAGES, OUTBOX

EVENTS_READ_MAX = 20_000
"""Of each ticket, newest first; an old message of a very busy group may have more behind it."""
_MERGED_MAX = 20
_MARGIN_MS = 60_000
"""Ids are made in the transaction whose time the events bear, and clocks are set."""


class TraceReads:
    """That part of ``SqliteReader``."""

    _db: apsw.Connection

    def story(self, message_id: str) -> MessageStory | None:
        db = self._db
        with snapshot(db):
            messages: list[MessageRecord] = MESSAGES.select(db, "WHERE t.id = ?", (message_id,))
            if not messages:
                return None
            message = messages[0]
            commands: list[OutboxRecord] = OUTBOX.select(
                db, "WHERE t.message_id = ? ORDER BY t.created_at, t.id", (message_id,)
            )
            # What was said before a merge is told in the absorbed ticket's channel.
            tickets: list[Any] = db.execute(
                "SELECT t.id FROM tickets AS k CROSS JOIN tickets AS t"
                " ON t.contact_id = k.contact_id AND (t.id = k.id OR t.merged_into IS NOT NULL)"
                " WHERE k.id = ? ORDER BY t.id = k.id DESC, t.created_at DESC LIMIT ?",
                (message.ticket_id, _MERGED_MAX),
            ).fetchall()
            since = (moment_of(message_id) or message.received_at) - _MARGIN_MS
            events = [event for (id_,) in tickets for event in self._about(message_id, id_, since)]
        events.sort(key=lambda event: event.id)
        return MessageStory(message, commands, events)

    def _about(self, message_id: str, ticket_id: str, since: int) -> list[ToldEvent]:
        """Of the ticket's events since then those that show the message."""
        rows = self._db.execute(
            'SELECT e.at, e.id, p."offset", e.type,'
            " CASE WHEN e.data->'message'->>'id' = ? THEN e.data END"
            " FROM positions AS p CROSS JOIN events AS e ON e.id = p.event_id"
            ' WHERE p.channel = ? ORDER BY p."offset" DESC LIMIT ?',
            (message_id, ticket_channel(ticket_id), EVENTS_READ_MAX),
        )
        found: list[ToldEvent] = []
        row: tuple[Any, ...]
        for row in rows:
            at, id_, offset, type_, data = row
            if at < since:
                break
            if data is not None:
                found.append(ToldEvent(at, id_, offset, type_, data.encode()))
        rows.close()
        return found
