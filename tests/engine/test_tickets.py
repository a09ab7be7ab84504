"""What agents may do with a ticket (P7), and that two of them never do it over each other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.model.views import Ticket
from evorelay.relay.questions import MessagesParams, TicketChange, TicketsParams
from tests.engine.harness import HOUR, T0, World, message
from tests.engine.office import ANA, BIA, CHEFE, ids, office, only, ref, refused


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with office(tmp_path) as world:
        yield world


async def test_of_two_who_claim_one_gets_the_ticket_and_all_are_told(world: World) -> None:
    mine, _ = ids(world)
    outcomes: list[Any] = []

    async def claim(who: Principal) -> None:
        try:
            outcomes.append((await world.desk.tickets.claim(who, ref(mine))).assignee)
        except Refusal as refusal:
            outcomes.append(refusal.code)

    async with trio.open_nursery() as nursery:
        for who in (ANA, BIA):
            nursery.start_soon(claim, who)
    assert sorted(map(str, outcomes)) in (
        [str(Code.VERSION_CONFLICT), "ana"],
        [str(Code.VERSION_CONFLICT), "bia"],
    )
    told = world.events(f"ticket:{mine}")[-1]
    assert (told["type"], told["ticket"]["version"]) == ("ticket.updated", 2)
    assert told["ticket"]["assignee"] in outcomes


async def test_a_change_made_on_an_old_version_is_a_conflict(world: World) -> None:
    mine, _ = ids(world)
    ticket = await world.desk.tickets.claim(ANA, ref(mine, version=1))
    assert ticket.version == 2
    code, message_ = await refused(world.desk.tickets.close(BIA, ref(mine, version=1)))
    assert (code, "version 2" in message_) == (Code.VERSION_CONFLICT, True)
    assert (await world.desk.tickets.close(BIA, ref(mine, version=2))).status == "closed"


async def test_what_changes_nothing_tells_nobody(world: World) -> None:
    mine, _ = ids(world)
    await world.desk.tickets.claim(ANA, ref(mine))
    before = len(world.events(f"ticket:{mine}"))
    assert (await world.desk.tickets.claim(ANA, ref(mine))).version == 2
    assert len(world.events(f"ticket:{mine}")) == before


async def test_a_ticket_is_given_back_by_its_owner_or_a_supervisor(world: World) -> None:
    mine, _ = ids(world)
    await world.desk.tickets.claim(ANA, ref(mine))
    assert (await refused(world.desk.tickets.release(BIA, ref(mine))))[0] is Code.FORBIDDEN
    assert (await world.desk.tickets.release(ANA, ref(mine))).assignee is None
    await world.desk.tickets.claim(ANA, ref(mine))
    assert (await world.desk.tickets.release(CHEFE, ref(mine))).assignee is None


async def test_only_a_supervisor_gives_a_ticket_to_somebody(world: World) -> None:
    mine, _ = ids(world)

    async def give(who: Principal, assignee: str | None) -> Ticket:
        return await world.desk.tickets.update(who, TicketChange(ticket_id=mine, assignee=assignee))

    assert (await give(CHEFE, "ana")).assignee == "ana"
    assert (await refused(give(BIA, "bia")))[0] is Code.VERSION_CONFLICT
    assert (await refused(give(ANA, "bia")))[0] is Code.FORBIDDEN
    assert (await give(CHEFE, "bia")).assignee == "bia"
    assert (await give(BIA, None)).assignee is None
    assert (await give(BIA, "bia")).assignee == "bia"


async def test_closing_and_reopening(world: World) -> None:
    mine, _ = ids(world)
    world.now.ms = T0 + HOUR
    assert (await world.desk.tickets.close(ANA, ref(mine))).status == "closed"
    (stored_,) = [ticket for ticket in world.tickets() if ticket.id == mine]
    assert stored_.closed_at == T0 + HOUR
    assert (await refused(world.desk.tickets.claim(ANA, ref(mine))))[0] is Code.TICKET_CLOSED
    assert (await world.desk.tickets.close(ANA, ref(mine))).version == 2
    assert (await world.desk.tickets.reopen(ANA, ref(mine))).status == "open"
    assert (await world.desk.tickets.reopen(ANA, ref(mine))).version == 3


async def test_a_person_has_one_open_ticket(world: World) -> None:
    mine, _ = ids(world)
    await world.desk.tickets.close(ANA, ref(mine))
    await world.apply(message("later", sent_at=T0 + 48 * HOUR))
    code, text = await refused(world.desk.tickets.reopen(ANA, ref(mine)))
    newest = next(t.id for t in world.tickets() if t.instance == "loja" and t.status == "open")
    assert (code, newest in text) == (Code.TICKET_OPEN, True)
    call = world.desk.tickets.update(ANA, TicketChange(ticket_id=mine, status="pending"))
    assert (await refused(call))[0] is Code.TICKET_OPEN


async def test_a_change_refused_in_part_is_refused_whole(world: World) -> None:
    mine, _ = ids(world)
    await world.desk.tickets.claim(BIA, ref(mine))
    change = TicketChange(ticket_id=mine, status="closed", assignee="ana")
    assert (await refused(world.desk.tickets.update(ANA, change)))[0] is Code.VERSION_CONFLICT
    ticket = await world.desk.tickets_get(ANA, only(mine))
    assert (ticket.status, ticket.assignee, ticket.version) == ("open", "bia", 2)
    whole = TicketChange(ticket_id=mine, status="pending", assignee=None, version=2)
    changed = await world.desk.tickets.update(BIA, whole)
    assert (changed.status, changed.assignee, changed.version) == ("pending", None, 3)


async def test_each_agent_has_unread_messages_of_their_own(world: World) -> None:
    """Answers count for who asks; events, which go to everybody, for the team."""
    desk, (mine, _) = world.desk, ids(world)
    assert (await desk.tickets_get(ANA, only(mine))).unread == 10
    assert (await desk.tickets.seen(ANA, only(mine))).unread == 0
    assert world.events(f"ticket:{mine}")[-1]["ticket"]["unread"] == 0
    await world.apply(message("W10"), message("W11"))
    assert (await desk.tickets_get(ANA, only(mine))).unread == 2
    await desk.tickets.seen(BIA, only(mine))
    await world.apply(message("W12"))
    unread = {
        who.sub: [
            (await desk.tickets_get(who, only(mine))).unread,
            (await desk.tickets_list(who, TicketsParams(instance="loja"))).tickets[0].unread,
            (await desk.tickets.update(who, TicketChange(ticket_id=mine))).unread,
        ]
        for who in (ANA, BIA, CHEFE)
    }
    assert unread == {"ana": [3] * 3, "bia": [1] * 3, "chefe": [13] * 3}
    claimed = await desk.tickets.claim(ANA, ref(mine))
    assert (claimed.unread, world.events(f"ticket:{mine}")[-1]["ticket"]["unread"]) == (3, 1)


async def test_reading_is_no_change_that_a_claim_could_conflict_with(world: World) -> None:
    mine, _ = ids(world)
    assert (await world.desk.tickets.seen(ANA, only(mine))).version == 1
    assert (await world.desk.tickets.claim(BIA, ref(mine, version=1))).version == 2


async def test_the_team_is_told_of_a_first_reader_and_the_ticket_of_every_one(
    world: World,
) -> None:
    """``seen`` is not stored; ``ticket.updated`` is, and only when the team's count changed."""
    mine, _ = ids(world)
    channel = f"ticket:{mine}"
    session, wire = world.session(BIA)
    session.answered(await session.subscribe(channel, None))
    before = len(world.events(channel))
    for who in (ANA, ANA, CHEFE):
        await world.desk.tickets.seen(who, only(mine))
    assert [event["type"] for event in world.events(channel)[before:]] == ["ticket.updated"]
    told = [msgspec.json.decode(frame) for frame in wire.frames]
    seen = [event for event in told if isinstance(event, dict)]
    assert seen == [
        {"type": "seen", "ticket_id": mine, "user": who.sub, "name": who.name}
        for who in (ANA, ANA, CHEFE)
    ]


