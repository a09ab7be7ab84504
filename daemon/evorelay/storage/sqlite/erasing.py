"""Finding everything of one person in the store, and taking it out, on SQLite.

Finding looks through whole tables where there is no index for it: this is asked a few times a year.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import apsw
import msgspec

from evorelay.model.clock import utc
from evorelay.model.erasing import Marks, Person, ToldEvent, Traces
from evorelay.storage.sqlite.bulk import to_json
from evorelay.storage.sqlite.merging import Merging
from evorelay.storage.sqlite.uncounting import uncount

_EVERYBODY = """
    WITH RECURSIVE one (id) AS (
        SELECT value FROM json_each(:contacts)
        UNION SELECT c.id FROM contacts AS c JOIN one ON c.merged_into = one.id
        UNION SELECT c.merged_into FROM contacts AS c JOIN one ON c.id = one.id
            WHERE c.merged_into IS NOT NULL
    )
    SELECT c.id, c.instance, c.phone, c.lid, c.jid FROM one JOIN contacts AS c ON c.id = one.id
"""
_THEIR_MESSAGES = """
    SELECT m.id, m.instance, m.whatsapp_id, m.ticket_id, m.media->>'id' FROM messages AS m
    WHERE {newer} AND m.created_at <= :until AND (
        m.ticket_id IN (SELECT value FROM json_each(:tickets))
        OR m.contact_id IN (SELECT value FROM json_each(:contacts))
        OR (m.sender_id IS NOT NULL AND m.direction = 'in' AND {sender}))
    ORDER BY m.created_at, m.arrival
"""
_MENTIONING = """
    SELECT m.id FROM messages AS m WHERE {newer} AND m.created_at <= :until
        AND m.id NOT IN (SELECT value FROM json_each(:messages)) AND (
        {said} OR (m.reply_to IS NOT NULL AND m.metadata->>'quoted' IS NOT NULL
            AND m.reply_to IN (SELECT value->>1 FROM json_each(:named))))
"""
_NEWER = """(m.arrival > :after
    OR m.id IN (SELECT key FROM changes WHERE kind = 'message' AND revision > :revision))"""
"""Come, or changed, since an earlier search."""
_EVER = 1 << 53
"""Later than any moment (Unix ms)."""
_SAID = (
    "m.content || m.reactions || m.metadata || m.edits || coalesce(m.media, '')"
    " || coalesce(m.error, '')"
)
_EVENTS = """
    SELECT e.id, e.type, e.data->>'ticket_id', coalesce(e.data->'message'->>'id',
            e.data->>'message_id')
    FROM events AS e WHERE e.id > :after AND e.type <> 'ticket.erased' AND (
        {said}
        OR e.data->>'ticket_id' IN (SELECT value->>0 FROM json_each(:tickets))
        OR e.data->'message'->>'id' IN (SELECT value FROM json_each(:messages))
        OR (e.type LIKE 'ticket.%'
            AND e.data->>'ticket_id' IN (SELECT value FROM json_each(:changed)))
    )
