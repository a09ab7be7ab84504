"""Reads of the store on SQLite, each in one consistent view, never waiting for the writer."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evorelay.model.ids import uuid7
from evorelay.model.records import (
    ContactRecord,
    InstanceRecord,
    MergeRecord,
    MessageRecord,
    QuarantineSummary,
    TicketRecord,
)
from evorelay.storage.ports import StoreCounts, TicketQuery
from evorelay.storage.sqlite import search, ticket_list
from evorelay.storage.sqlite.bulk import Table, to_json
from evorelay.storage.sqlite.connection import open_reader, snapshot, translated_errors
from evorelay.storage.sqlite.erasing import Erasing
from evorelay.storage.sqlite.log_reads import LogReads
from evorelay.storage.sqlite.merging import MERGES
from evorelay.storage.sqlite.outbox_reads import OutboxReads
from evorelay.storage.sqlite.schema import problem_of
from evorelay.storage.sqlite.trace_reads import TraceReads
from evorelay.storage.sqlite.transaction import (
    CONTACTS,
    INSTANCES,
    MESSAGES,
    TICKETS,
)

_QUARANTINE = Table("quarantine", QuarantineSummary)
_SENT_BEFORE = """
    SELECT id FROM (
        SELECT m.id FROM tickets AS t CROSS JOIN messages AS m INDEXED BY messages_by_ticket
            ON m.ticket_id = t.id AND m.created_at < ?
        UNION ALL
        SELECT id FROM messages INDEXED BY messages_without_ticket
            WHERE ticket_id IS NULL AND created_at < ?)
    WHERE id NOT IN (SELECT message_id FROM outbox) LIMIT ?
"""
"""By ticket: one look into an index for each, and no index of its own."""
_REFERRED = """
    SELECT k.value FROM json_each(?) AS k WHERE
        EXISTS (SELECT 1 FROM messages WHERE media IS NOT NULL AND media->>'id' = k.value
            AND media->>'state' IS NOT 'removed')
        OR EXISTS (SELECT 1 FROM outbox WHERE outgoing->'media'->>'blob' = k.value)
        OR EXISTS (SELECT 1 FROM quarantine_blobs WHERE blob = k.value)
        OR k.value IN (SELECT media->>'blob' FROM uploads)
