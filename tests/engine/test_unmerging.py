"""A merge undone: two people again, each with their own ids, tickets and counts."""

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import Chat, PersonFact, phone_key
from evorelay.model.principal import Principal
from evorelay.model.records import ContactRecord, TicketRecord
from evorelay.relay.questions import MergeRef, MergesParams, MergeView
from tests.engine.harness import HOUR, T0, World, message, open_blobs, reply, stored
from tests.engine.office import ADMIN, ANA, BIA, CHEFE, NOBODY, STRANGER, only, ref, refused

PHONE, LID = "5531988887777", "222222222222222@lid"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


async def apart(world: World) -> tuple[str, str]:
    """Two people with a ticket each: one known by a phone number, one by a privacy id."""
    await world.apply(message("P1", phone=PHONE, sender_name="Ana", sent_at=T0))
    await world.apply(message("L1", phone=None, lid=LID, sender_name="Bruno", sent_at=T0 + 1000))
    await world.apply(message("L2", phone=None, lid=LID, sender_name="Bruno", sent_at=T0 + 2000))
    return ticket_of(world, "P1"), ticket_of(world, "L1")


async def merge(world: World, whatsapp_id: str = "BOTH") -> None:
    """A message under both ids."""
    await world.apply(message(whatsapp_id, phone=PHONE, lid=LID, sent_at=T0 + 3000))


def pair(phone: str = PHONE, lid: str = LID) -> PersonFact:
    """An address book that names both ids, without a message."""
    chat = Chat(jid=f"{phone}@s.whatsapp.net", phone=phone, lid=lid)
    return PersonFact(instance="loja", person=chat, at=T0)


async def standing(world: World) -> list[MergeView]:
    """Merges that were not undone, the latest first."""
    page = await world.desk.merges.page(CHEFE, MergesParams())
    return [row for row in page.merges if row.undone_at is None]


async def undo(world: World, merge_id: str | None = None, who: Principal = CHEFE) -> MergeView:
    """Undo a merge, the latest that stands unless told otherwise."""
    merge_id = merge_id or (await standing(world))[0].id
    return await world.desk.merges.undo(who, MergeRef(merge_id=merge_id))


def ticket_of(world: World, whatsapp_id: str) -> str:
    (row,) = [row for row in world.messages() if row.whatsapp_id == whatsapp_id]
    return str(row.ticket_id)


def look(world: World, ticket_id: str) -> tuple[TicketRecord, ContactRecord]:
    found = world.storage.readers[0].ticket(ticket_id)
    assert found is not None
    return found


def said(world: World, ticket_id: str) -> list[str | None]:
    rows = world.storage.readers[0].messages(ticket_id, before=None, after=None, limit=99)
    return [row.whatsapp_id for row in rows or []]


def aliases(world: World, contact_id: str) -> set[str]:
    rows = world.storage.writer.transact(lambda tx: tx.aliases([contact_id]))
    return {row.alias for row in rows}


async def test_two_open_tickets_are_two_again(world: World) -> None:
    first, second = await apart(world)
    before = [look(world, id_) for id_ in (first, second)]
    await merge(world)
    assert said(world, first) == ["P1", "L1", "L2", "BOTH"]
    answer = await undo(world)
    assert (answer.kept.phone, answer.kept.lid, answer.kept_ticket) == (PHONE, None, first)
    assert (answer.absorbed.phone, answer.absorbed.lid, answer.absorbed_ticket) == (
        None,
        LID,
        second,
    )
    assert answer.undone_at is not None
    assert said(world, first) == ["P1", "BOTH"]
    assert said(world, second) == ["L1", "L2"]
    (kept, ana), (back, bruno) = look(world, first), look(world, second)
    assert (ana.phone, ana.lid, ana.jid) == (PHONE, None, f"{PHONE}@s.whatsapp.net")
    assert bruno == before[1][1]
    assert msgspec.structs.replace(back, version=1) == before[1][0]
    assert (kept.status, kept.last_message, kept.inbound) == ("open", "BOTH", 2)


async def test_everybody_who_watches_is_told(world: World) -> None:
    first, second = await apart(world)
    await merge(world)
    shown = {id_: len(world.events(f"ticket:{id_}")) for id_ in (first, second)}
    await undo(world)
    for id_, count in shown.items():
        event, unmerged = world.events(f"ticket:{id_}")[count:]
        assert unmerged["type"] == "ticket.unmerged"
        assert (unmerged["ticket_id"], unmerged["origin"]) == (second, first)
        ticket, contact = look(world, id_)
        assert event["type"] == "ticket.updated"
        assert (event["ticket"]["id"], event["ticket"]["version"]) == (id_, ticket.version)
        assert event["ticket"]["contact"]["id"] == contact.id
        assert event["ticket"]["merged_into"] is None
        assert event in world.events("inbox:loja")[-3:-1]


