"""What agents have not read yet, when messages that came in are taken out from among the others.

``seen`` and ``unread`` are counts: which messages they mean follows from the order of arrival.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection

import apsw

from evorelay.storage.sqlite.bulk import to_json

_PLACES = """
    SELECT ticket_id, place FROM (
        SELECT m.id, m.ticket_id,
            t.forgotten + row_number() OVER (PARTITION BY m.ticket_id ORDER BY m.arrival) AS place
        FROM messages AS m JOIN tickets AS t ON t.id = m.ticket_id
        WHERE m.ticket_id IN (SELECT value FROM json_each(:tickets))
            AND m.direction = 'in' AND m.metadata->>'history' IS NULL)
    WHERE id IN (SELECT value FROM json_each(:messages)) ORDER BY place
"""


def uncount(db: apsw.Connection, tickets: Collection[str], messages: Collection[str]) -> None:
    """Before these messages go: nobody has more or less unread of what stays. ``inbound`` itself is
    counted anew afterwards (``Merging.recount``)."""
    names = {"tickets": to_json(tickets), "messages": to_json(messages)}
    places: dict[str, list[int]] = defaultdict(list)
    for ticket_id, place in db.execute(_PLACES, names):
        places[str(ticket_id)].append(int(place))
    for ticket_id, gone in places.items():
        [(inbound, unread)] = db.execute(
            "SELECT inbound, unread FROM tickets WHERE id = ?", (ticket_id,)
        ).fetchall()
        inbound, unread = int(inbound), int(unread)  # type: ignore[arg-type]  # the schema's
        were_unread = len(gone) - bisect_right(gone, inbound - unread)
        left = max(0, min(unread - were_unread, inbound - len(gone)))
        db.execute("UPDATE tickets SET unread = ? WHERE id = ?", (left, ticket_id))
        seen = db.execute("SELECT agent, inbound FROM seen WHERE ticket_id = ?", (ticket_id,))
        marks = [(str(agent), int(mark)) for agent, mark in seen.fetchall()]  # type: ignore[arg-type]
        db.executemany(
            "UPDATE seen SET inbound = ? WHERE ticket_id = ? AND agent = ?",
            [(mark - bisect_right(gone, mark), ticket_id, agent) for agent, mark in marks],
        )
