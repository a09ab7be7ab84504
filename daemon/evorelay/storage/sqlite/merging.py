"""Two contacts become one person, and back, on SQLite: a few statements, far from the hot path."""

from collections.abc import Iterable

import apsw

from evorelay.model.records import MergeRecord
from evorelay.model.rendering import DELETED_LABEL, PREVIEW_CHARS
from evorelay.storage.sqlite.bulk import Table, to_json

MERGES = Table("merges", MergeRecord)
_LIVE = "m.ticket_id = tickets.id AND m.metadata->>'history' IS NULL"
_RECOUNT = f"""
    UPDATE tickets SET
        (last_message_id, last_message_at, last_message) = (
            SELECT id, created_at,
                iif(deleted_at IS NULL, substr(content, 1, {PREVIEW_CHARS}), '{DELETED_LABEL}')
            FROM messages AS m
            WHERE {_LIVE} ORDER BY created_at DESC, arrival DESC LIMIT 1),
        last_reply_at = (SELECT max(created_at) FROM messages AS m
            WHERE {_LIVE} AND direction = 'out' AND NOT is_internal
                AND whatsapp_id IS NOT NULL),
        (last_inbound_at, inbound) = (SELECT max(created_at), count(*) + forgotten
            FROM messages AS m
            WHERE {_LIVE} AND direction = 'in')
    WHERE id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 -- literals of this module
_RECOUNT_WAITING = f"""
    UPDATE tickets SET waiting_since = (SELECT min(created_at) FROM messages AS m
        WHERE {_LIVE} AND direction = 'in' AND created_at > coalesce(last_reply_at, 0))
    WHERE id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 -- literals of this module
_UNDER = """
    {name} (id) AS (
        VALUES (:{name})
        UNION SELECT contacts.id FROM contacts JOIN {name} ON contacts.merged_into = {name}.id
    )
"""
"""A contact and all that were merged into it."""
_GIVE_BACK = f"""
    WITH RECURSIVE {_UNDER.format(name="owner")}
    UPDATE messages SET ticket_id = :target
    WHERE ticket_id = :source AND contact_id IN (SELECT id FROM owner)
"""  # noqa: S608 -- literals of this module
_MOVE_STRAYS = _GIVE_BACK.replace(" IN (SELECT", " NOT IN (SELECT")
_WITH_STRAYS = f"""
    WITH RECURSIVE {_UNDER.format(name="owner")}
    SELECT value FROM json_each(:tickets) WHERE EXISTS (
        SELECT 1 FROM messages
        WHERE ticket_id = value AND contact_id NOT IN (SELECT id FROM owner))
"""  # noqa: S608 -- literals of this module
_KEPT_APART = f"""
    WITH RECURSIVE {_UNDER.format(name="one")}, {_UNDER.format(name="other")}
    SELECT 1 FROM merges WHERE undone_at IS NOT NULL AND (
        (kept_contact IN (SELECT id FROM one) AND absorbed_contact IN (SELECT id FROM other))
        OR (kept_contact IN (SELECT id FROM other) AND absorbed_contact IN (SELECT id FROM one)))
    LIMIT 1
"""  # noqa: S608 -- literals of this module