async def test_each_goes_on_alone_and_they_are_never_merged_again(world: World) -> None:
    """Also when WhatsApp names both ids together again: somebody has decided."""
    first, second = await apart(world)
    await merge(world)
    await undo(world)
    await world.apply(
        message("P2", phone=PHONE, sent_at=T0 + 4000),
        message("L3", phone=None, lid=LID, sent_at=T0 + 4000),
        pair(),
    )
    await merge(world, "AGAIN")
    assert said(world, second) == ["L1", "L2", "L3"]
    assert said(world, first) == ["P1", "BOTH", "AGAIN", "P2"]
    assert [row.status for row in world.tickets()] == ["open", "open"]
    assert (look(world, first)[1].lid, look(world, second)[1].phone) == (None, None)
    assert await standing(world) == []


async def test_undoing_again_changes_nothing(world: World) -> None:
    await apart(world)
    await merge(world)
    answer = await undo(world)
    before = (world.tickets(), len(world.events("inbox:loja")))
    world.now.ms += 5
    assert await undo(world, answer.id) == answer
    assert (world.tickets(), len(world.events("inbox:loja"))) == before


async def test_merges_are_for_supervisors_of_their_instance(world: World) -> None:
    """P7: a foreign merge and an unknown one are alike."""
    await apart(world)
    await merge(world)
    desk = world.desk.merges
    (row,) = (await desk.page(CHEFE, MergesParams())).merges
    assert (row.instance, row.kept.name, row.absorbed.name) == ("loja", "Bruno", "Bruno")
    assert (await desk.page(ADMIN, MergesParams(instance="loja"))).merges == [row]
    assert (await desk.page(STRANGER, MergesParams())).merges == []
    assert (await desk.page(CHEFE, MergesParams(instance="filial"))).merges == []
    for who in (ANA, NOBODY):
        assert (await refused(desk.page(who, MergesParams())))[0] is Code.FORBIDDEN
        assert (await refused(undo(world, row.id, who)))[0] is Code.FORBIDDEN
    none = await refused(undo(world, "never"))
    assert none[0] is Code.NOT_FOUND
    assert await refused(undo(world, row.id, STRANGER)) == none
    assert await standing(world) == [row]


async def test_merges_are_paged(world: World) -> None:
    for number in range(3):
        phone, lid = f"551190000000{number}", f"{number}@lid"
        await world.apply(message(f"P{number}", phone=phone))
        await world.apply(message(f"L{number}", phone=None, lid=lid))
        await world.apply(pair(phone, lid))
    everything = await standing(world)
    pages: list[MergeView] = []
    params = MergesParams(limit=2)
    while params.cursor is not None or not pages:
        page = await world.desk.merges.page(CHEFE, params)
        pages += page.merges
        params = msgspec.structs.replace(params, cursor=page.next_cursor)
    assert (pages, len(pages)) == (everything, 3)


async def test_what_was_read_stays_read_and_what_was_not_is_shared_out(world: World) -> None:
    first, second = await apart(world)
    await world.desk.tickets.seen(BIA, only(second))
    await merge(world)
    await undo(world)
    counts = [(row.inbound, row.unread) for row, _ in (look(world, first), look(world, second))]
    assert counts == [(2, 2), (2, 0)]
    for who, id_, unread in ((ANA, first, 2), (ANA, second, 2), (BIA, first, 2), (BIA, second, 0)):
        assert (await world.desk.tickets_get(who, only(id_))).unread == unread


async def test_what_was_read_while_they_were_one_is_read_in_both(world: World) -> None:
    first, second = await apart(world)
    await merge(world)
    await world.desk.tickets.seen(ANA, only(first))
    await undo(world)
    for id_ in (first, second):
        assert (await world.desk.tickets_get(ANA, only(id_))).unread == 0
        assert look(world, id_)[0].unread == 0
    await world.apply(message("L3", phone=None, lid=LID, sent_at=T0 + 5000))
    assert (await world.desk.tickets_get(ANA, only(second))).unread == 1


