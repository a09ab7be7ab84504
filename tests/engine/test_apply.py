"""What facts come to in the store: people, tickets, messages, states (P2)."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.envelope import Entry
from evorelay.model.fact import Chat, Fact, IgnoredFact, MediaFact, QuarantineFact
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.draft import Draft
from evorelay.relay.questions import TicketParams
from tests.engine.harness import (
    ADMIN,
    HOUR,
    T0,
    World,
    connection,
    envelope,
    message,
    open_blobs,
    quarantined_body,
    reply,
    status,
    stored,
)

MINUTE = 60_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


def outcome(world: World) -> Any:
    """Everything that must not depend on the order of arrival: which tickets, what in them."""
    reader = world.storage.readers[0]
    days = []
    for ticket in world.tickets():
        messages = reader.messages(ticket.id, before=None, after=None, limit=1000) or []
        days.append(
            (
                ticket.status,
                ticket.unread,
                ticket.last_message_at,
                sorted((m.whatsapp_id, m.direction, m.status, m.created_at) for m in messages),
            )
        )
    return sorted(days, key=repr)


DAY: list[Fact] = [
    message("A1", sent_at=T0 + 1000),
    reply("A2", status=None, sent_at=T0 + 2000),
    status("A2", "delivered"),
    status("A2", "read"),
    message("A3", sent_at=T0 + 3000),
    reply("A4", status="pending", sent_at=T0 + 4000),
    reply("A4", status=None, sent_at=T0 + 4000),
    status("A4", "failed"),
    reply("A5", status="pending", sent_at=T0 + 5000),
    status("A5", "failed"),
    status("A5", "received"),
    message("B1", phone="5511977776666", sent_at=T0 + 500),
    message("B2", phone="551177776666", sent_at=T0 + 900),
    status("B2", "played"),
    message("C1", phone=None, lid="77@lid", sent_at=T0 + 100),
    message("C2", phone=None, lid="77@lid", sent_at=T0 + 200),
    connection("open"),
]


async def applied(directory: Path, batches: list[list[Fact]]) -> Any:
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        for batch in batches:
            await world.apply(*batch)
        assert [e["type"] for e in world.events("inbox:loja")].count("message.created") == 9
        return outcome(world)


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 8))
def test_no_order_and_no_repetition_changes_a_day(
    tmp_path_factory: pytest.TempPathFactory, random: Random, batch: int
) -> None:
    """P2: shuffled, posted again, cut into batches anywhere: the same tickets and messages."""
    again = [*DAY, *random.sample(DAY, 9)]
    random.shuffle(again)
    batches = [again[start : start + batch] for start in range(0, len(again), batch)]
    expected = trio.run(applied, tmp_path_factory.mktemp("day"), [DAY])
    assert trio.run(applied, tmp_path_factory.mktemp("shuffled"), batches) == expected
    assert sorted(len(row[3]) for row in expected) == [2, 2, 5]


async def test_a_batch_that_was_handled_is_passed_over(world: World) -> None:
    """A crash between commit and anything else repeats the batch; nothing repeats with it."""
    await world.apply(message("A1"), connection("open"), seq=1)
    before = (world.messages(), world.tickets(), world.events("inbox:loja"))
    await world.apply(message("A1"), connection("close"), seq=1)
    assert (world.messages(), world.tickets(), world.events("inbox:loja")) == before
    await world.apply(message("A1"), message("A2"), message("A3"), seq=1)
    assert world.ids() == ["A1", "A3"]  # 1 and 2 were handled, 3 is new


async def test_a_first_message_makes_contact_ticket_message_and_their_events(world: World) -> None:
    await world.apply(message("A1", sender_name="Ana", content="oi", sent_at=T0 + 5))
    (ticket,) = world.tickets()
    (row,) = world.messages()
    found = world.storage.readers[0].ticket(ticket.id)
    assert found is not None
    contact = found[1]
    assert (contact.name, contact.phone, contact.jid) == (
        "Ana",
        "5531988887777",
        "5531988887777@s.whatsapp.net",
    )
    assert (ticket.status, ticket.unread, ticket.last_message_at) == ("open", 1, T0 + 5)
    assert (row.direction, row.sender, row.status, row.content) == (
        "in",
        "client",
        "received",
        "oi",
    )
    for channel in ("inbox:loja", f"ticket:{ticket.id}"):
        created, told = world.events(channel)
        assert (created["type"], created["ticket"]["contact"]["name"]) == ("ticket.created", "Ana")
        assert (told["type"], told["ticket_id"], told["message"]["id"]) == (
            "message.created",
            ticket.id,
            row.id,
        )


async def test_reading_order_is_whatsapps(world: World) -> None:
    """P2: late arrivals take their place."""
    for name, sent_at in (("b", 2), ("d", 4), ("a", 1), ("c", 3), ("c2", 3)):
        await world.apply(message(name, sent_at=T0 + sent_at))
    assert world.ids() == ["a", "b", "c", "c2", "d"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["delivered"], "delivered"),
        (["read", "delivered", "sent"], "read"),
        (["failed"], "failed"),
        (["failed", "delivered"], "delivered"),
        (["delivered", "failed"], "delivered"),
        (["played", "read", "played"], "played"),
        (["received"], "pending"),
        (["received", "read"], "read"),
    ],
)
async def test_states_count_early_or_late(world: World, words: list[str], expected: str) -> None:
    """P2: 35 of 60 states came before the answer of the send (research: evolution-live)."""
    early, late = [status("A1", word) for word in words], [status("A2", word) for word in words]
    for fact in early:
        await world.apply(fact)
    await world.apply(reply("A1"), reply("A2"))
    await world.apply(*late)
    assert [row.status for row in world.messages()] == [expected] * 2
    keys = [("loja", "A1")]
    assert await world.ledger.change(lambda draft: draft.tx.early_changes(keys)) == {}


async def test_a_state_that_says_nothing_new_tells_nobody(world: World) -> None:
    await world.apply(reply("A1"), status("A1", "read"))
    before = len(world.events("inbox:loja"))
    await world.apply(status("A1", "delivered"), status("A1", "read"), reply("A1"))
    assert len(world.events("inbox:loja")) == before


async def test_a_customers_message_has_no_state_of_ours(world: World) -> None:
    await world.apply(message("A1"), status("A1", "read"), message("A1"))
    assert [row.status for row in world.messages()] == ["received"]


async def test_a_message_of_ours_is_never_received(world: World) -> None:
    """The Cloud API says RECEIVED of what was sent, too; the contract knows no such state."""
    await world.apply(reply("A1", status="received"), status("A1", "delivered"))
    assert [row.status for row in world.messages()] == ["delivered"]


async def test_messages_of_ours_are_not_unread(world: World) -> None:
    await world.apply(reply("A1"), message("A2"), reply("A3"))
    (ticket,) = world.tickets()
    assert ticket.unread == 1
    assert [row.metadata.get("origin") for row in world.messages()] == ["phone", None, "phone"]


async def close(world: World, at: int) -> str:
    world.now.ms = at
    ticket = world.tickets()[-1]
    await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket.id))
    return ticket.id


async def test_a_message_soon_after_closing_reopens_the_ticket(world: World) -> None:
    await world.apply(message("A1"))
    ticket_id = await close(world, T0 + HOUR)
    await world.apply(message("A2", sent_at=T0 + 2 * HOUR))
    (ticket,) = world.tickets()
    assert (ticket.id, ticket.status, ticket.closed_at) == (ticket_id, "open", None)
    assert ticket.version == 3
    types = [event["type"] for event in world.events(f"ticket:{ticket_id}")]
    assert types[-3:] == ["ticket.updated", "ticket.updated", "message.created"]


async def test_a_message_long_after_closing_opens_a_new_ticket(world: World) -> None:
    await world.apply(message("A1"))
    await close(world, T0 + HOUR)
    await world.apply(message("A2", sent_at=T0 + 26 * HOUR), message("A3", sent_at=T0 + 27 * HOUR))
    first, second = world.tickets()
    assert (first.status, second.status) == ("closed", "open")
    assert [row.ticket_id for row in world.messages() if row.whatsapp_id != "A1"] == [second.id] * 2


async def test_a_late_message_of_a_closed_ticket_is_put_there_and_seen(world: World) -> None:
    await world.apply(message("A1"))
    await close(world, T0 + HOUR)
    await world.apply(reply("A2", sent_at=T0 - 2 * MINUTE))
    assert world.tickets()[0].status == "closed"
    await world.apply(message("A3", sent_at=T0 + MINUTE))
    assert world.tickets()[0].status == "open"


async def test_a_very_late_message_of_a_closed_ticket_leaves_it_closed(world: World) -> None:
    await world.apply(message("A1"))
    await close(world, T0 + 30 * HOUR)
    await world.apply(message("A0", sent_at=T0 - MINUTE))
    (ticket,) = world.tickets()
    assert (ticket.status, world.ids()) == ("closed", ["A0", "A1"])
    assert (ticket.unread, ticket.last_message_at) == (2, T0)


async def test_one_person_is_one_contact_under_all_their_names(world: World) -> None:
    """With and without the ninth digit, by phone, by LID, once a message told both."""
    await world.apply(
        message("A1", phone="5531988887777"),
        message("A2", phone="553188887777"),
        message("A3", phone="553188887777", lid="5@lid"),
        message("A4", phone=None, lid="5@lid"),
    )
    await world.apply(message("A5", phone=None, lid="5@lid"))
    (ticket,) = world.tickets()
    assert len(world.messages()) == 5
    found = world.storage.readers[0].ticket(ticket.id)
    assert found is not None
    assert (found[1].phone, found[1].lid) == ("5531988887777", "5@lid")


async def test_instances_share_nobody(world: World) -> None:
    """P7: the same number and even the same message id in two inboxes are two."""
    await world.apply(message("A1"), message("A1", instance="filial"))
    assert sorted(ticket.instance for ticket in world.tickets()) == ["filial", "loja"]
    assert len(world.events("inbox:filial")) == len(world.events("inbox:loja")) == 2


async def test_a_group_is_one_ticket_named_after_nobody_in_it(world: World) -> None:
    chat = Chat(jid="123@g.us", is_group=True)
    await world.apply(
        message("A1", chat=chat, sender_id="1@x", sender_name="Ana"),
        message("A2", chat=chat, sender_id="2@x", sender_name="Bia"),
    )
    (ticket,) = world.tickets()
    found = world.storage.readers[0].ticket(ticket.id)
    assert found is not None
    assert (found[1].name, found[1].is_group) == ("Grupo …123", True)
    assert [row.sender_name for row in world.messages()] == ["Ana", "Bia"]


async def test_a_name_is_learnt_told_and_never_forgotten(world: World) -> None:
    await world.apply(reply("A0", sender_name=None))
    await world.apply(message("A1", sender_name="Ana"))
    await world.apply(message("A2", sender_name=None), reply("A3"))
    (ticket,) = world.tickets()
    found = world.storage.readers[0].ticket(ticket.id)
    assert found is not None
    assert found[1].name == "Ana"
    updates = [e for e in world.events("inbox:loja") if e["type"] == "ticket.updated"]
    assert [event["ticket"]["contact"]["name"] for event in updates] == ["Ana"]


async def test_an_instance_is_known_from_its_first_webhook(world: World) -> None:
    await world.apply(IgnoredFact(event="presence.update"))
    world.now.ms += 5
    await world.apply(IgnoredFact(event="presence.update"))
    (instance,) = world.storage.readers[0].instances()
    assert (instance.name, instance.state) == ("loja", "unknown")
    assert (instance.created_at, instance.last_event_at) == (T0, T0 + 5)


async def test_what_was_not_understood_is_kept_with_its_reason_and_stops_nobody(
    world: World,
) -> None:
    await world.apply(
        message("A1"), QuarantineFact(reason="no_key", detail="no key"), message("A2")
    )
    (row,) = world.storage.readers[0].quarantine(before=None, limit=9)
    assert (row.reason, row.detail, row.journal_seq) == ("no_key", "no key", 2)
    assert quarantined_body(world.storage, row.id) == "{}"
    assert world.ids() == ["A1", "A2"]


async def test_a_webhook_with_many_odd_elements_is_kept_once_per_reason(world: World) -> None:
    """P5: each row holds the whole body; one per element made 20 KB into 800 MB of memory."""
    odd = [QuarantineFact(reason="no_key", detail="no key")] * 1000
    odd += [QuarantineFact(reason="bad_data", detail="no object")] * 1000
    other = msgspec.structs.replace(envelope(), body=b'{"other":true}')

    def work(draft: Draft) -> Applied:
        batch = [Understood(Entry(1, envelope()), [*odd]), Understood(Entry(2, other), [odd[0]])]
        return apply_batch(draft, batch=batch, journal="test", reopen_within_ms=HOUR)

    applied = await world.ledger.change(work)
    rows = world.storage.readers[0].quarantine(before=None, limit=9)
    assert sorted((row.journal_seq, row.reason) for row in rows) == [
        (1, "bad_data"),
        (1, "no_key"),
        (2, "no_key"),
    ]
    assert applied.outcomes == {("messages.upsert", "quarantined"): 2001}


async def test_media_is_described_and_found_under_its_hash(world: World) -> None:
    media = MediaFact(mimetype="image/jpeg", blob="ab" * 32, size=7, filename="foto.jpg")
    await world.apply(message("A1", type="image", media=media))
    (row,) = world.messages()
    assert row.media is not None
    assert (row.media["url"], row.media["size"]) == (f"/media/{'ab' * 32}", 7)


async def test_counts_say_what_a_batch_came_to(world: World) -> None:
    """P8."""
    applied = await world.apply(
        message("A1"),
        message("A1"),
        reply("A2"),
        status("A2", "read"),
        status("A2", "sent"),
        QuarantineFact(reason="x", detail="y"),
    )
    assert applied.outcomes == {
        ("text", "received"): 1,
        ("text", "duplicate"): 1,
        ("text", "sent"): 1,
        ("messages.upsert", "received"): 1,
        ("messages.upsert", "duplicate"): 1,
        ("messages.upsert", "quarantined"): 1,
    }


async def test_a_webhook_that_comes_again_is_quarantined_once(world: World) -> None:
    """P2: Evolution repeats what it did not hear an answer to."""
    odd = QuarantineFact(reason="unknown_event", detail="no event of this name is known")
    for _ in range(2):
        await world.apply(odd)
    assert len(world.storage.readers[0].quarantine(before=None, limit=9)) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_contact_is_addressed_by_its_phone_number_whatever_came_first(
    world: World, order: tuple[int, int]
) -> None:
    lid, phone = "111@lid", "5511955550000"
    chats = (Chat(jid=lid, lid=lid), Chat(jid=lid, lid=lid, phone=phone))
    for number in order:
        await world.apply(message(f"W{number}", chat=chats[number]))
    (ticket,) = world.tickets()
    contact = world.storage.writer.transact(lambda tx: tx.contacts([ticket.contact_id]))
    assert contact[ticket.contact_id].jid == f"{phone}@s.whatsapp.net"


async def test_a_ticket_says_how_its_last_message_begins(world: World) -> None:
    """By WhatsApp's time: a late arrival is not the last message."""
    await world.apply(message("NEW", sent_at=T0 + 5_000, content="a" * 500))
    await world.apply(message("LATE", sent_at=T0, content="late"))
    (ticket,) = world.tickets()
    assert ticket.last_message == "a" * 160
