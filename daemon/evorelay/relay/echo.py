"""Which message of ours a webhook is the echo of, while nobody has told its WhatsApp id yet.

Evolution posts ``send.message`` just before it answers our call, in about half of all sends
(research/evolution-live.md), and it is the first evidence after a call whose answer was lost.
One command of a conversation is under way at a time, so the words are enough to know it by.
"""

from evorelay.model.fact import MessageFact
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.relay.draft import Draft

CLOCKS_MS = 60_000
"""How far Evolution's clock and ours may be apart."""


class Echoes:
    """Those of one batch."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._in_doubt: dict[str, list[OutboxRecord]] = {}
        self.claimed: list[str] = []
        """Ids of the commands that turned out to be carried out."""

    def claim(
        self, fact: MessageFact, contact_id: str, received_at: int
    ) -> tuple[OutboxRecord, MessageRecord] | None:
        """The command, and its message, that a message of ours unknown so far is the echo of.

        ``received_at``: when its webhook came here (Unix ms); one that came before the first
        attempt, and waited in the journal, is somebody else's.
        """
        if not fact.from_me or fact.is_history:
            return None
        rows = self._in_doubt.get(contact_id)
        if rows is None:
            rows = self._in_doubt[contact_id] = self._draft.tx.outbox_in_doubt([contact_id])
        for row in rows:
            if received_at < (row.doubt_since or 0):
                continue
            messages = self._draft.tx.messages_by_id([row.message_id])
            message = messages.get(row.message_id)
            if message is not None and message.whatsapp_id is None and is_echo(fact, row, message):
                rows.remove(row)
                self.claimed.append(row.id)
                return row, message
        return None


def is_echo(fact: MessageFact, row: OutboxRecord, message: MessageRecord) -> bool:
    """Whether WhatsApp's message is what the command sent, to this same conversation."""
    if fact.whatsapp_id == row.own_id:
        return True
    if row.outgoing["type"] == "reaction":
        return False  # its target is not what it sent
    if fact.sent_at < (row.doubt_since or row.queued_at) - CLOCKS_MS:
        return False  # the same words at another time
    if fact.origin == "phone" and "recovered" not in fact.metadata:
        return False  # typed there, at the same moment
    if fact.type != message.type:
        return False
    said = row.outgoing.get("content", "")
    return not said or _squashed(said) == _squashed(fact.content)


def _squashed(text: str) -> str:
    return " ".join(text.split())