async def test_who_waits_is_worked_out_anew(world: World) -> None:
    """A reply to the one had ended the other's waiting too."""
    first, second = await apart(world)
    await merge(world)
    await world.apply(reply("R", phone=PHONE, sent_at=T0 + 4000))
    assert look(world, first)[0].waiting_since is None
    await undo(world)
    assert look(world, first)[0].waiting_since is None
    assert look(world, second)[0].waiting_since == T0 + 1000


async def test_a_ticket_closed_since_comes_back_closed(world: World) -> None:
    """A conversation that ended months ago is nobody's work because a merge is undone."""
    first, second = await apart(world)
    await merge(world)
    await world.desk.tickets.close(CHEFE, ref(first))
    await undo(world)
    assert [look(world, id_)[0].status for id_ in (first, second)] == ["closed", "closed"]
    assert said(world, second) == ["L1", "L2"]


async def both_closed(world: World) -> tuple[str, str]:
    """The privacy id's ticket closed last, so that it is the one to be reopened."""
    tickets = await apart(world)
    for id_ in tickets:
        world.now.ms += HOUR
        await world.desk.tickets.close(CHEFE, ref(id_))
    await world.apply(pair())
    return tickets


async def test_without_two_open_tickets_a_merge_can_be_undone_too(world: World) -> None:
    first, second = await both_closed(world)
    assert look(world, first)[1] == look(world, second)[1]
    answer = await undo(world)
    assert (answer.kept_ticket, answer.absorbed_ticket) == (None, None)
    assert (look(world, first)[1].phone, look(world, first)[1].lid) == (PHONE, None)
    assert (look(world, second)[1].phone, look(world, second)[1].lid) == (None, LID)


async def test_what_came_into_the_others_ticket_gets_a_ticket_of_its_own(world: World) -> None:
    """As open, and whose, as the one it was in; clients are told of it."""
    first, second = await both_closed(world)
    world.now.ms += HOUR
    await world.apply(message("P2", phone=PHONE, sent_at=world.now.ms))
    await world.desk.tickets.claim(ANA, ref(second))
    assert said(world, second) == ["L1", "L2", "P2"]
    await undo(world)
    assert (said(world, first), said(world, second)) == (["P1"], ["L1", "L2"])
    made, contact = look(world, ticket_of(world, "P2"))
    assert (made.status, made.assignee, made.version) == ("open", "ana", 1)
    assert (made.inbound, made.unread, made.last_message) == (1, 1, "P2")
    assert contact.phone == PHONE
    events = world.events(f"ticket:{made.id}")
    assert [event["type"] for event in events] == ["ticket.created", "ticket.unmerged"]
    assert events[0]["ticket"]["last_message"] == "P2"
    assert (look(world, second)[0].inbound, look(world, second)[0].unread) == (2, 2)


async def test_what_came_into_the_others_ticket_joins_an_open_one_of_its_own(
    world: World,
) -> None:
    first, second = await both_closed(world)
    world.now.ms += HOUR
    await world.apply(message("P2", phone=PHONE, sent_at=world.now.ms))
    await world.desk.tickets.close(CHEFE, ref(second))
    await world.desk.tickets.reopen(CHEFE, ref(first))
    await undo(world)
    assert (said(world, first), said(world, second)) == (["P1", "P2"], ["L1", "L2"])
    assert look(world, first)[0].inbound == 2


async def test_a_second_open_ticket_stays_closed(world: World) -> None:
    """One open ticket per person, always, also for who comes back."""
    await apart(world)
    old = ticket_of(world, "L1")
    await world.desk.tickets.close(CHEFE, ref(old))
    world.now.ms += 48 * HOUR
    await world.apply(message("L3", phone=None, lid=LID, sent_at=world.now.ms))
    newer = ticket_of(world, "L3")
    await world.apply(pair())
    await world.desk.tickets.close(CHEFE, ref(ticket_of(world, "P1")))
    await world.desk.tickets.reopen(CHEFE, ref(old))
    await undo(world)
    assert (look(world, old)[0].status, look(world, newer)[0].status) == ("open", "closed")
    assert said(world, newer) == ["L3"]