class Merging:
    """What a transaction does about merges (``storage.ports.Transaction``)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def merge(self, merge: MergeRecord) -> None:
        kept, absorbed = merge.kept_contact, merge.absorbed_contact
        execute = self._db.execute
        if merge.absorbed_ticket is not None:
            # Before the contact changes: it may have one ticket at most that is not closed.
            execute(
                "UPDATE tickets SET status = 'closed', closed_at = ?, merged_into = ?,"
                " last_message = NULL, last_message_id = NULL, waiting_since = NULL,"
                " version = version + 1 WHERE id = ?",
                (merge.at, merge.kept_ticket, merge.absorbed_ticket),
            )
            execute(
                "UPDATE messages SET ticket_id = ? WHERE ticket_id = ?",
                (merge.kept_ticket, merge.absorbed_ticket),
            )
            execute(
                "UPDATE tickets SET forgotten = forgotten + coalesce("
                "(SELECT forgotten FROM tickets WHERE id = ?), 0) WHERE id = ?",
                (merge.absorbed_ticket, merge.kept_ticket),
            )
        execute("UPDATE tickets SET contact_id = ? WHERE contact_id = ?", (kept, absorbed))
        execute("UPDATE aliases SET contact_id = ? WHERE contact_id = ?", (kept, absorbed))
        execute(
            "UPDATE messages SET contact_id = ? WHERE contact_id = ? AND ticket_id IS NULL",
            (kept, absorbed),
        )
        execute(
            "UPDATE OR IGNORE members SET contact_id = ? WHERE contact_id = ?", (kept, absorbed)
        )
        execute("DELETE FROM members WHERE contact_id = ?", (absorbed,))
        execute("UPDATE outbox SET contact_id = ? WHERE contact_id = ?", (kept, absorbed))
        execute("UPDATE contacts SET merged_into = ? WHERE id = ?", (kept, absorbed))
        MERGES.insert(self._db, [merge])

    def unmerge(self, merge: MergeRecord, ticket_id: str | None, at: int) -> None:
        execute = self._db.execute
        absorbed = merge.absorbed_contact
        if merge.absorbed_ticket is not None:
            back = merge.absorbed_ticket
            execute(_GIVE_BACK, {"owner": absorbed, "source": ticket_id, "target": back})
            execute("UPDATE tickets SET merged_into = NULL WHERE id = ?", (back,))
        execute("UPDATE contacts SET merged_into = NULL WHERE id = ?", (absorbed,))
        execute(
            "UPDATE outbox SET contact_id = ? WHERE contact_id = ?"
            " AND message_id IN (SELECT id FROM messages WHERE contact_id = ?)",
            (absorbed, merge.kept_contact, absorbed),
        )
        execute(
            "UPDATE aliases SET contact_id = ? WHERE instance = ?"
            " AND alias IN (SELECT value FROM json_each(?))",
            (absorbed, merge.instance, to_json(merge.aliases)),
        )
        execute(
            "UPDATE tickets SET contact_id = ? WHERE id IN (SELECT value FROM json_each(?))",
            (absorbed, to_json(merge.tickets)),
        )
        execute("UPDATE merges SET undone_at = ? WHERE id = ?", (at, merge.id))

    def with_strays(self, contact_id: str, ticket_ids: Iterable[str]) -> list[str]:
        rows = self._db.execute(_WITH_STRAYS, {"owner": contact_id, "tickets": to_json(ticket_ids)})
        return [ticket_id for (ticket_id,) in rows]

    def move_strays(self, contact_id: str, from_ticket: str, to_ticket: str) -> None:
        places = {"owner": contact_id, "source": from_ticket, "target": to_ticket}
        self._db.execute(_MOVE_STRAYS, places)
        self._db.execute(
            "UPDATE tickets SET merged_into = :target"
            " WHERE merged_into = :source AND contact_id <> :owner",
            places,
        )

    def merges(self, ids: Iterable[str]) -> dict[str, MergeRecord]:
        rows: list[MergeRecord] = MERGES.select(
            self._db, "WHERE t.id IN (SELECT value FROM json_each(?))", (to_json(ids),)
        )
        return {row.id: row for row in rows}

    def standing_merge(self, absorbed_contact: str) -> MergeRecord | None:
        rows: list[MergeRecord] = MERGES.select(
            self._db,
            "WHERE t.absorbed_contact = ? AND t.undone_at IS NULL LIMIT 1",
            (absorbed_contact,),
        )
        return rows[0] if rows else None

    def are_kept_apart(self, one: str, other: str) -> bool:
        return self._db.execute(_KEPT_APART, {"one": one, "other": other}).get is not None

    def recount(self, ticket_ids: Iterable[str]) -> None:
        ids = to_json(ticket_ids)
        self._db.execute(_RECOUNT, (ids,))
        self._db.execute(_RECOUNT_WAITING, (ids,))
