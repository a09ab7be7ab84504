"""Simulated days and months, shuffled and repeated, against the truth beside them (P2, P6).

The simulator speaks every version and channel of Evolution; who is who and what was said is known
to it alone. Everything here goes the real way from body to store.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from evorelay.model.envelope import Entry, Envelope
from evorelay.model.records import MessageRecord, TicketRecord
from evorelay.model.rendering import DELETED_LABEL, message_view
from evorelay.protocol.normalise import normalise
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.draft import Draft
from evorelay.simulator.day import day, month
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.diary import Posted
from evorelay.simulator.truth import MessageTruth, Truth
from tests.engine.harness import HOUR, World, open_blobs, stored
from tests.engine.outcome import outcome


def understood(posted: Posted, seq: int, at_ms: int) -> Understood:
    envelope = Envelope(
        received_at=at_ms,
        event=posted.event,
        instance=posted.instance,
        body=posted.body,
    )
    return Understood(Entry(seq, envelope), normalise(envelope))


async def feed(world: World, webhooks: Sequence[tuple[int, Posted]], batch: int) -> None:
    """Store webhooks in this order; ``batch`` of them at a time. (arrival in ms, webhook)"""
    for start in range(0, len(webhooks), batch):
        first = world.ledger_seq + 1
        pieces = [
            understood(posted, seq, at_ms)
            for seq, (at_ms, posted) in enumerate(webhooks[start : start + batch], first)
        ]
        world.ledger_seq = pieces[-1].entry.seq
        world.now.ms = max(world.now.ms, pieces[-1].entry.envelope.received_at)

        def work(draft: Draft, pieces: list[Understood] = pieces) -> Applied:
            return apply_batch(draft, batch=pieces, journal="j", reopen_within_ms=24 * HOUR)

        await world.ledger.change(work)


async def stored_day(
    directory: Path, webhooks: Sequence[tuple[int, Posted]], batch: int
) -> tuple[Any, list[str]]:
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        await feed(world, webhooks, batch)
        odd = [row.reason for row in storage.readers[0].quarantine(before=None, limit=100)]
        return outcome(world), odd


def in_order(webhooks: Sequence[Posted]) -> list[tuple[int, Posted]]:
    return [(posted.at_ms, posted) for posted in webhooks]


def shuffled(webhooks: Sequence[Posted], seed: int) -> list[tuple[int, Posted]]:
    """Any order at all, every tenth twice, all of them arriving when the day is over."""
    random = Random(seed)
    end = webhooks[-1].at_ms
    again = [*webhooks, *random.sample(webhooks, len(webhooks) // 10)]
    random.shuffle(again)
    return [(end, posted) for posted in again]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_shuffled_day_of_any_version_ends_in_the_same_store(
    tmp_path: Path, dialect: str
) -> None:
    made = day(len(dialect), instances=1, people=8, messages=120, dialects=(dialect,))
    late = [(made.webhooks[-1].at_ms, posted) for posted in made.webhooks]
    expected, odd = await stored_day(tmp_path / "a", late, 64)
    assert odd == []
    for seed, batch in ((1, 1), (2, 17), (3, 500)):
        found, _ = await stored_day(tmp_path / f"b{seed}", shuffled(made.webhooks, seed), batch)
        assert found == expected


async def test_a_day_of_every_version_is_told_as_it_was(tmp_path: Path) -> None:
    made = day(5, people=10, messages=900)
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await feed(world, in_order(made.webhooks), 100)
        compare(world, made.truth)


async def test_a_shuffled_day_of_every_version_is_told_as_it_was(tmp_path: Path) -> None:
    made = day(6, people=10, messages=900)
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await feed(world, shuffled(made.webhooks, 7), 100)
        compare(world, made.truth)


async def test_a_month_of_identity_changes_leaves_one_open_ticket_per_person(
    tmp_path: Path,
) -> None:
    """Late by up to a minute, some twice; looked at after every few hundred webhooks."""
    made = month(9, instances=len(DIALECTS), people=8, messages_per_day=60)
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        for chunk in chunks(late_and_twice(made.webhooks(), Random(3)), 500):
            await feed(world, chunk, 50)
            open_tickets = [row.contact_id for row in world.tickets() if row.status != "closed"]
            assert len(open_tickets) == len(set(open_tickets))
        compare(world, made.truth())


def late_and_twice(webhooks: Iterator[Posted], random: Random) -> Iterator[tuple[int, Posted]]:
    held: list[tuple[int, int, Posted]] = []
    for number, posted in enumerate(webhooks):
        for _ in range(1 + (random.random() < 0.05)):
            held.append((posted.at_ms + random.randrange(60_000), number, posted))
        if len(held) > 200:
            held.sort(key=lambda item: item[:2])
            for at_ms, _, due in held[:100]:
                yield at_ms, due
            del held[:100]
    for at_ms, _, due in sorted(held, key=lambda item: item[:2]):
        yield at_ms, due


def chunks(items: Iterator[tuple[int, Posted]], size: int) -> Iterator[list[tuple[int, Posted]]]:
    chunk: list[tuple[int, Posted]] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def compare(world: World, truth: Truth) -> None:
    """Everything that was said is there once, in the right ticket, as it reads on the phone."""
    reader = world.storage.readers[0]
    assert [row.reason for row in reader.quarantine(before=None, limit=9)] == []
    tickets = {row.id: row for row in world.tickets()}
    found = {(row.instance, str(row.whatsapp_id)): row for row in world.messages()}
    contact_of: dict[tuple[str, frozenset[str]], str] = {}
    for key, said in truth.messages.items():
        row = found.get(key)
        if row is None:
            assert said.is_history, f"{key} is missing: {said}"
            continue
        agrees(row, said, partial(truth.identity, said.instance))
        ticket = ticket_of(tickets, row)
        who = (said.instance, truth.identity(said.instance, said.chat))
        assert contact_of.setdefault(who, ticket.contact_id) == ticket.contact_id, said
    assert len(set(contact_of.values())) == len(contact_of), "two people in one ticket"
    assert not (found.keys() & truth.never)
    extra = found.keys() - truth.messages.keys()
    assert not extra, [found[key] for key in list(extra)[:3]]


def ticket_of(tickets: dict[str, TicketRecord], row: MessageRecord) -> TicketRecord:
    assert row.ticket_id is not None
    return tickets[row.ticket_id]


def agrees(
    row: MessageRecord, said: MessageTruth, identity: Callable[[str], frozenset[str]]
) -> None:
    view = message_view(row)
    assert view.type == said.stored_as, (view, said)
    assert view.direction == ("out" if said.from_me else "in")
    assert row.created_at // 1000 == said.sent_s, (view, said)
    assert (view.deleted_at is not None) == said.deleted, (view, said)
    if said.deleted:
        assert view.content == DELETED_LABEL
    elif said.text is not None:
        assert view.content == said.text, (view, said)
    else:
        assert view.content
        assert (said.within or "") in view.content, (view, said)
    if not said.deleted:
        assert (view.edited_at is not None) == said.edited, (view, said)
        assert view.reply_to == said.quotes, (view, said)
    if said.from_me and said.status is not None:
        assert view.status == said.status, (view, said)
    told = [(identity(item["who"]), item["emoji"]) for item in row.reactions if item["emoji"]]
    expected = [(identity(who), emoji) for who, emoji in said.reactions.items()]
    assert sorted(told, key=repr) == sorted(expected, key=repr), (view, said)
    votes = [
        (identity(item["who"]), tuple(item["options"]))
        for item in row.metadata.get("votes", [])
        if item["options"]
    ]
    cast = [(identity(who), options) for who, options in said.votes.items() if options]
    assert sorted(votes, key=repr) == sorted(cast, key=repr), (view, said)
