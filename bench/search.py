"""What a page of tickets costs when somebody searches among a million messages.

The store is filled through the daemon's own driver, then asked as ``GET /v1/tickets?q=`` asks it;
no daemon runs. A third of the messages begin with the same word, ten hold a word of their own.
"""

import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.harness import Run, main
from evorelay.model.records import ContactRecord, MessageRecord, TicketRecord
from evorelay.storage.ports import Plan, TicketQuery
from evorelay.storage.sqlite.reader import SqliteReader
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
CASES = {
    "a word of every third message": "oi",
    "a word of ten messages": "orcamento raro",
    "the beginnings of three words": "ca so o",
    "one letter": "c",
    "a name": "joao",
    "a phone number": "(11) 90000-0040",
    "nothing that is there": "xyzzy",
}


def bench(run: Run) -> None:
    count = 20_000 if run.quick else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.db"
        with closing(SqliteStore(path, durable=False)) as store, run.step("fill", count / 30_000):
            began = time.perf_counter()
            fill(store, count)
            taken = time.perf_counter() - began
        run.row("fill", us_each=round(taken / count * 1e6, 1), messages=count)
        with closing(SqliteReader(path)) as reader:
            for case, q in CASES.items():
                for instances in (None, ("loja-0",)):
                    _measure(run, reader, case, TicketQuery(q=q, instances=instances))


def _measure(run: Run, reader: SqliteReader, case: str, query: TicketQuery) -> None:
    """The fastest of five: what the machine does besides only ever adds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        found = len(reader.tickets(query))
        best = min(best, time.perf_counter() - began)
    if query.instances is None:
        run.check((found > 0) == (query.q != "xyzzy"), f"{found} tickets by {query.q!r}")
    run.row(case, instances="all" if query.instances is None else "one", ms=round(best * 1e3, 1))


def fill(store: SqliteStore, count: int) -> None:
    """So many messages, twenty of each person."""
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


if __name__ == "__main__":
    main("search", __doc__, bench)
