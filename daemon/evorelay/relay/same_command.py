"""The same command by two paths is one message.

Front ends of the older kind emit ``send-message`` over Socket.IO and call a send endpoint for the
same text, because their server only showed the one and only sent the other. Two commands are taken
for one when they say the same words in the same conversation within a short time, one of them by
Socket.IO and the other by HTTP. They are paired one to one, the oldest first, so a text that was
meant twice, and came by both paths each time, is sent twice.

Who sent them is not looked at: such endpoints are often called with a token of the server's own.
"""

from msgspec import Struct

from evorelay.model.records import OutboxRecord
from evorelay.relay.commands import Path
from evorelay.relay.draft import Draft

LATEST = 256
"""Commands of a conversation that are looked at: what an agent does in a few seconds, many times
over. A flood finds an end there, and what lies behind it is sent."""
_PARTNERS: dict[Path, tuple[Path, ...]] = {
    "socketio": ("rest", "endpoint"),
    "rest": ("socketio",),
    "endpoint": ("socketio",),
}


class Words(Struct, frozen=True, kw_only=True):
    """A plain text for WhatsApp, as a command brought it."""

    contact_id: str
    content: str
    target: str | None
    """Our id of the message it quotes."""
    path: Path


def are_said_by(row: OutboxRecord, words: Words) -> bool:
    """Whether a command by another path said these words, and not in an internal note."""
    said = row.outgoing
    return (
        row.path != words.path
        and (row.state != "kept" or is_second(row))
        and row.contact_id == words.contact_id
        and said["type"] == "text"
        and said["content"] == words.content
        and said.get("target") == words.target
    )


def find_first(draft: Draft, words: Words, within_ms: int) -> OutboxRecord | None:
    """The command that these words are the second half of; None: they are a command of their own.

    ``within_ms``: it is less than this old, 0 for never; after a clock was put back, less than
    this far in the future. What failed is no partner: nobody has got it.
    """
    partners = _PARTNERS.get(words.path, ())
    if not partners or not within_ms:
        return None
    latest = draft.tx.outbox_saying(
        words.contact_id, words.content, since=draft.now - within_ms, limit=LATEST
    )
    firsts = [
        row
        for row in latest
        if row.path in partners
        and row.created_at < draft.now + within_ms
        and are_said_by(row, words)
    ]
    taken = {row.message_id for row in draft.tx.outbox_of(_messages(firsts)) if is_second(row)}
    messages = draft.tx.messages_by_id(_messages(firsts))
    for row in firsts:
        if row.message_id not in taken and messages[row.message_id].status != "failed":
            return row
    return None


def is_second(row: OutboxRecord) -> bool:
    """Whether the command was answered with another one's message."""
    return row.state == "kept" and row.message_id != row.id


def _messages(rows: list[OutboxRecord]) -> list[str]:
    return [row.message_id for row in rows]