async def test_a_subject_is_given_and_taken_away(world: World) -> None:
    mine, _ = ids(world)

    async def call_it(subject: str | None) -> Ticket:
        return await world.desk.tickets.update(ANA, TicketChange(ticket_id=mine, subject=subject))

    assert (await call_it("Troca do sofá")).subject == "Troca do sofá"
    assert world.events(f"ticket:{mine}")[-1]["ticket"]["subject"] == "Troca do sofá"
    found = await world.desk.tickets_list(ANA, TicketsParams(q="sofa"))
    assert [ticket.id for ticket in found.tickets] == [mine]
    ticket = await call_it(None)
    assert (ticket.subject, ticket.version) == (None, 3)
    assert (await world.desk.tickets.update(ANA, TicketChange(ticket_id=mine))).version == 3


@pytest.mark.parametrize("subject", ["", "a\x00b", "a\nb", "\x1b[31m", "a\n", "x" * 201])
def test_a_subject_is_one_readable_line(subject: str) -> None:
    text = msgspec.json.encode({"ticket_id": "t", "subject": subject})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=TicketChange)


async def test_a_merged_ticket_names_the_one_that_goes_on_and_takes_no_change(
    world: World,
) -> None:
    """Whoever still has it on screen is told where the conversation is, however often merged."""
    lids, other = ["1@lid", "2@lid"], "5511933334444"
    await world.apply(*(message(f"L{lid}", phone=None, lid=lid) for lid in lids))
    oldest, *shells = [row.id for row in world.tickets() if row.instance == "loja"]
    for lid in lids:
        await world.apply(message(f"M{lid}", phone=other, lid=lid))
    await world.apply(message("W10", lid="1@lid"))
    desk = world.desk
    gone = [await desk.tickets_get(ANA, only(shell)) for shell in shells]
    assert [(ticket.status, ticket.merged_into) for ticket in gone] == [
        ("closed", oldest),
        ("closed", shells[0]),
    ]
    for shell in shells:
        page = await desk.messages_list(ANA, MessagesParams(ticket_id=shell))
        assert page.messages == []
        calls: list[Any] = [
            desk.tickets.claim(ANA, ref(shell)),
            desk.tickets.release(ANA, ref(shell)),
            desk.tickets.close(ANA, ref(shell)),
            desk.tickets.reopen(ANA, ref(shell)),
            desk.tickets.update(ANA, TicketChange(ticket_id=shell, subject="x")),
            desk.tickets.seen(ANA, only(shell)),
        ]
        for call in calls:
            code, text = await refused(call)
            assert (code, oldest in text) == (Code.TICKET_CLOSED, True)
    listed = (await desk.tickets_list(ANA, TicketsParams())).tickets
    assert [ticket.id for ticket in listed] == [oldest]
