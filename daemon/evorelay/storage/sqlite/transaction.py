"""A transaction on SQLite: bulk look-ups and one plan."""

from collections.abc import Iterable
from typing import Any, TypeVar

import apsw

from evorelay.model.change import Change
from evorelay.model.ids import uuid7
from evorelay.model.records import (
    AliasRecord,
    ContactRecord,
    EarlyChangesRecord,
    EventRecord,
    FetchRecord,
    InstanceRecord,
    MemberRecord,
    MergeRecord,
    MessageRecord,
    OutboxRecord,
    QuarantineRecord,
    SeenRecord,
    SocketRecord,
    TicketRecord,
    UploadRecord,
)
from evorelay.storage.ports import AliasKey, MessageKey, OpKey, Plan
from evorelay.storage.sqlite.bulk import Table, to_json
from evorelay.storage.sqlite.erasing import Erasing
from evorelay.storage.sqlite.merging import Merging

T = TypeVar("T")

CONTACTS = Table("contacts", ContactRecord)
ALIASES = Table("aliases", AliasRecord)
TICKETS = Table("tickets", TicketRecord)
MESSAGES = Table("messages", MessageRecord)
INSTANCES = Table("instances", InstanceRecord)
EARLY = Table("early_changes", EarlyChangesRecord)
MEMBERS = Table("members", MemberRecord)
SEEN = Table("seen", SeenRecord)
QUARANTINE = Table("quarantine", QuarantineRecord)
OUTBOX = Table("outbox", OutboxRecord)
UPLOADS = Table("uploads", UploadRecord)
SOCKETS = Table("sockets", SocketRecord)
FETCHES = Table("fetches", FetchRecord)
LOG = ""
"""In ``channels``: all events together, by id. It has no rows in ``positions``."""


