"""Reads of the store on SQLite, each in one consistent view, never waiting for the writer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evorelay.model.event import ChannelEvent
from evorelay.model.fact import phone_key
from evorelay.model.records import (
    ContactRecord,
    InstanceRecord,
    MessageRecord,
    QuarantineSummary,
    TicketRecord,
)
from evorelay.storage.ports import PAGE_BYTES_MAX, ChannelPage, TicketQuery
from evorelay.storage.sqlite.bulk import Table
from evorelay.storage.sqlite.connection import open_reader, snapshot, translated_errors
from evorelay.storage.sqlite.store import CONTACTS, INSTANCES, MESSAGES, TICKETS

_QUARANTINE = Table("quarantine", QuarantineSummary)
_ACTIVITY = "coalesce(t.last_message_at, t.created_at)"


class SqliteReader:
    """``StoreReader`` on a connection of its own; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = open_reader(path)

    def epoch(self) -> str:
        with translated_errors(self._db.filename):
            return str(self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").get)

    def events_after(self, channel: str, offset: int, limit: int) -> ChannelPage:
        return self._page(channel, 'p."offset" > ? ORDER BY p."offset"', offset, limit)

    def events_before(self, channel: str, offset: int, limit: int) -> ChannelPage:
        return self._page(channel, 'p."offset" < ? ORDER BY p."offset" DESC', offset, limit)

    def _page(self, channel: str, range_sql: str, offset: int, limit: int) -> ChannelPage:
        db = self._db
        with snapshot(db):
            head = db.execute("SELECT head FROM channels WHERE name = ?", (channel,)).get or 0
            floor = db.execute(
                'SELECT min("offset") FROM positions WHERE channel = ?', (channel,)
            ).get
            rows = db.execute(
                'SELECT p."offset", e.data FROM positions AS p'  # noqa: S608 -- two literals above
                " CROSS JOIN events AS e ON e.id = p.event_id"
                f" WHERE p.channel = ? AND {range_sql} LIMIT ?",
                (channel, offset, limit),
            )
            events = _that_fit(rows)
            rows.close()
        return ChannelPage(
            head=head,
            floor=head + 1 if floor is None else floor,
            events=events,
        )

    def tickets(self, query: TicketQuery) -> list[tuple[TicketRecord, ContactRecord]]:
        clauses: list[str] = []
        values: list[Any] = []

        def where(clause: str, *bindings: Any) -> None:
            clauses.append(clause)
            values.extend(bindings)

        if query.instances is not None:
            marks = ", ".join("?" * len(query.instances))
            where(f"t.instance IN ({marks})", *query.instances)
        if query.status is not None:
            where("t.status = ?", query.status)
        if query.assignee is not None:
            where("t.assignee = ?", query.assignee)
        if query.q:
            clause, bindings = _matching(query.q)
            where(clause, *bindings)
        if query.before is not None:
            where(f"({_ACTIVITY}, t.id) < (?, ?)", *query.before)
        condition = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        tail = f"{condition} ORDER BY {_ACTIVITY} DESC, t.id DESC LIMIT ?"
        with snapshot(self._db):
            tickets = TICKETS.select(self._db, tail, (*values, query.limit))
            return self._with_contacts(tickets)

    def ticket(self, ticket_id: str) -> tuple[TicketRecord, ContactRecord] | None:
        with snapshot(self._db):
            tickets = TICKETS.select(self._db, "WHERE t.id = ?", (ticket_id,))
            return self._with_contacts(tickets)[0] if tickets else None

    def _with_contacts(
        self, tickets: list[TicketRecord]
    ) -> list[tuple[TicketRecord, ContactRecord]]:
        ids = tuple({ticket.contact_id for ticket in tickets})
        rows = CONTACTS.select(self._db, f"WHERE t.id IN ({', '.join('?' * len(ids))})", ids)
        contacts = {row.id: row for row in rows}
        return [(ticket, contacts[ticket.contact_id]) for ticket in tickets]

    def messages(
        self, ticket_id: str, *, before: str | None, after: str | None, limit: int
    ) -> list[MessageRecord] | None:
        with snapshot(self._db):
            bounds = ""
            bindings: tuple[Any, ...] = (ticket_id,)
            for anchor, comparison in ((before, "<"), (after, ">")):
                if anchor is not None:
                    place = self._db.execute(
                        "SELECT created_at, arrival FROM messages WHERE id = ? AND ticket_id = ?",
                        (anchor, ticket_id),
                    ).fetchone()
                    if place is None:
                        return None
                    bounds += f" AND (t.created_at, t.arrival) {comparison} (?, ?)"
                    bindings += tuple(place)
            direction = "ASC" if after is not None else "DESC"
            rows: list[MessageRecord] = MESSAGES.select(
                self._db,
                f"WHERE t.ticket_id = ?{bounds}"
                f" ORDER BY t.created_at {direction}, t.arrival {direction} LIMIT ?",
                (*bindings, limit),
            )
        return rows if after is not None else rows[::-1]

    def media(self, media_id: str) -> list[MessageRecord]:
        with translated_errors(self._db.filename):
            rows: list[MessageRecord] = MESSAGES.select(
                self._db,
                "WHERE t.arrival IN (SELECT min(arrival) FROM messages"
                " WHERE media IS NOT NULL AND media->>'id' = ? GROUP BY instance)",
                (media_id,),
            )
            return rows

    def instances(self) -> list[InstanceRecord]:
        with translated_errors(self._db.filename):
            rows: list[InstanceRecord] = INSTANCES.select(self._db, "ORDER BY t.name", ())
            return rows

    def quarantine(self, *, before: str | None, limit: int) -> list[QuarantineSummary]:
        with translated_errors(self._db.filename):
            rows: list[QuarantineSummary] = _QUARANTINE.select(
                self._db,
                "WHERE t.id < coalesce(?, '~') ORDER BY t.id DESC LIMIT ?",
                (before, limit),
            )
            return rows

    def quarantined(
        self, quarantine_id: str, *, body_bytes: int
    ) -> tuple[QuarantineSummary, str, bool] | None:
        with snapshot(self._db):
            rows: list[QuarantineSummary] = _QUARANTINE.select(
                self._db, "WHERE t.id = ?", (quarantine_id,)
            )
            if not rows:
                return None
            # As a blob, because SQLite counts text in characters.
            head, size = self._db.execute(
                "SELECT substr(CAST(body AS BLOB), 1, ?), octet_length(body)"
                " FROM quarantine WHERE id = ?",
                (body_bytes, quarantine_id),
            ).get
        return rows[0], head.decode("utf-8", "ignore"), size > len(head)

    def close(self) -> None:
        self._db.close()


def _that_fit(rows: Iterable[tuple[Any, ...]]) -> list[ChannelEvent]:
    """The first events within ``PAGE_BYTES_MAX``, at least one; the rest is not even read."""
    events: list[ChannelEvent] = []
    size = 0
    for offset, data in rows:
        event = ChannelEvent(offset, data.encode())
        size += len(event.data)
        if size > PAGE_BYTES_MAX and events:
            break
        events.append(event)
    return events


def _matching(q: str) -> tuple[str, list[str]]:
    """A ticket whose subject, or whose contact's name or phone, contains ``q``."""
    pattern = "%" + q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    digits = "".join(character for character in q if character.isdigit())
    by_phone = " OR phone LIKE ?" if len(digits) >= 4 else ""
    clause = (
        "(t.subject LIKE ? ESCAPE '\\' OR t.contact_id IN (SELECT id FROM contacts"  # noqa: S608 -- literals
        f" WHERE name LIKE ? ESCAPE '\\'{by_phone}))"
    )
    phone = ["%" + phone_key(digits)[-8:] + "%"] if by_phone else []
    return clause, [pattern, pattern, *phone]
