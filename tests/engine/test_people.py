"""One person, one ticket: ids that turn out to be one, merges and their undoing (P2)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evorelay.model.change import Revoke
from evorelay.model.fact import ChangeFact, Chat, GroupFact, Member, NameRank, PersonFact
from evorelay.model.records import ContactRecord, TicketRecord
from evorelay.relay.questions import TicketParams, TicketRef
from tests.engine.harness import (
    ADMIN,
    HOUR,
    T0,
    World,
    connection,
    message,
    open_blobs,
    reply,
    stored,
)

PHONE, LID = "5531988887777", "77@lid"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


def pair(phone: str = PHONE, lid: str = LID) -> PersonFact:
    """Some webhook names both ids."""
    return PersonFact(
        instance="loja", person=Chat(jid=f"{phone}@s.whatsapp.net", phone=phone, lid=lid), at=T0
    )


def listed(world: World) -> list[tuple[TicketRecord, ContactRecord]]:
    """Tickets that are not closed, with their contacts."""
    found = []
    for ticket in world.tickets():
        row = world.storage.readers[0].ticket(ticket.id)
        assert row is not None
        if ticket.status != "closed":
            found.append(row)
    return found


def only(world: World) -> tuple[TicketRecord, ContactRecord]:
    (row,) = listed(world)
    return row


def types(world: World, channel: str) -> list[str]:
    return [event["type"] for event in world.events(channel)]


async def test_two_tickets_that_turn_out_to_be_one_person_are_one(world: World) -> None:
    await world.apply(message("A1", phone=None, lid=LID, sent_at=T0, sender_name="Ana"))
    await world.apply(message("A2", phone=PHONE, sent_at=T0 + 1000))
    first, second = [ticket for ticket, _ in listed(world)]
    await world.apply(message("A3", phone=PHONE, lid=LID, sent_at=T0 + 2000))
    ticket, contact = only(world)
    assert ticket.id == first.id
    assert world.ids() == ["A1", "A2", "A3"]
    assert (contact.phone, contact.lid, contact.name) == (PHONE, LID, "Ana")
    assert (ticket.unread, ticket.inbound, ticket.last_message) == (3, 3, "A3")
    merged = [e for e in world.events("inbox:loja") if e["type"] == "ticket.merged"]
    assert [(e["ticket_id"], e["into"]) for e in merged] == [(second.id, first.id)]
    assert "ticket.merged" in types(world, f"ticket:{second.id}")
    assert "ticket.merged" in types(world, f"ticket:{first.id}")
    shell = world.storage.readers[0].ticket(second.id)
    assert shell is not None
    assert (shell[0].status, shell[0].merged_into) == ("closed", first.id)


async def test_the_ticket_somebody_has_is_the_one_that_goes_on(world: World) -> None:
    await world.apply(message("A1", phone=None, lid=LID), message("A2", phone=PHONE))
    second = listed(world)[1][0]
    await world.desk.tickets.claim(ADMIN, TicketParams(ticket_id=second.id))
    await world.apply(pair())
    ticket, _ = only(world)
    assert (ticket.id, ticket.assignee, world.ids()) == (second.id, "chefe", ["A1", "A2"])


async def test_a_phone_learned_without_a_message_is_told(world: World) -> None:
    await world.apply(message("A1", phone=None, lid=LID))
    await world.apply(pair())
    ticket, contact = only(world)
    assert (contact.phone, contact.jid) == (PHONE, f"{PHONE}@s.whatsapp.net")
    told = world.events(f"ticket:{ticket.id}")[-1]
    assert (told["type"], told["ticket"]["contact"]["phone"]) == ("ticket.updated", PHONE)


async def test_ids_learned_before_the_first_message_count(world: World) -> None:
    await world.apply(pair())
    await world.apply(message("A1", phone=None, lid=LID), message("A2", phone=PHONE))
    ticket, contact = only(world)
    assert (contact.phone, contact.lid, ticket.unread) == (PHONE, LID, 2)


async def test_ids_put_together_late_in_a_batch_count_for_all_of_it(world: World) -> None:
    await world.apply(
        message("A1", phone=None, lid=LID), message("A2", phone=PHONE), pair(), message("A3")
    )
    assert only(world)[0].unread == 3
    assert "ticket.merged" not in types(world, "inbox:loja")


async def test_a_third_id_joins_all(world: World) -> None:
    """A new privacy id for the same number."""
    await world.apply(message("A1", phone=None, lid=LID), message("A2", phone=None, lid="88@lid"))
    await world.apply(pair(), pair(lid="88@lid"))
    assert (len(only(world)), world.ids()) == (2, ["A1", "A2"])


async def test_a_gateway_that_puts_one_wrong_id_on_everybody_chains_few(world: World) -> None:
    """P7: a bug must not put all customers into one ticket."""
    numbers = [f"55119777766{number:02}" for number in range(20)]
    for index, number in enumerate(numbers):
        await world.apply(message(f"A{index}", phone=number))
    for number in numbers:
        await world.apply(pair(phone=number))
    assert len(listed(world)) == 18  # three of them came together, and then no more


async def test_our_own_number_beside_somebodys_privacy_id_is_not_believed(world: World) -> None:
    """P7: Evolution gives the sender's other id, who is ourselves in what we typed."""
    await world.apply(connection("open", phone="5511900001111"))
    for index in range(3):
        own = Chat(jid=f"{index}@lid", lid=f"{index}@lid", phone="5511900001111")
        await world.apply(message(f"A{index}", chat=own))
    assert len(listed(world)) == 3


