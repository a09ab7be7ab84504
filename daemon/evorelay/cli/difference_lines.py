"""What a replay changes, in lines for a terminal."""

import json
from collections.abc import Iterator
from typing import Any

from evorelay.cli.printable import printable

_CHANGED = {"message.changed": "message", "ticket.changed": "ticket", "contact.changed": "person"}


def difference_lines(difference: dict[str, Any]) -> Iterator[str]:
    """One difference of the daemon's answer (relay/differences.py): a line, and one per field."""
    what, who = difference["what"], difference["who"]
    name = f" of {printable(who)}" if who else ""
    id_ = printable(difference["id"])
    if what == "message.created":
        yield f'new message {id_}{name}: "{printable(difference["text"] or "")}"'
    elif what == "ticket.created":
        yield f"new ticket{name}"
    elif what == "contact.created":
        yield f"new person {printable(who or id_)}"
    elif what == "ignored":
        yield f"{printable(difference['text'] or id_)} is of no consequence any more"
    elif what == "ticket.merged":
        yield f"ticket {id_}{name} is one with ticket {difference['fields'][0]['after']}"
    else:
        yield f"{_CHANGED.get(what, printable(what))} {id_}{name}"
        for field in difference["fields"]:
            before, after = _shown(field["before"]), _shown(field["after"])
            yield f"    {printable(field['field'])}: {before} -> {after}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return f'"{printable(value)}"' if isinstance(value, str) else json.dumps(value)
