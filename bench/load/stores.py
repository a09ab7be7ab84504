"""Stores of any size, the same every time: people, their tickets, and what they said."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

from evorelay.model.records import ContactRecord, MessageRecord, TicketRecord
from evorelay.storage.ports import Plan
from evorelay.storage.sqlite.store import SqliteStore

INSTANCES = 20
MESSAGES_EACH = 20
BATCH = 5000
T0 = 1_795_000_000_000
SYLLABLES = (
    "ca",
    "so",
    "pra",
    "tê",
    "ção",
    "mi",
    "lo",
    "qui",
    "ra",
    "be",
    "nhã",
    "gu",
    "si",
    "ter",
)
NAMES = ("João Souza", "Ana", "Érica Lima", "Bruno Reis", "Conceição", "Maria da Silva", "Zé")


def fill(store: SqliteStore, count: int) -> None:
    """``count`` messages, 20 of each person."""
    people = count // MESSAGES_EACH
    chance = random.Random(3)  # the same text every time
    for numbers in _batches(people):
        _write(
            store,
            new_contacts=[_contact(number) for number in numbers],
            new_tickets=[_ticket(number) for number in numbers],
        )
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(40_000)]
    shares = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    for numbers in _batches(count):
        messages = []
        for number in numbers:
            text = chance.choices(words, cum_weights=shares, k=chance.randint(2, 18))
            if number % 3 == 0:
                text.insert(0, "oi")
            if number % (count // 10) == 7:
                text.append("orçamento-raro")
            messages.append(_message(number, chance.randrange(people), " ".join(text)))
        _write(store, new_messages=messages)


def _write(store: SqliteStore, **rows: Any) -> None:
    plan = Plan(**rows)
    store.transact(lambda tx: tx.write(plan))


def _batches(count: int) -> Iterator[range]:
    for first in range(0, count, BATCH):
        yield range(first, min(first + BATCH, count))


def _contact(number: int) -> ContactRecord:
    phone = str(5511900000000 + number)
    return ContactRecord(
        id=f"c{number:08}",
        instance=f"loja-{number % INSTANCES}",
        name=f"{NAMES[number % len(NAMES)]} {number}",
        phone=phone,
        jid=f"{phone}@s.whatsapp.net",
        lid=None,
        avatar_url=None,
        is_group=False,
        created_at=T0,
    )


def _ticket(number: int) -> TicketRecord:
    return TicketRecord(
        id=f"t{number:08}",
        instance=f"loja-{number % INSTANCES}",
        contact_id=f"c{number:08}",
        status="open" if number % 5 == 0 else "closed",
        assignee=None,
        subject=None,
        unread=0,
        last_message_at=T0 + number,
        last_message=None,
        created_at=T0,
        closed_at=None,
        version=1,
    )


def _message(number: int, person: int, text: str) -> MessageRecord:
    return MessageRecord(
        id=f"m{number:09}",
        ticket_id=f"t{person:08}",
        contact_id=f"c{person:08}",
        instance=f"loja-{person % INSTANCES}",
        direction="in",
        sender="client",
        sender_id=None,
        sender_name=None,
        type="text",
        content=text,
        status="received",
        is_internal=False,
        created_at=T0 + number,
        received_at=T0 + number,
        whatsapp_id=f"W{number}",
        reply_to=None,
        reactions=[],
        edited_at=None,
        deleted_at=None,
        media=None,
        error=None,
        metadata={},
        journal_seq=number,
    )