async def test_closed_tickets_go_along_and_stay_closed(world: World) -> None:
    await world.apply(message("A1", phone=None, lid=LID))
    old = only(world)[0]
    await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=old.id))
    await world.apply(message("A2", phone=PHONE, sent_at=T0 + 30 * HOUR))
    await world.apply(pair())
    ticket, contact = only(world)
    assert world.ids() == ["A1", "A2"]
    closed = world.storage.readers[0].ticket(old.id)
    assert closed is not None
    assert (closed[0].status, closed[0].merged_into, closed[1].id) == ("closed", None, contact.id)
    assert ticket.contact_id == contact.id


async def test_what_was_deleted_is_not_shown_by_the_empty_ticket_either(world: World) -> None:
    await world.apply(message("A1", phone=None, lid=LID))
    await world.apply(message("A2", content="segredo"))
    shell = listed(world)[1][0].id
    await world.apply(pair())
    await world.apply(ChangeFact(instance="loja", whatsapp_id="A2", change=Revoke(T0)))
    ticket = await world.desk.tickets_get(ADMIN, TicketRef(ticket_id=shell))
    assert (ticket.last_message, ticket.unread, ticket.waiting_since) == (None, 0, None)


async def test_history_joins_a_closed_ticket_that_a_merge_brings(world: World) -> None:
    await world.apply(message("H1", phone=None, lid=LID, is_history=True, sent_at=T0 - HOUR))
    await world.apply(message("A1"))
    await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=only(world)[0].id))
    await world.apply(pair())
    assert world.ids() == ["H1", "A1"]


async def test_unread_counts_of_each_agent_come_together(world: World) -> None:
    await world.apply(message("A1", phone=None, lid=LID), message("A2", phone=PHONE))
    first, second = [ticket for ticket, _ in listed(world)]
    await world.desk.tickets.seen(ADMIN, TicketParams(ticket_id=second.id))
    await world.apply(pair())
    ticket, _ = only(world)
    assert (ticket.id, ticket.inbound, ticket.unread) == (first.id, 2, 1)
    assert (await world.desk.tickets_get(ADMIN, TicketParams(ticket_id=ticket.id))).unread == 1


async def test_names_come_from_the_better_source_whatever_the_order(world: World) -> None:
    book = PersonFact(
        instance="loja",
        person=Chat(jid=f"{PHONE}@s.whatsapp.net", phone=PHONE),
        name="Agenda",
        at=T0 + HOUR,
    )
    await world.apply(message("A1", sender_name="Ana"), book)
    assert only(world)[1].name == "Ana"
    await world.apply(message("A2", sender_name="Ana Maria", sent_at=T0 + 5))
    await world.apply(message("A0", sender_name="Aninha", sent_at=T0 - 5))
    assert only(world)[1].name == "Ana Maria"


async def test_a_group_has_its_subject_and_its_members(world: World) -> None:
    group = Chat(jid="123@g.us", is_group=True)
    ana = Chat(jid="1@lid", lid="1@lid")
    bia = Chat(jid=f"{PHONE}@s.whatsapp.net", phone=PHONE, lid="2@lid")
    await world.apply(
        message("A1", chat=group, author=ana, sender_name="Ana"),
        PersonFact(instance="loja", person=group, name="Obra", name_rank=NameRank.SAID, at=T0),
        GroupFact(
            instance="loja",
            group=group,
            action="snapshot",
            members=(Member(person=ana, role="admin"), Member(person=bia)),
        ),
    )
    _, contact = only(world)
    assert (contact.name, contact.is_group) == ("Obra", True)

    async def roles() -> dict[str, Any]:
        def read(draft: Any) -> dict[str, Any]:
            rows = draft.tx.members([contact.id])
            names = draft.tx.contacts([row.contact_id for row in rows])
            return {names[row.contact_id].name: row.role for row in rows}

        return await world.ledger.change(read)

    assert await roles() == {"Ana": "admin", f"+{PHONE}": "member"}
    leave = GroupFact(instance="loja", group=group, action="remove", members=(Member(person=bia),))
    await world.apply(leave, message("A2", chat=group, author=bia, sender_name="Bia"))
    assert await roles() == {"Ana": "admin", "Bia": "left"}


async def test_who_writes_in_a_group_is_the_person_of_the_chat(world: World) -> None:
    """A group tells both ids of a member: their own ticket learns the number."""
    await world.apply(message("A1", phone=None, lid=LID))
    author = Chat(jid=f"{PHONE}@s.whatsapp.net", phone=PHONE, lid=LID)
    await world.apply(message("G1", chat=Chat(jid="1@g.us", is_group=True), author=author))
    contacts = [contact for _, contact in listed(world)]
    assert [contact.phone for contact in contacts if not contact.is_group] == [PHONE]


async def test_waiting_counts_from_the_first_message_nobody_has_answered(world: World) -> None:
    async def waiting() -> int | None:
        return only(world)[0].waiting_since

    await world.apply(message("A1", sent_at=T0 + 1), message("A2", sent_at=T0 + 2))
    assert await waiting() == T0 + 1
    await world.apply(reply("A3", sent_at=T0 + 3))
    assert await waiting() is None
    await world.apply(message("A6", sent_at=T0 + 6), message("A5", sent_at=T0 + 5))
    assert await waiting() == T0 + 5
    await world.apply(reply("A4", sent_at=T0 + 4))  # late: it answered nothing of these
    assert await waiting() == T0 + 5
    await world.apply(reply("A5b", sent_at=T0 + 5))  # late too: it answered the first of them
    assert await waiting() == T0 + 6
    await world.apply(message("A0", sent_at=T0))
    assert await waiting() == T0 + 6
