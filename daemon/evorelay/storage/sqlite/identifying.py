"""Who and what of a copy is who and what of the store: two temporary tables, ``person``, ``place``.

The store may have been filled anew since the copy was made, under other ids, and may have learned
since that two people are one. SQL here runs with the copy attached as ``src``.
"""

import apsw

PREPARE = """
    CREATE TEMP TABLE person (id TEXT PRIMARY KEY, known_as TEXT NOT NULL) WITHOUT ROWID;
    CREATE TEMP TABLE place (id TEXT PRIMARY KEY, known_as TEXT NOT NULL) WITHOUT ROWID;
"""
PERSON = "coalesce((SELECT p.known_as FROM temp.person AS p WHERE p.id = {0}), {0})"
PLACE = "coalesce((SELECT p.known_as FROM temp.place AS p WHERE p.id = {0}), {0})"
IS_MOVED = "EXISTS (SELECT 1 FROM temp.place AS p WHERE p.id = s.id)"
STAYS = """(NOT :wins OR NOT EXISTS (SELECT 1 FROM src.tickets AS z WHERE z.id = t.id)
    OR ('ticket', t.id) IN (SELECT kind, key FROM temp.own))"""
"""A ticket of the store that the copy's does not take the place of."""
_PERSONS = """
    INSERT INTO temp.person
        SELECT s.id, (SELECT a.contact_id FROM src.aliases AS o
            JOIN main.aliases AS a ON a.instance = o.instance AND a.alias = o.alias
            WHERE o.contact_id = s.id AND (NOT :wins
                OR ('alias', json_array(a.instance, a.alias)) IN (SELECT kind, key FROM temp.own))
            ORDER BY a.contact_id LIMIT 1) AS found
        FROM src.contacts AS s
        WHERE NOT EXISTS (SELECT 1 FROM main.contacts AS c WHERE c.id = s.id)
            AND found IS NOT NULL
"""
"""People of the copy whom the store knows under another id."""
_PLACES = f"""
    INSERT INTO temp.place
        SELECT s.id, t.id FROM src.tickets AS s
        JOIN main.tickets AS t ON t.contact_id = {PERSON.format("s.contact_id")}
            AND t.status <> 'closed' AND {STAYS}
        WHERE s.status <> 'closed'
            AND NOT EXISTS (SELECT 1 FROM main.tickets AS m WHERE m.id = s.id)
"""  # noqa: S608 -- our own names
"""Open tickets of the copy whose person has another open one in the store: it takes them over."""
_LEFT_PLACES = f"""
    WITH RECURSIVE led (id, target) AS (
        SELECT t.id, t.merged_into FROM main.tickets AS t JOIN src.tickets AS s ON s.id = t.id
            WHERE t.merged_into IS NOT NULL AND s.merged_into IS NULL AND {STAYS}
        UNION SELECT led.id, t.merged_into FROM led JOIN main.tickets AS t ON t.id = led.target
            WHERE t.merged_into IS NOT NULL
    )
    INSERT OR IGNORE INTO temp.place SELECT id, target FROM led
        WHERE target IN (SELECT id FROM main.tickets WHERE merged_into IS NULL)
"""  # noqa: S608 -- our own names
"""Tickets that another one took over in the store: by an earlier restore, or for they were one
person's. What was said on them belongs there."""
_SHARED_PLACES = f"""
    INSERT OR IGNORE INTO temp.place SELECT id, first FROM (
        SELECT s.id, min(s.id) OVER (PARTITION BY {PERSON.format("s.contact_id")}) AS first
            FROM src.tickets AS s
            WHERE s.status <> 'closed' AND s.id NOT IN (SELECT id FROM temp.place)
                AND NOT EXISTS (SELECT 1 FROM main.tickets AS m WHERE m.id = s.id))
        WHERE id <> first
"""  # noqa: S608 -- our own names
"""Open tickets of people who were two in the copy and are one in the store."""


def identify_people(db: apsw.Connection, *, wins: bool) -> None:
    """Fill ``person``. ``wins``: the copy's rows replace the store's, but for its own changes."""
    db.execute(_PERSONS, {"wins": wins})


def identify_tickets(db: apsw.Connection, *, wins: bool) -> None:
    """Fill ``place``, when the people are there."""
    for sql in (_PLACES, _LEFT_PLACES):
        db.execute(sql, {"wins": wins})
    db.execute(_SHARED_PLACES)