class SqliteTransaction:
    """``Transaction`` on the writer's connection. Every look-up is one step (see bulk.py)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection
        self._merging = Merging(connection)
        self.erasing = Erasing(connection)

    def messages(self, keys: Iterable[MessageKey]) -> dict[MessageKey, MessageRecord]:
        rows = self._joined(
            MESSAGES, keys, "ON t.instance = k.value->>0 AND t.whatsapp_id = k.value->>1"
        )
        return {(row.instance, row.whatsapp_id): row for row in rows}

    def messages_by_id(self, ids: Iterable[str]) -> dict[str, MessageRecord]:
        return {row.id: row for row in self._joined(MESSAGES, ids, "ON t.id = k.value")}

    def outbox(self, ids: Iterable[str]) -> dict[str, OutboxRecord]:
        return {row.id: row for row in self._joined(OUTBOX, ids, "ON t.id = k.value")}

    def outbox_by_op(self, keys: Iterable[OpKey]) -> dict[OpKey, OutboxRecord]:
        rows = self._joined(OUTBOX, keys, "ON t.instance = k.value->>0 AND t.op_id = k.value->>1")
        return {(row.instance, row.op_id): row for row in rows}

    def outbox_in_doubt(self, contact_ids: Iterable[str]) -> list[OutboxRecord]:
        return self._joined(
            OUTBOX,
            contact_ids,
            "INDEXED BY outbox_in_doubt ON t.contact_id = k.value"
            " AND t.doubt_since IS NOT NULL AND t.state <> 'sent'",
        )

    def outbox_under_way(self, instance: str | None = None) -> list[OutboxRecord]:
        rows: list[OutboxRecord] = OUTBOX.select(
            self._db,
            "INDEXED BY outbox_unfinished WHERE t.state IN ('queued', 'sending', 'unknown')"
            " AND t.state <> 'queued' AND t.instance = coalesce(?, t.instance)",
            (instance,),
        )
        return rows

    def outbox_of(self, message_ids: Iterable[str]) -> list[OutboxRecord]:
        return self._joined(OUTBOX, message_ids, "ON t.message_id = k.value")

    def outbox_saying(
        self, contact_id: str, content: str, *, since: int, limit: int
    ) -> list[OutboxRecord]:
        # Ids sort by time: of all that was ever said to this person no more is read than that.
        rows: list[OutboxRecord] = OUTBOX.select(
            self._db,
            "WHERE t.id IN (SELECT id FROM outbox INDEXED BY outbox_by_contact"
            " WHERE contact_id = ? AND id >= ? ORDER BY id DESC LIMIT ?)"
            " AND t.created_at > ? AND t.outgoing->>'content' = ? ORDER BY t.created_at, t.id",
            (contact_id, uuid7(max(0, since), 0), limit, since, content),
        )
        return rows

    def contacts_by_alias(self, keys: Iterable[AliasKey]) -> dict[AliasKey, ContactRecord]:
        aliases: list[AliasRecord] = self._joined(
            ALIASES, keys, "ON t.instance = k.value->>0 AND t.alias = k.value->>1"
        )
        contacts = self.contacts({row.contact_id for row in aliases})
        return {(row.instance, row.alias): contacts[row.contact_id] for row in aliases}

    def contacts(self, ids: Iterable[str]) -> dict[str, ContactRecord]:
        return {row.id: row for row in self._joined(CONTACTS, ids, "ON t.id = k.value")}

    def latest_tickets(self, contact_ids: Iterable[str]) -> dict[str, TicketRecord]:
        rows = self._joined(
            TICKETS,
            contact_ids,
            "ON t.id = (SELECT id FROM tickets WHERE contact_id = k.value"
            " AND merged_into IS NULL"
            " ORDER BY status = 'closed', closed_at DESC, created_at DESC LIMIT 1)",
        )
        return {row.contact_id: row for row in rows}

    def tickets(self, ids: Iterable[str]) -> dict[str, TicketRecord]:
        return {row.id: row for row in self._joined(TICKETS, ids, "ON t.id = k.value")}

    def instances(self, names: Iterable[str]) -> dict[str, InstanceRecord]:
        return {row.name: row for row in self._joined(INSTANCES, names, "ON t.name = k.value")}

    def untold_instances(self) -> list[InstanceRecord]:
        rows: list[InstanceRecord] = INSTANCES.select(self._db, "WHERE t.is_untold", ())
        return rows

    def early_changes(self, keys: Iterable[MessageKey]) -> dict[MessageKey, list[Change]]:
        rows = self._joined(
            EARLY, keys, "ON t.instance = k.value->>0 AND t.whatsapp_id = k.value->>1"
        )
        return {(row.instance, row.whatsapp_id): row.changes for row in rows}

    def aliases(self, contact_ids: Iterable[str]) -> list[AliasRecord]:
        return self._joined(ALIASES, contact_ids, "ON t.contact_id = k.value")

    def members(self, group_ids: Iterable[str]) -> list[MemberRecord]:
        return self._joined(MEMBERS, group_ids, "ON t.group_id = k.value")

    def seen(self, ticket_ids: Iterable[str]) -> list[SeenRecord]:
        return self._joined(SEEN, ticket_ids, "ON t.ticket_id = k.value")

    def first_inbound_after(self, ticket_id: str, after: int) -> int | None:
        at: int | None = self._db.execute(
            "SELECT min(created_at) FROM messages WHERE ticket_id = ? AND created_at > ?"
            " AND direction = 'in' AND metadata->>'history' IS NULL",
            (ticket_id, after),
        ).get
        return at

    def tickets_of(self, contact_id: str) -> list[TicketRecord]:
        return self._joined(TICKETS, [contact_id], "ON t.contact_id = k.value")

    def recounted(self, ticket_ids: Iterable[str]) -> dict[str, TicketRecord]:
        ids = list(ticket_ids)
        self._merging.recount(ids)
        return self.tickets(ids)

    def merge(self, merge: MergeRecord) -> None:
        self._merging.merge(merge)

    def unmerge(self, merge: MergeRecord, ticket_id: str | None, at: int) -> None:
        self._merging.unmerge(merge, ticket_id, at)

    def with_strays(self, contact_id: str, ticket_ids: Iterable[str]) -> list[str]:
        return self._merging.with_strays(contact_id, ticket_ids)

    def move_strays(self, contact_id: str, from_ticket: str, to_ticket: str) -> None:
        self._merging.move_strays(contact_id, from_ticket, to_ticket)

    def merges(self, ids: Iterable[str]) -> dict[str, MergeRecord]:
        return self._merging.merges(ids)

    def standing_merge(self, absorbed_contact: str) -> MergeRecord | None:
        return self._merging.standing_merge(absorbed_contact)

    def are_kept_apart(self, one: str, other: str) -> bool:
        return self._merging.are_kept_apart(one, other)

    def heads(self, channels: Iterable[str]) -> dict[str, int]:
        return dict(
            self._db.execute(
                "SELECT name, head FROM json_each(?) AS k CROSS JOIN channels ON name = k.value",
                (to_json(channels),),
            )
        )

    def cursor(self, journal: str) -> int:
        seq = self._db.execute("SELECT seq FROM cursors WHERE journal = ?", (journal,)).get
        return int(seq or 0)

    def write(self, plan: Plan) -> None:
        db = self._db
        CONTACTS.insert(db, plan.new_contacts)
        CONTACTS.update(db, plan.changed_contacts)
        ALIASES.replace(db, plan.aliases)
        TICKETS.insert(db, plan.new_tickets)
        TICKETS.update(db, plan.changed_tickets)
        if plan.removed_messages:  # first: another row takes over their WhatsApp ids
            db.execute(
                "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))",
                (to_json(plan.removed_messages),),
            )
        MESSAGES.update(db, plan.changed_messages)
        MESSAGES.insert(db, plan.new_messages)
        OUTBOX.insert(db, plan.new_outbox)
        OUTBOX.update(db, plan.changed_outbox)
        UPLOADS.insert(db, plan.uploads)
        SOCKETS.replace(db, plan.sockets)
        FETCHES.replace(db, plan.fetches)
        if plan.settled_fetches:
            db.execute(
                "DELETE FROM fetches WHERE message_id IN (SELECT value FROM json_each(?))",
                (to_json(plan.settled_fetches),),
            )
        INSTANCES.replace(db, plan.instances)
        if plan.writers:
            rows = [
                MemberRecord(group_id=group_id, contact_id=contact_id, role=None)
                for group_id, contact_id in plan.writers
            ]
            MEMBERS.insert_new(db, rows)
        MEMBERS.replace(db, plan.members)
        SEEN.replace(db, plan.seen)
        EARLY.replace(db, plan.early_changes)
        if plan.settled_early:
            db.execute(
                "DELETE FROM early_changes WHERE (instance, whatsapp_id)"
                " IN (SELECT value->>0, value->>1 FROM json_each(?))",
                (to_json(plan.settled_early),),
            )
        if plan.adopted:
            db.execute(
                "UPDATE messages AS m INDEXED BY messages_without_ticket"
                " SET ticket_id = k.value->>1 FROM json_each(?) AS k"
                " WHERE m.contact_id = k.value->>0 AND m.ticket_id IS NULL",
                (to_json(plan.adopted),),
            )
        if plan.recounted:
            self._merging.recount(plan.recounted)
        QUARANTINE.insert_new(db, plan.quarantined)
        for quarantine_id, at in plan.replayed:
            db.execute("UPDATE quarantine SET replayed_at = ? WHERE id = ?", (at, quarantine_id))
        self._write_events(plan.events)
        if plan.cursor is not None:
            db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", plan.cursor)

    def _write_events(self, events: list[EventRecord]) -> None:
        if not events:
            return
        last = self._db.execute("SELECT head FROM channels WHERE name = ?", (LOG,)).get or 0
        heads: dict[str, int] = {}
        positions = []
        for event_id, event in enumerate(events, last + 1):
            event.id = heads[LOG] = event_id
            for channel, offset in event.positions:
                heads[channel] = offset
                positions.append((channel, offset, event_id))
        self._db.execute(
            "INSERT INTO events (at, type, data, positions, origin, id)"
            " SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5"
            " FROM json_each(?)",
            (to_json(events),),
        )
        self._db.execute(
            "INSERT INTO positions SELECT value->>0, value->>1, value->>2 FROM json_each(?)",
            (to_json(positions),),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO channels SELECT key, value FROM json_each(?)",
            (to_json(heads),),
        )

    def _joined(self, table: Table, keys: Iterable[Any], on: str) -> list[Any]:
        wanted = keys if isinstance(keys, list) else list(keys)
        if not wanted:
            return []
        rows = self._db.execute(
            f"SELECT json_group_array({table.array})"  # noqa: S608 -- ``on`` is a literal above
            # CROSS JOIN: SQLite keeps this order, so each key is one index look-up.
            f" FROM json_each(?) AS k CROSS JOIN {table.name} AS t {on}",
            (to_json(wanted),),
        ).get
        return table.decode(rows)
