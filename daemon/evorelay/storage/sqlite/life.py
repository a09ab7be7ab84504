"""A store's life: its epoch, where it is in it, and which other lives it holds.

A store that was restored begins another life, so that no cursor of a client is believed. It
remembers whose state it took over, which is how a later restore knows what is newer.
"""

import uuid
from collections.abc import Iterable

import apsw
import msgspec

from evorelay.model.backup import Mark
from evorelay.model.clock import now_ms
from evorelay.storage.sqlite.schema import MIGRATIONS
from evorelay.storage.sqlite.transaction import LOG

Ancestor = tuple[str, int, int]
"""(epoch, revision, own revision): all of that life up to that revision is here, and what the
store itself changed since has a higher revision than the last number."""

_ANCESTORS_MAX = 100


def read_mark(db: apsw.Connection) -> Mark:
    """Where the store is in its life."""
    revision, change = db.execute(
        "SELECT revision, kind || ' ' || key FROM changes ORDER BY revision DESC LIMIT 1"
    ).fetchone() or (0, "")
    return Mark(
        epoch=str(db.execute("SELECT value FROM meta WHERE key = 'epoch'").get),
        schema=len(MIGRATIONS),
        revision=revision,
        change=change,
        event_id=db.execute("SELECT head FROM channels WHERE name = ?", (LOG,)).get or 0,
        arrival=db.execute("SELECT max(arrival) FROM messages").get or 0,
        cursors=dict(db.execute("SELECT journal, seq FROM cursors")),
    )


def begin_life(db: apsw.Connection, ancestors: Iterable[Ancestor]) -> str:
    """Give the store a new epoch, which is returned, and note what it took over."""
    epoch = uuid.uuid4().hex[:12]
    db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
    db.execute("INSERT OR REPLACE INTO meta VALUES ('born_at', ?)", (str(now_ms()),))
    note_ancestors(db, ancestors)
    return epoch


def note_ancestors(db: apsw.Connection, ancestors: Iterable[Ancestor]) -> None:
    """The last one noted is the last one read."""
    known = {ancestor[0]: ancestor for ancestor in read_ancestors(db)}
    for ancestor in ancestors:
        known.pop(ancestor[0], None)
        known[ancestor[0]] = ancestor
    text = msgspec.json.encode(list(known.values())[-_ANCESTORS_MAX:]).decode()
    db.execute("INSERT OR REPLACE INTO meta VALUES ('ancestors', ?)", (text,))


def read_ancestors(db: apsw.Connection) -> list[Ancestor]:
    return decode_ancestors(db.execute("SELECT value FROM meta WHERE key = 'ancestors'").get)


def decode_ancestors(text: object) -> list[Ancestor]:
    return msgspec.json.decode(str(text or "[]"), type=list[Ancestor])
