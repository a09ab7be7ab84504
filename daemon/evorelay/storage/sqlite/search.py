"""Full-text search: what somebody typed, as a condition on tickets.

A ticket is found by its contact's name or phone number, by its subject, or by what was said in
it. Text counts as written in a hurry: capitals and accents make no difference, words may stand in
any order within a message, and the last one may be the beginning of a word.

A page of tickets among 1,000,000 messages of 50,000 people (``python -m bench.search``, 2 shared
cores): 113 ms by a word of every third message, 58 ms by a rare one, 211 ms by one letter, which is
the worst; 45, 6 and 143 ms for an agent of one instance in twenty. The index costs 3 µs a message
in a batch, and 50 µs in a commit of its own, which takes 160 µs without.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import apsw

from evorelay.model.fact import phone_key

HITS_MAX = 100_000
"""Messages looked at, the newest first: whoever seeks a word of every day is shown the latest."""
_DIGITS_MIN = 4


def install(connection: apsw.Connection) -> None:
    """Teach a reading connection what ``matching`` uses."""
    connection.create_scalar_function("folded", _folded_value, 1, deterministic=True)


def _folded_value(*values: Any) -> str:
    (text,) = values
    return folded(text or "")


def folded(text: str) -> str:
    """The form in which two spellings of a name are equal: no capitals, no accents."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in parts if not unicodedata.combining(character))


def matching(q: str, instances: Sequence[str] | None) -> tuple[str, list[Any]]:
    """A condition on the tickets ``t`` and its bindings. ``instances`` as in ``TicketQuery``."""
    readable = "".join(character if character.isprintable() else " " for character in q).strip()
    own, names = _of_instances(instances, "instance")
    pattern = "%" + _escaped(folded(readable)) + "%"
    people = ["folded(name) LIKE ? ESCAPE '\\'"]
    person_bindings: list[Any] = [pattern]
    phone = _phone(readable)
    if phone is not None:
        people.append("phone LIKE ?")
        person_bindings.append(f"%{phone}%")
    clauses = [
        "(t.subject IS NOT NULL AND folded(t.subject) LIKE ? ESCAPE '\\')",
        f"t.contact_id IN (SELECT id FROM contacts WHERE {own}({' OR '.join(people)}))",  # noqa: S608 -- literals
    ]
    bindings = [pattern, *names, *person_bindings]
    expression = text_query(readable)
    if expression is not None:
        of_message, names = _of_instances(instances, "m.instance")
        clauses.append(
            "t.id IN (SELECT m.ticket_id FROM"  # noqa: S608 -- literals
            " (SELECT rowid AS arrival FROM messages_text WHERE messages_text MATCH ?"
            f" ORDER BY rowid DESC LIMIT {HITS_MAX}) AS hit"
            " CROSS JOIN messages AS m ON m.arrival = hit.arrival"
            f" WHERE {of_message}m.ticket_id IS NOT NULL)"
        )
        bindings += [expression, *names]
    return f"({' OR '.join(clauses)})", bindings


def text_query(q: str) -> str | None:
    """What to ask the index for, None when ``q`` has neither a letter nor a digit.

    Every word goes in as a quoted string, inside of which FTS5 knows no operator; SQLite's own
    tokenizer takes it apart, so ``e-mail`` is found as the two words it was stored as.
    """
    words = [word for word in q.split() if any(map(str.isalnum, word))]
    if not words:
        return None
    return " ".join('"{}"'.format(word.replace('"', '""')) for word in words) + " *"


def _phone(q: str) -> str | None:
    """The digits to look for when somebody typed a phone number, in whatever spelling."""
    digits = "".join(character for character in q if character.isdecimal())
    if len(digits) < _DIGITS_MIN or any(map(str.isalpha, q)):
        return None
    return phone_key(digits)[-8:]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _of_instances(instances: Sequence[str] | None, column: str) -> tuple[str, list[Any]]:
    if instances is None:
        return "", []
    return f"{column} IN ({', '.join('?' * len(instances))}) AND ", list(instances)
