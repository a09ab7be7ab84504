"""What must hold in a store, as SQL that finds where it does not: one row of this table each.

Every query walks an index or a table once and gives a line for each fault, so memory stays flat
whatever the size. All of them are asked in one snapshot, beside a writer or without.
"""

from collections.abc import Iterator

import apsw
from msgspec import Struct


class Check(Struct, frozen=True):
    code: str
    what: str
    """What is wrong where a line is found, for a person."""
    sql: str
    """One text column: where."""
    repair: str = ""
    """``recount`` or ``search`` where it follows from what is there."""


def _dangling(code: str, what: str, sql: str) -> Check:
    return Check(f"dangling_{code}", f"{what} that is not there", sql)


_LIVE = "m.metadata->>'history' IS NULL"
_COUNTED = {
    "inbound": "t.forgotten + coalesce(n.inbound, 0)",
    "last_message_at": "n.last_message_at",
    "last_inbound_at": "n.last_inbound_at",
    "last_reply_at": "n.last_reply_at",
}
_DIFFERS = " OR ".join(f"t.{name} IS NOT {counted}" for name, counted in _COUNTED.items())

CHECKS = (
    Check(
        "damaged",
        "SQLite finds the file damaged",
        "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    ),
    Check(
        "no_epoch",
        "the store has no epoch: clients' offsets mean nothing",
        "SELECT 'meta' WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'epoch' AND value <> '')",
    ),
    Check(
        "event_ids",
        "the ids of events have a hole",
        "SELECT 'between ' || min(id) || ' and ' || max(id) FROM events"
        " HAVING count(*) <> max(id) - min(id) + 1",
    ),
    Check(
        "event_head",
        "the newest event is not the head of the log",
        "SELECT max(id) || ' and not ' || coalesce((SELECT head FROM channels WHERE name = ''), 0)"
        " FROM events HAVING max(id) IS NOT NULL"
        " AND max(id) <> coalesce((SELECT head FROM channels WHERE name = ''), 0)",
    ),
    Check(
        "offsets",
        "a channel's offsets have a hole",
        "SELECT channel || ': ' || count(*) || ' from ' || min(\"offset\") || ' to '"
        ' || max("offset") FROM positions GROUP BY channel'
        ' HAVING count(*) <> max("offset") - min("offset") + 1',
    ),
    Check(
        "channel_head",
        "a channel's head is not its newest offset",
        "SELECT p.channel || ': ' || max(p.\"offset\") || ' and not ' || coalesce(c.head, 'none')"
        " FROM positions AS p LEFT JOIN channels AS c ON c.name = p.channel"
        ' GROUP BY p.channel HAVING max(p."offset") IS NOT c.head',
    ),
    Check(
        "position_without_event",
        "an offset leads to no event",
        "SELECT channel || ':' || p.\"offset\" FROM positions AS p"
        " WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = p.event_id)",
    ),
    Check(
        "event_without_position",
        "an event is not where it says it is",
        "SELECT e.id || ' at ' || (j.value->>0) || ':' || (j.value->>1)"
        " FROM events AS e CROSS JOIN json_each(e.positions) AS j LEFT JOIN positions AS p"
        ' ON p.channel = j.value->>0 AND p."offset" = j.value->>1 WHERE p.event_id IS NOT e.id',
    ),
    Check(
        "dangling_row",
        "a row refers to one that is not there",
        "SELECT f.\"table\" || ' -> ' || f.parent || ', row ' || coalesce(f.rowid, '?')"
        " FROM pragma_foreign_key_check AS f",
    ),
    _dangling(
        "merge",
        "a contact was merged into one",
        "SELECT id FROM contacts AS c"
        " WHERE merged_into IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM contacts WHERE id = c.merged_into)",
    ),
    _dangling(
        "ticket_merge",
        "a ticket was merged into one",
        "SELECT id FROM tickets AS t"
        " WHERE merged_into IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM tickets WHERE id = t.merged_into)",
    ),
    _dangling(
        "merge_record",
        "a merge is of a contact",
        "SELECT id FROM merges AS m"
        " WHERE NOT EXISTS (SELECT 1 FROM contacts WHERE id = m.kept_contact)"
        " OR NOT EXISTS (SELECT 1 FROM contacts WHERE id = m.absorbed_contact)",
    ),
    _dangling(
        "reply",
        "a reply that is not sent yet makes a message",
        "SELECT id FROM outbox AS o INDEXED BY outbox_unfinished"
        " WHERE state IN ('queued', 'sending', 'unknown')"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE id = o.message_id)",
    ),
    _dangling(
        "fetch",
        "a file is fetched for a message",
        "SELECT message_id FROM fetches AS f"
        " WHERE NOT EXISTS (SELECT 1 FROM messages WHERE id = f.message_id)",
    ),
    Check(
        "merged_with_alias",
        "a number leads to a contact that was merged into another one",
        "SELECT a.instance || ' ' || a.contact_id FROM aliases AS a"
        " JOIN contacts AS c ON c.id = a.contact_id WHERE c.merged_into IS NOT NULL",
    ),
    Check(
        "merged_with_messages",
        "a ticket that was merged into another one still has messages",
        "SELECT id FROM tickets AS t WHERE merged_into IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM messages WHERE ticket_id = t.id)",
    ),
    Check(
        "two_open_tickets",
        "a contact has more than one ticket that is not closed",
        "SELECT contact_id FROM tickets NOT INDEXED WHERE status <> 'closed'"
        " GROUP BY contact_id HAVING count(*) > 1",
    ),
    Check(
        "not_json",
        "a message's row cannot be read",
        "SELECT id FROM messages WHERE NOT (json_valid(reactions) AND json_valid(metadata)"
        " AND json_valid(edits) AND (media IS NULL OR json_valid(media))"
        " AND (error IS NULL OR json_valid(error)))",
    ),
    Check(
        "counters",
        "what a ticket says of its messages is not what they are",
        f"""
        SELECT t.id FROM tickets AS t LEFT JOIN (
            SELECT m.ticket_id, sum(direction = 'in') AS inbound,
                max(created_at) AS last_message_at,
                max(iif(direction = 'in', created_at, NULL)) AS last_inbound_at,
                max(iif(direction = 'out' AND NOT is_internal AND whatsapp_id IS NOT NULL,
                    created_at, NULL)) AS last_reply_at
            FROM messages AS m WHERE m.ticket_id IS NOT NULL AND {_LIVE} GROUP BY m.ticket_id
        ) AS n ON n.ticket_id = t.id
        WHERE t.merged_into IS NULL AND ({_DIFFERS})
        """,  # noqa: S608 -- literals of this module
        repair="recount",
    ),
    Check(
        "last_message",
        "a ticket's last message is not one of its own",
        "SELECT id FROM tickets AS t WHERE merged_into IS NULL AND last_message_at IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.id = t.last_message_id"
        " AND m.ticket_id = t.id AND m.created_at = t.last_message_at)",
        repair="recount",
    ),
    Check(
        "waiting",
        "a ticket does not say since when the customer waits",
        f"""
        SELECT id FROM tickets AS t WHERE merged_into IS NULL AND waiting_since IS NOT (
            SELECT min(created_at) FROM messages AS m WHERE m.ticket_id = t.id
                AND m.direction = 'in' AND {_LIVE} AND m.created_at > coalesce(t.last_reply_at, 0))
        """,  # noqa: S608 -- literals of this module
        repair="recount",
    ),
    Check(
        "unread",
        "a ticket has more unread than ever came in",
        "SELECT id FROM tickets WHERE merged_into IS NULL AND (unread < 0 OR unread > inbound)",
        repair="recount",
    ),
    Check(
        "search",
        "search does not know a message, or knows one that is not there",
        "SELECT 'message ' || arrival FROM searchable"
        " WHERE arrival NOT IN (SELECT id FROM messages_text_docsize)"
        " UNION ALL SELECT 'entry ' || id FROM messages_text_docsize"
        " WHERE id NOT IN (SELECT arrival FROM searchable)",
        repair="search",
    ),
)


def run(db: apsw.Connection, check: Check) -> Iterator[str]:
    """Where it does not hold. A damaged file may answer a query with an error: that is a fault."""
    try:
        for (where,) in db.execute(check.sql):
            yield str(where)
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:
        yield f"{type(error).__name__}: {error}"
