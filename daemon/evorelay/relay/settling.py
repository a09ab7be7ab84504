"""Finding out what became of an attempt whose outcome nobody told us (P4).

Evolution's own list of messages is asked. It is believed when it has the message; when it has not,
it is believed only if it has an older reply of ours, because an Evolution that keeps no messages
(``DATABASE_SAVE_DATA_NEW_MESSAGE`` off) never has any. Of the very first reply of an instance there
is nothing to tell it by.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from functools import partial
from typing import Any

import msgspec

from evorelay.model.clock import NowMs
from evorelay.model.envelope import Envelope
from evorelay.model.fact import Chat, MessageFact
from evorelay.model.outcome import GatewayFault, MessageWindow
from evorelay.model.records import ContactRecord, MessageRecord, OutboxRecord
from evorelay.protocol.evolution.answers import RECORDS_MAX, TOO_LARGE
from evorelay.protocol.normalise import normalise
from evorelay.protocol.recovery import moment_of_row
from evorelay.relay.attempts import MEANWHILE_OVER
from evorelay.relay.draft import Draft
from evorelay.relay.echo import CLOCKS_MS, is_echo
from evorelay.relay.gateway import Gateway
from evorelay.relay.joining import join_by_answer
from evorelay.relay.reads import Reads

PAGE = 100
PAGES_MAX = 50
"""Of Evolution's list, newest first, for one message. A new one pushes the others to later pages,
so none is missed; what lies beyond the last page is not believed absent."""

Change = Callable[[Callable[[Draft], bool]], Awaitable[bool]]
"""``Ledger.change``"""


class Look(Enum):
    OVER = "over"
    """It was sent, or settled otherwise in the meantime."""
    ABSENT = "absent"
    """Evolution has no such message, and would have it."""
    BLIND = "blind"
    """Evolution does not have such a message, but it does not keep messages."""
    UNSURE = "unsure"
    """There is more in its list than could be looked through."""


class Settler:
    def __init__(self, gateway: Gateway, change: Change, reads: Reads, *, now: NowMs) -> None:
        self._gateway = gateway
        self._change = change
        self._reads = reads
        self._now = now

    async def look(self, row: OutboxRecord, until_ms: int) -> Look:
        """Ask once. Raises ``RelayError`` when Evolution, or our store, cannot be asked.

        ``until_ms``: by when Evolution must have sent it if it ever did.
        """
        since = (row.doubt_since or row.queued_at) - CLOCKS_MS
        until = min(self._now(), until_ms) + CLOCKS_MS

        window = MessageWindow(since_ms=since, until_ms=until, from_me=True)
        page, size = 1, PAGE
        while page <= PAGES_MAX:
            try:
                found = await self._gateway.find_messages(
                    row.instance, window, page=page, page_size=size
                )
            except GatewayFault as fault:
                if fault.code != TOO_LARGE or size == 1:
                    raise
                page, size = 1, max(1, size // 10)
                continue
            facts = [fact for one in found.records for fact in self._facts_of(row.instance, one)]
            if await self._change(partial(recognise, outbox_id=row.id, facts=facts)):
                return Look.OVER
            moments = [moment for one in found.records if (moment := moment_of_row(one))]
            reaches_back = bool(moments) and min(moments) < since
            if page >= found.pages and len(found.records) >= size and not reaches_back:
                if size >= RECORDS_MAX:  # Evolution 1.x has no pages
                    return Look.UNSURE
                size = min(RECORDS_MAX, size * 4)
            elif page >= found.pages or reaches_back:
                return Look.BLIND if await self._is_blind(row) else Look.ABSENT
            else:
                page += 1
        return Look.UNSURE

    async def _is_blind(self, row: OutboxRecord) -> bool:
        known = await self._reads(lambda reader: reader.latest_reply(row.instance))
        if known is None:
            return False
        window = MessageWindow(whatsapp_id=known.whatsapp_id)
        found = await self._gateway.find_messages(row.instance, window, page=1, page_size=PAGE)
        return not any(
            fact.whatsapp_id == known.whatsapp_id
            for record in found.records
            for fact in self._facts_of(row.instance, record)
        )

    def _facts_of(self, instance: str, record: dict[str, Any]) -> list[MessageFact]:
        """As the webhook would have said it."""
        event = "send.message"
        body = msgspec.json.encode({"event": event, "instance": instance, "data": record})
        envelope = Envelope(received_at=self._now(), event=event, instance=instance, body=body)
        return [fact for fact in normalise(envelope) if isinstance(fact, MessageFact)]


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
    for fact in sorted(facts, key=lambda fact: fact.sent_at):
        stored = known.get((row.instance, fact.whatsapp_id))
        if not fact.from_me or not is_echo(fact, row, message):
            continue
        if stored is not None and not _may_be_ours(draft, row, stored):
            continue
        is_sure = bool(own & set(fact.chat.aliases))
        if is_sure or _may_be_theirs(draft, row, contact, fact):
            join_by_answer(
                draft, row.id, fact.whatsapp_id, fact.chat.jid, known="listed", is_sure=is_sure
            )
            return True
    return False


def _may_be_ours(draft: Draft, row: OutboxRecord, stored: MessageRecord) -> bool:
    """Whether a message that was stored already can be what the command sent."""
    if stored.received_at < (row.doubt_since or 0) or draft.tx.outbox_of([stored.id]):
        return False  # it was here before the attempt, or is another command's
    # Typed on the phone, as its own webhook said; Evolution's list does not tell.
    return stored.metadata.get("origin") != "phone" or "recovered" in stored.metadata


def _may_be_theirs(
    draft: Draft, row: OutboxRecord, contact: ContactRecord, fact: MessageFact
) -> bool:
    """Whether a privacy id that nobody has placed can be the person the command is for.

    Only if nobody is known by it who ever wrote, and nobody else is being sent the same words.
    """
    said = row.outgoing.get("content")
    lid = fact.chat.lid
    if not said or lid is None or fact.chat.phone is not None or contact.lid is not None:
        return False
    if contact.is_group or fact.chat.is_group:
        return False
    key = (row.instance, f"lid:{lid}")
    owner = draft.tx.contacts_by_alias([key]).get(key)
    if owner is not None:
        tickets = draft.tx.tickets_of(owner.id)
        if owner.phone is not None or any(ticket.inbound for ticket in tickets):
            return False
    return not any(
        other.outgoing.get("content") == said and other.contact_id != row.contact_id
        for other in draft.tx.outbox_under_way(row.instance)
    )