async def test_the_merge_that_rests_on_another_is_undone_first(world: World) -> None:
    """And then all of them, back to where it began."""
    first, second = await apart(world)
    other = "5521911112222"
    await world.apply(message("O1", phone=other, sent_at=T0 - 1000))
    third = ticket_of(world, "O1")
    await world.desk.tickets.claim(ANA, ref(third))  # it will go on, and the others end in it
    await merge(world)
    await world.apply(pair(other, LID))
    assert said(world, third) == ["O1", "P1", "L1", "L2", "BOTH"]
    later, earlier = await standing(world)
    code, text = await refused(undo(world, earlier.id))
    assert (code, later.id in text) == (Code.VERSION_CONFLICT, True)
    await undo(world, later.id)
    assert (said(world, third), said(world, first)) == (["O1"], ["P1", "L1", "L2", "BOTH"])
    await undo(world, earlier.id)
    assert (said(world, first), said(world, second)) == (["P1", "BOTH"], ["L1", "L2"])


async def test_of_two_merges_side_by_side_either_may_be_undone_first(world: World) -> None:
    """What had joined a ticket that goes back follows what it joined."""
    first, second = await both_closed(world)
    world.now.ms += HOUR
    await world.apply(message("P2", phone=PHONE, sent_at=world.now.ms))
    await world.apply(message("X1", phone=None, lid="9@lid", sent_at=world.now.ms))
    other = ticket_of(world, "X1")
    await world.desk.tickets.claim(ANA, ref(second))
    await world.apply(pair(PHONE, "9@lid"))
    assert said(world, second) == ["L1", "L2", "P2", "X1"]
    _, earlier = await standing(world)
    await undo(world, earlier.id)
    home = ticket_of(world, "P2")
    assert home not in (first, second, other)
    assert (said(world, second), said(world, home)) == (["L1", "L2"], ["P2", "X1"])
    assert look(world, other)[0].merged_into == home
    await undo(world)
    assert (said(world, home), said(world, other)) == (["P2"], ["X1"])
    assert look(world, other)[0].status == "open"


async def test_a_name_that_came_from_the_other_does_not_stay(world: World) -> None:
    """Until the person's next message brings it, nobody is called by somebody else's name."""
    first, second = await apart(world)
    await merge(world)
    assert look(world, first)[1].name == "Bruno"
    await undo(world)
    assert (look(world, first)[1].name, look(world, second)[1].name) == ("+" + PHONE, "Bruno")
    await world.apply(message("P2", phone=PHONE, sender_name="Ana", sent_at=T0 + 9000))
    assert look(world, first)[1].name == "Ana"


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_merged_and_undone_nothing_is_lost_or_counted_twice(
    world: World, seed: int
) -> None:
    """I6, P2: one open ticket per person, every message once, counts that follow from them."""
    chance = random.Random(seed)
    phones = [f"55119000000{number:02}" for number in range(12)]
    lids = [f"{number}@lid" for number in range(12)]
    sent: list[str] = []
    for step in range(150):
        world.now.ms += HOUR // 10
        match chance.choice(["say", "say", "say", "pair", "undo", "close", "close", "read"]):
            case "say":
                who: dict[str, Any] = chance.choice(
                    [{"phone": chance.choice(phones)}, {"phone": None, "lid": chance.choice(lids)}]
                )
                sent.append(f"M{step}")
                await world.apply(message(sent[-1], sent_at=world.now.ms, **who))
            case "pair":
                await world.apply(pair(chance.choice(phones), chance.choice(lids)))
            case "undo":
                if merges := await standing(world):
                    with suppress(Refusal):  # another one rests on it
                        await undo(world, chance.choice(merges).id)
            case "close" | "read" as what:
                open_ones = [row.id for row in world.tickets() if row.status != "closed"]
                if open_ones and what == "close":
                    await world.desk.tickets.close(ADMIN, ref(chance.choice(open_ones)))
                elif open_ones:
                    await world.desk.tickets.seen(ANA, only(chance.choice(open_ones)))
    while merges := await standing(world):
        await undo(world, merges[0].id)
    assert sorted(map(str, world.ids())) == sorted(sent)
    tickets = world.tickets()
    assert all(row.merged_into is None for row in tickets)
    for ticket in tickets:
        assert ticket.inbound == len(said(world, ticket.id))
        assert 0 <= ticket.unread <= ticket.inbound
        mine = (await world.desk.tickets_get(ANA, only(ticket.id))).unread
        assert 0 <= mine <= ticket.inbound
        person = look(world, ticket.id)[1]
        shown = {f"phone:{phone_key(person.phone)}"} if person.phone else set()
        shown |= {f"lid:{person.lid}"} if person.lid else set()
        assert shown
        assert shown <= aliases(world, person.id)