"""


def _betrays(text: str, numbers: Sequence[str]) -> str:
    """SQL: whether one of the numbers is in a text (``_teach``)."""
    return f"betrays({text})" if numbers else "0"


def _readable(column: str, value: Any) -> Any:
    is_moment = column.endswith(("_at", "_since")) and isinstance(value, int)
    return utc(value) if is_moment else value


class Erasing:
    """Used by readers for looking, and in a transaction for doing."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._db = connection

    def _teach(self, marks: Marks) -> None:
        """What the statements here ask of a text."""

        def betrays(*text: Any) -> bool:
            return text[0] is not None and marks.are_in(str(text[0]))

        def blanked(*text: Any) -> Any:
            return marks.blanked(text[0])

        def uncarded(*outgoing: Any) -> Any:
            reply = msgspec.json.decode(str(outgoing[0]))
            for card in reply.get("contacts", ()):
                if marks.are_in(str(card.get("phone"))):
                    phone = card["phone"]
                    card.clear()
                    card.update(name="-", phone=phone)
                    reply["content"] = ""
            return marks.blanked(msgspec.json.encode(reply).decode())

        self._db.create_scalar_function("uncarded", uncarded, 1, deterministic=True)
        self._db.create_scalar_function("betrays", betrays, 1, deterministic=True)
        self._db.create_scalar_function("blanked", blanked, 1, deterministic=True)

    def _last(self, what: str, table: str) -> int:
        return int(self._db.execute(f"SELECT coalesce({what}, 0) FROM {table}").get)  # noqa: S608 -- literals

    def contacts_named(
        self, *, contact: str | None, aliases: Sequence[str], instance: str | None
    ) -> list[str]:
        """Contacts with this id, or with one of the aliases; in one instance or in all."""
        return [
            str(id_)
            for (id_,) in self._db.execute(
                "SELECT id FROM contacts WHERE id = :contact AND instance = coalesce(:instance,"
                " instance) UNION SELECT contact_id FROM aliases"
                " WHERE alias IN (SELECT value FROM json_each(:aliases))"
                " AND instance = coalesce(:instance, instance)",
                {"contact": contact, "aliases": to_json(aliases), "instance": instance},
            )
        ]

    def everybody(
        self, contacts: Collection[str]
    ) -> list[tuple[str, str, str | None, str | None, str]]:
        """(id, instance, phone, lid, jid) of these and of all who were merged with them."""
        rows = self._db.execute(_EVERYBODY, {"contacts": to_json(contacts)})
        return rows.fetchall()  # type: ignore[return-value]  # the columns' types are the schema's

    def aliases_of(self, contacts: Collection[str]) -> list[tuple[str, str]]:
        """(instance, alias) of these contacts, and those that merges took from them."""
        rows = self._db.execute(
            "SELECT instance, alias FROM aliases"
            " WHERE contact_id IN (SELECT value FROM json_each(:contacts))"
            " UNION SELECT m.instance, a.value FROM merges AS m"
            " CROSS JOIN json_each(m.aliases) AS a WHERE m.undone_at IS NULL"
            " AND m.absorbed_contact IN (SELECT value FROM json_each(:contacts))",
            {"contacts": to_json(contacts)},
        )
        return [(str(instance), str(alias)) for instance, alias in rows]

    def all_aliases(self, after: tuple[str, str], limit: int) -> list[tuple[str, str, str]]:
        """(instance, alias, contact) beyond the first two of another one, in their order."""
        rows = self._db.execute(
            "SELECT instance, alias, contact_id FROM aliases WHERE (instance, alias) > (?, ?)"
            " ORDER BY instance, alias LIMIT ?",
            (*after, limit),
        )
        return rows.fetchall()  # type: ignore[return-value]  # the columns' types are the schema's

    def find(self, person: Person, until: int, since: Traces | None = None) -> Traces:
        """All traces. Messages sent later than ``until`` (Unix ms) are left out, and what they
        need. Where there are such, everything else is found as old as that; else whatever its age.

        ``since``: what an earlier search found; messages and events that it saw are passed over.
        """
        contacts = to_json(person.contacts)
        self._teach(person.marks)
        after_arrival, after_event, revision = since.seen if since else (-1, 0, 0)
        found = Traces()
        found.seen = (
            self._last("max(arrival)", "messages"),
            self._last("max(id)", "events"),
            self._last("max(revision)", "changes"),
        )
        found.tickets = self._pairs(
            "SELECT id, instance FROM tickets WHERE contact_id IN (SELECT value FROM json_each(?))",
            contacts,
        )
        sender = _betrays("m.sender_id", person.numbers)
        rows = self._db.execute(
            _THEIR_MESSAGES.format(sender=sender, newer=_NEWER if since else "1"),
            {
                "after": after_arrival,
                "revision": revision,
                "until": until,
                "tickets": to_json(id_ for id_, _ in found.tickets),
                "contacts": contacts,
            },
        ).fetchall()
        own = {id_ for id_, _ in found.tickets}
        for id_, instance, whatsapp_id, ticket_id, blob in rows:
            found.messages.append(str(id_))
            if whatsapp_id is not None:
                found.whatsapp_ids.append((str(instance), str(whatsapp_id)))
            if ticket_id is not None and ticket_id not in own:
                found.changed_tickets.append(str(ticket_id))
                found.elsewhere.append((str(id_), str(ticket_id), str(instance)))
            if blob is not None:
                found.blobs.append(str(blob))
        found.changed_tickets = sorted({*found.changed_tickets})
        self._whether_newer(person, found, until)
        bound = until if found.keeps_contact else _EVER
        self._of_others(person, found, since, bound)
        self._elsewhere(person, found, bound)
        self._told(person, found, after_event, since)
        return found

    def _whether_newer(self, person: Person, found: Traces, until: int) -> None:
        """A person who wrote later keeps what has to do with that; what is older goes."""
        found.keeps_contact = bool(
            self._db.execute(
                "SELECT 1 FROM messages WHERE created_at > ? AND (contact_id IN"
                " (SELECT value FROM json_each(?)) OR ticket_id IN"
                " (SELECT value->>0 FROM json_each(?))) LIMIT 1",
                (until, to_json(person.contacts), to_json(found.tickets)),
            ).get
        )
        found.contacts = list(person.contacts)
        if not found.keeps_contact:
            return
        stays = {
            str(id_)
            for (id_,) in self._db.execute(
                "SELECT id FROM tickets AS t"
                " WHERE id IN (SELECT value->>0 FROM json_each(:tickets))"
                " AND (created_at > :until OR EXISTS (SELECT 1 FROM messages"
                " WHERE ticket_id = t.id AND created_at > :until))",
                {"tickets": to_json(found.tickets), "until": until},
            )
        }
        if found.messages:
            found.changed_tickets += sorted(stays)
        found.tickets = [pair for pair in found.tickets if pair[0] not in stays]
        older = self._db.execute(
            "SELECT id FROM contacts AS c WHERE id IN (SELECT value FROM json_each(:contacts))"
            " AND created_at <= :until AND NOT EXISTS (SELECT 1 FROM messages"
            " WHERE contact_id = c.id AND created_at > :until) AND NOT EXISTS (SELECT 1"
            " FROM tickets WHERE contact_id = c.id"
            " AND id IN (SELECT value FROM json_each(:stays)))",
            {"contacts": to_json(person.contacts), "until": until, "stays": to_json(stays)},
        )
        found.contacts = [str(id_) for (id_,) in older]

    def _of_others(self, person: Person, found: Traces, since: Traces | None, until: int) -> None:
        statement = _MENTIONING.format(
            said=_betrays(_SAID, person.numbers), newer=_NEWER if since else "1"
        )
        bindings: dict[str, str | int] = {
            "after": since.seen[0] if since else -1,
            "revision": since.seen[2] if since else 0,
            "until": until,
            "messages": to_json(found.messages),
            "named": to_json(found.whatsapp_ids),
        }
        found.mentions = [str(id_) for (id_,) in self._db.execute(statement, bindings)]
        found.cards = [
            (str(instance), whatsapp_id and str(whatsapp_id), str(ticket_id or ""))
            for instance, whatsapp_id, ticket_id in self._db.execute(
                "SELECT instance, whatsapp_id, ticket_id FROM messages WHERE type = 'contact'"
                " AND id IN (SELECT value FROM json_each(?))",
                (to_json(found.mentions),),
            )
        ]
        if found.cards:  # who quotes one repeats the name
            named = [*found.whatsapp_ids, *(card[:2] for card in found.cards)]
            bindings["named"] = to_json(named)
            found.mentions = [str(id_) for (id_,) in self._db.execute(statement, bindings)]

    def _elsewhere(self, person: Person, found: Traces, until: int) -> None:
        named = to_json(found.whatsapp_ids)
        messages = to_json(found.messages)
        rows = self._db.execute(
            "SELECT id, state IN ('sending', 'unknown') OR (state = 'queued' AND doubt_since IS NOT"
            " NULL) FROM outbox WHERE message_id IN (SELECT value FROM json_each(?))"
            " OR (contact_id IN (SELECT value FROM json_each(?)) AND created_at <= ?)",
            (messages, to_json(person.contacts), until),
        ).fetchall()
        found.replies = [str(id_) for id_, _ in rows]
        found.unfinished = sum(bool(is_unfinished) for _, is_unfinished in rows)
        found.early = self._pairs(
            "SELECT instance, whatsapp_id FROM early_changes WHERE (instance, whatsapp_id) IN"  # noqa: S608 -- checked digits
            " (SELECT value->>0, value->>1 FROM json_each(?))"
            f" OR (at <= ? AND {_betrays('changes', person.numbers)})",
            named,
            until,
        )
        found.quarantine = [
            str(id_)
            for (id_,) in self._db.execute(
                "SELECT id FROM quarantine WHERE received_at <= ?"  # noqa: S608 -- checked digits
                f" AND {_betrays('body', person.numbers)}",
                (until,),
            )
        ]
        found.blobs += self.blobs_of_quarantine(found.quarantine)

    def _told(self, person: Person, found: Traces, after: int, since: Traces | None) -> None:
        earlier = since or Traces()
        cards = [ticket for *_, ticket in (*found.cards, *earlier.cards)]
        said = "0" if found.keeps_contact else _betrays("e.data", person.numbers)
        rows = self._db.execute(
            _EVENTS.format(said=said),
            {
                "tickets": to_json(found.tickets),
                "messages": to_json([*found.messages, *found.mentions, *earlier.messages]),
                "changed": to_json([*found.changed_tickets, *cards]),
                "after": after,
            },
        ).fetchall()
        found.events = msgspec.convert(rows, list[ToldEvent], strict=False)

    def _pairs(self, sql: str, *bindings: str | int) -> list[tuple[str, str]]:
        return [(str(one), str(other)) for one, other in self._db.execute(sql, bindings)]

    def quarantined_in(self, bodies: Collection[str]) -> list[str]:
        """Ids of quarantined webhooks whose body is one of these blobs."""
        rows = self._db.execute(
            "SELECT quarantine_id FROM quarantine_blobs"
            " WHERE is_body AND blob IN (SELECT value FROM json_each(?))",
            (to_json(bodies),),
        )
        return [str(id_) for (id_,) in rows]

    def blobs_of_quarantine(self, ids: Collection[str]) -> list[str]:
        rows = self._db.execute(
            "SELECT blob FROM quarantine_blobs"
            " WHERE blob <> '' AND quarantine_id IN (SELECT value FROM json_each(?))",
            (to_json(ids),),
        )
        return [str(blob) for (blob,) in rows]

    def erase(self, person: Person, found: Traces) -> None:
        """Take it out, within the caller's transaction. ``mentions`` and ``events`` are left to
        the caller; positions and heads of channels stay, so that no offset is ever missing (P3).

        What is freed is overwritten with zeros from here on, until ``scrub``.
        """
        self._db.pragma("secure_delete", True)
        uncount(self._db, found.changed_tickets, found.messages)
        self._remove("fetches", "message_id", found.messages)
        self._remove("messages", "id", found.messages)
        self._remove("outbox", "id", found.replies)
        self._remove("quarantine_blobs", "quarantine_id", found.quarantine)
        self._remove("quarantine", "id", found.quarantine)
        self._db.execute(
            "DELETE FROM early_changes WHERE (instance, whatsapp_id) IN"
            " (SELECT value->>0, value->>1 FROM json_each(?))",
            (to_json(found.early),),
        )
        self._db.execute(
            "DELETE FROM aliases WHERE (instance, alias) IN"
            " (SELECT value->>0, value->>1 FROM json_each(?))",
            (to_json(found.aliases),),
        )
        self._db.execute(
            "UPDATE changes SET key = json_array(key->>0, '') WHERE kind = 'alias' AND key IN"
            " (SELECT json_array(value->>0, value->>1) FROM json_each(?))",
            (to_json(found.aliases),),
        )
        self._erase_contacts(found)
        if not found.keeps_contact:
            self._blank(person.marks, person.numbers)
        Merging(self._db).recount(found.changed_tickets)

    def _erase_contacts(self, found: Traces) -> None:
        tickets = [id_ for id_, _ in found.tickets]
        self._remove("seen", "ticket_id", tickets)
        self._remove("tickets", "id", tickets)
        for column in ("contact_id", "group_id"):
            self._remove("members", column, found.contacts)
        for column in ("kept_contact", "absorbed_contact"):
            self._remove("merges", column, found.contacts)
        self._remove("aliases", "contact_id", found.contacts)
        self._remove("contacts", "id", found.contacts)

    def _blank(self, marks: Marks, numbers: Sequence[str]) -> None:
        self._teach(marks)
        self._db.execute(
            "UPDATE outbox SET outgoing = uncarded(outgoing)"  # noqa: S608 -- a literal
            f" WHERE {_betrays('outgoing', numbers)}"
        )
        for table, column in (
            ("outbox", "error"),
            ("outbox", "tries"),
            ("tickets", "subject"),
            ("changes", "key"),  # of aliases; backups pass over one that is gone
        ):
            self._db.execute(
                f"UPDATE {table} SET {column} = blanked({column})"  # noqa: S608 -- literals above
                f" WHERE {_betrays(column, numbers)}"
            )

    def rows(
        self, table: Literal["contacts", "tickets", "quarantine"], ids: Collection[str]
    ) -> list[dict[str, Any]]:
        cursor = self._db.execute(
            f"SELECT * FROM {table} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",  # noqa: S608 -- one of three
            (to_json(ids),),
        )
        names: list[str] | None = None
        found = []
        for row in cursor:
            names = names or [name for name, *_ in cursor.description]
            found.append(
                {name: _readable(name, value) for name, value in zip(names, row, strict=True)}
            )
        return found

    def event_data(self, ids: Collection[int]) -> dict[int, str]:
        rows = self._db.execute(
            "SELECT id, data FROM events WHERE id IN (SELECT value FROM json_each(?))",
            (to_json(ids),),
        )
        return {int(id_): str(data) for id_, data in rows}

    def overwrite_events(self, told: Iterable[tuple[int, str, str]]) -> None:
        self._db.execute(
            "UPDATE events SET type = k.value->>1, data = k.value->>2 FROM json_each(?) AS k"
            " WHERE events.id = k.value->>0",
            (to_json(told),),
        )

    def _remove(self, table: str, column: str, keys: Collection[str]) -> None:
        self._db.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608 -- literals above
            (to_json(keys),),
        )