"""


class SqliteReader(LogReads, OutboxReads, TraceReads):
    """``StoreReader`` on a connection of its own; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = open_reader(path)
        search.install(self._db)
        self.erasing = Erasing(self._db)

    def schema_problem(self) -> str | None:
        """Why this version cannot read the store as it is; None when it can."""
        return problem_of(int(self._db.pragma("user_version")))

    def epoch(self) -> str:
        with translated_errors(self._db.filename):
            return str(self._db.execute("SELECT value FROM meta WHERE key = 'epoch'").get)

    def born_at(self) -> int:
        with translated_errors(self._db.filename):
            return int(self._db.execute("SELECT value FROM meta WHERE key = 'born_at'").get or 0)

    def counts(self) -> StoreCounts:
        with snapshot(self._db):
            return StoreCounts(
                self._db.execute("SELECT count(*) FROM outbox WHERE state = 'failed'").get,
                self._db.execute("SELECT count(*) FROM quarantine WHERE replayed_at IS NULL").get,
                dict(
                    self._db.execute(
                        "SELECT state, count(*) FROM instances"
                        " WHERE cause IS NOT 'removed' GROUP BY state"
                    )
                ),
            )

    def tickets(self, query: TicketQuery) -> list[tuple[TicketRecord, ContactRecord]]:
        tail, bindings = ticket_list.selection(query)
        with snapshot(self._db):
            tickets = TICKETS.select(self._db, tail, bindings)
            return self._with_contacts(tickets, query.agent)

    def ticket(
        self, ticket_id: str, *, agent: str | None = None
    ) -> tuple[TicketRecord, ContactRecord] | None:
        with snapshot(self._db):
            tickets = TICKETS.select(self._db, "WHERE t.id = ?", (ticket_id,))
            return self._with_contacts(tickets, agent)[0] if tickets else None

    def participants(self, ticket_id: str, limit: int) -> list[tuple[ContactRecord, str | None]]:
        with snapshot(self._db):
            roles: dict[str, str | None] = dict(
                self._db.execute(
                    "SELECT m.contact_id, m.role FROM tickets AS t"
                    " CROSS JOIN members AS m ON m.group_id = t.contact_id"
                    " CROSS JOIN contacts AS c ON c.id = m.contact_id"
                    " WHERE t.id = ? AND m.role IS NOT 'left' ORDER BY"
                    " coalesce(m.role IN ('admin', 'superadmin'), 0) DESC, c.name, c.id LIMIT ?",
                    (ticket_id, limit),
                )
            )
            found = self._contacts(roles)
            if found:
                return [(found[id_], role) for id_, role in roles.items()]
            rows: list[ContactRecord] = CONTACTS.select(
                self._db,
                "WHERE NOT t.is_group AND t.id = (SELECT contact_id FROM tickets WHERE id = ?)",
                (ticket_id,),
            )
            return [(row, None) for row in rows]

    def _with_contacts(
        self, tickets: list[TicketRecord], agent: str | None
    ) -> list[tuple[TicketRecord, ContactRecord]]:
        """Each with its contact, and with ``unread`` as this agent counts it."""
        if agent is not None:
            ids = to_json(ticket.id for ticket in tickets)
            seen: dict[str, int] = dict(
                self._db.execute(
                    "SELECT ticket_id, inbound FROM json_each(?) AS k"
                    " CROSS JOIN seen ON ticket_id = k.value AND agent = ?",
                    (ids, agent),
                )
            )
            for ticket in tickets:
                ticket.unread = max(0, ticket.inbound - seen.get(ticket.id, 0))
        contacts = self._contacts(ticket.contact_id for ticket in tickets)
        return [(ticket, contacts[ticket.contact_id]) for ticket in tickets]

    def _contacts(self, ids: Iterable[str]) -> dict[str, ContactRecord]:
        rows: list[ContactRecord] = CONTACTS.select(
            self._db, "WHERE t.id IN (SELECT value FROM json_each(?))", (to_json(set(ids)),)
        )
        return {row.id: row for row in rows}

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
                # The oldest of each instance that still has it; SQLite takes the other columns
                # from the row of the minimum.
                "WHERE t.arrival IN (SELECT arrival FROM (SELECT arrival,"
                " min(arrival + iif(media->>'state' IS 'removed', 1 << 53, 0)) FROM messages"
                " WHERE media IS NOT NULL AND media->>'id' = ? AND deleted_at IS NULL"
                " GROUP BY instance))",
                (media_id,),
            )
            return rows

    def referred(self, blobs: Sequence[str]) -> set[str]:
        with snapshot(self._db):
            return {blob for (blob,) in self._db.execute(_REFERRED, (to_json(blobs),))}

    def sent_before(self, moment: int, limit: int) -> list[str]:
        with snapshot(self._db):
            return [id_ for (id_,) in self._db.execute(_SENT_BEFORE, (moment, moment, limit))]

    def quarantined_bodies(self) -> list[str]:
        with translated_errors(self._db.filename):
            return [
                blob
                for (blob,) in self._db.execute(
                    "SELECT DISTINCT blob FROM quarantine_blobs WHERE is_body"
                )
            ]

    def message(self, message_id: str) -> MessageRecord | None:
        with translated_errors(self._db.filename):
            rows: list[MessageRecord] = MESSAGES.select(self._db, "WHERE t.id = ?", (message_id,))
            return rows[0] if rows else None

    def instances(self) -> list[InstanceRecord]:
        with translated_errors(self._db.filename):
            rows: list[InstanceRecord] = INSTANCES.select(self._db, "ORDER BY t.name", ())
            return rows

    def instance(self, name: str) -> InstanceRecord | None:
        with translated_errors(self._db.filename):
            rows: list[InstanceRecord] = INSTANCES.select(self._db, "WHERE t.name = ?", (name,))
            return rows[0] if rows else None

    def merges(
        self, instances: tuple[str, ...] | None, *, before: str | None, limit: int
    ) -> list[tuple[MergeRecord, ContactRecord, ContactRecord]]:
        own = "" if instances is None else "t.instance IN (SELECT value FROM json_each(?)) AND "
        bindings = () if instances is None else (to_json(instances),)
        with snapshot(self._db):
            rows: list[MergeRecord] = MERGES.select(
                self._db,
                f"WHERE {own}t.id < coalesce(?, '~') ORDER BY t.id DESC LIMIT ?",
                (*bindings, before, limit),
            )
            people = self._contacts(
                id_ for row in rows for id_ in (row.kept_contact, row.absorbed_contact)
            )
        return [(row, people[row.kept_contact], people[row.absorbed_contact]) for row in rows]

    def quarantine(
        self, *, before: str | None, limit: int, with_replayed: bool = False
    ) -> list[QuarantineSummary]:
        with translated_errors(self._db.filename):
            rows: list[QuarantineSummary] = _QUARANTINE.select(
                self._db,
                "WHERE t.id < coalesce(?, '~') AND (t.replayed_at IS NULL OR ?)"
                " ORDER BY t.id DESC LIMIT ?",
                (before, with_replayed, limit),
            )
            return rows

    def quarantined_since(self, since: int) -> int:
        with translated_errors(self._db.filename):
            count: int = self._db.execute(
                "SELECT count(*) FROM (SELECT 1 FROM quarantine"
                " WHERE id >= ? AND replayed_at IS NULL LIMIT 1000)",
                (uuid7(since, 0),),  # ids sort by the time they were made
            ).get
            return count

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
