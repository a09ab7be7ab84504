"""Finding out what became of an attempt whose outcome nobody told us (P4).

Evolution's own list of messages is asked. It is believed when it has the message; when it has not,
it is believed only if it has an older one of ours, because an Evolution that keeps no messages
(``DATABASE_SAVE_DATA_NEW_MESSAGE`` off) never has any.
"""

from enum import Enum

import msgspec

from evorelay.model.clock import NowMs
from evorelay.model.envelope import Envelope
from evorelay.model.fact import Chat, MessageFact
from evorelay.model.outcome import MessageWindow
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.protocol.normalise import normalise
from evorelay.relay.attempts import MEANWHILE_OVER
from evorelay.relay.draft import Draft
from evorelay.relay.echo import CLOCKS_MS, is_echo
from evorelay.relay.gateway import Gateway
from evorelay.relay.joining import join_by_answer
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads

PAGE = 100
PAGES_MAX = 20


class Look(Enum):
    OVER = "over"
    """It was sent, or settled otherwise in the meantime."""
    ABSENT = "absent"
    """Evolution has no such message, and would have it."""
    BLIND = "blind"
    """Evolution does not have such a message, but it does not keep messages."""


class Settler:
    def __init__(self, gateway: Gateway, ledger: Ledger, reads: Reads, *, now: NowMs) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._reads = reads
        self._now = now

    async def look(self, row: OutboxRecord) -> Look:
        """Ask once. Raises ``GatewayFault`` when Evolution cannot be asked."""
        facts = await self._sent_since((row.attempted_at or row.queued_at) - CLOCKS_MS, row)
        if await self._ledger.change(lambda draft: recognise(draft, row.id, facts)):
            return Look.OVER
        return Look.BLIND if await self._is_blind(row) else Look.ABSENT

    async def _sent_since(self, since_ms: int, row: OutboxRecord) -> list[MessageFact]:
        """What Evolution says we sent, as its webhooks would have said it."""
        window = MessageWindow(since_ms=since_ms, until_ms=self._now() + CLOCKS_MS, from_me=True)
        facts: list[MessageFact] = []
        page = pages = 1
        while page <= min(pages, PAGES_MAX):
            found = await self._gateway.find_messages(
                row.instance, window, page=page, page_size=PAGE
            )
            pages = found.pages
            facts += (
                fact
                for record in found.records
                for fact in _facts_of(row.instance, record, self._now())
                if fact.sent_at >= since_ms
            )
            page += 1
        return facts

    async def _is_blind(self, row: OutboxRecord) -> bool:
        known = await self._reads(lambda reader: reader.latest_reply(row.instance))
        if known is None:
            return False  # the first reply of all: there is nothing Evolution could have
        window = MessageWindow(whatsapp_id=known.whatsapp_id)
        found = await self._gateway.find_messages(row.instance, window, page=1, page_size=PAGE)
        return not any(
            fact.whatsapp_id == known.whatsapp_id
            for record in found.records
            for fact in _facts_of(row.instance, record, self._now())
        )


def recognise(draft: Draft, outbox_id: str, facts: list[MessageFact]) -> bool:
    """Join the command with what it sent, if that is among the facts.

    True also when it was settled in the meantime.
    """
    row = draft.tx.outbox([outbox_id])[outbox_id]
    if row.state in MEANWHILE_OVER:
        return True
    message = draft.tx.messages_by_id([row.message_id])[row.message_id]
    contact = draft.tx.contacts([row.contact_id])[row.contact_id]
    own = set(Chat(jid=contact.jid, phone=contact.phone, lid=contact.lid).aliases)
    own |= {alias.alias for alias in draft.tx.aliases([contact.id])}
    known = draft.tx.messages([(row.instance, fact.whatsapp_id) for fact in facts])
    taken = {other.message_id for other in draft.tx.outbox_of([m.id for m in known.values()])}
    for fact in sorted(facts, key=lambda fact: fact.sent_at):
        stored = known.get((row.instance, fact.whatsapp_id))
        if not is_echo(fact, row, message):
            continue
        if stored is not None and (stored.id in taken or _was_typed(stored)):
            continue
        # A privacy id we cannot place may be this person's; somebody else's phone is not.
        is_theirs = bool(own & set(fact.chat.aliases))
        is_nobodys = fact.chat.phone is None and not fact.chat.is_group and fact.chat.lid
        if is_theirs or (is_nobodys and contact.lid is None and not contact.is_group):
            join_by_answer(draft, row, message, fact.whatsapp_id, fact.chat.jid)
            return True
    return False


def _was_typed(stored: MessageRecord) -> bool:
    """On the phone, as its own webhook said; Evolution's list does not tell."""
    return stored.metadata.get("origin") == "phone" and "recovered" not in stored.metadata


def _facts_of(instance: str, record: dict[str, object], now: int) -> list[MessageFact]:
    body = msgspec.json.encode({"event": "send.message", "instance": instance, "data": record})
    envelope = Envelope(received_at=now, event="send.message", instance=instance, body=body)
    return [fact for fact in normalise(envelope) if isinstance(fact, MessageFact)]
