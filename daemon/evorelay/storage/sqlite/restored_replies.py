"""Replies that waited when a backup was made: after a restore nobody knows whether they were sent.

They end visibly and are not sent (P4); an agent decides.
"""

import apsw
import msgspec

from evorelay.model.clock import now_ms

REPLY_ERROR = {
    "code": "restored",
    "message": "it was waiting when the backup was made, and may have been sent after it: look at"
    " the phone before you send it again",
}
IS_WAITING = "s.state IN ('queued', 'sending', 'unknown')"
_IS_PENDING = "s.direction = 'out' AND s.status = 'pending' AND s.metadata->>'origin' IS NULL"
"""A reply written here: one typed on the phone is WhatsApp's own."""
_ERROR_JSON = msgspec.json.encode(REPLY_ERROR).decode()


def fail_waiting(db: apsw.Connection) -> int:
    """In a store that a copy becomes as it is; returns how many."""
    db.execute(f"UPDATE outbox AS s SET {_assigned(failed_reply(now_ms()))} WHERE {IS_WAITING}")  # noqa: S608 -- our own names
    failed = db.changes()
    db.execute(f"UPDATE messages AS s SET {_assigned(failed_message())} WHERE {_IS_PENDING}")  # noqa: S608 -- our own names
    return failed


def failed_message() -> dict[str, str]:
    """Columns of a message as it is restored: nobody will send what waited."""
    return {
        "status": f"iif({_IS_PENDING}, 'failed', s.status)",
        "error": f"iif({_IS_PENDING}, '{_ERROR_JSON}', s.error)",
    }


def failed_reply(at: int) -> dict[str, str]:
    """Columns of a command likewise: its late echo is still welcome (``doubt_since``)."""
    return {
        "state": f"iif({IS_WAITING}, 'failed', s.state)",
        "ended_at": f"iif({IS_WAITING}, {at}, s.ended_at)",
        "error": f"iif({IS_WAITING}, '{_ERROR_JSON}', s.error)",
        "doubt_since": f"iif({IS_WAITING}, coalesce(s.doubt_since, s.queued_at), s.doubt_since)",
    }


def _assigned(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in columns.items())
