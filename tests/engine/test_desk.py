"""What agents may ask and do (P7), and that two of them never do it over each other."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from evorelay.model.envelope import Entry
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import MediaFact, QuarantineFact
from evorelay.model.principal import Principal
from evorelay.model.views import Ticket
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.desk import QUARANTINED_BODY_BYTES_MAX
from evorelay.relay.draft import Draft
from evorelay.relay.questions import (
    MessagesParams,
    NoParams,
    QuarantineParams,
    QuarantineRef,
    TicketChange,
    TicketParams,
    TicketRef,
    TicketsParams,
)
from tests.engine.harness import HOUR, T0, World, envelope, message, open_blobs, stored

ANA = Principal(sub="ana", name="Ana", role="agent", instances=frozenset({"loja"}))
BIA = Principal(sub="bia", role="agent", instances=frozenset({"loja", "filial"}))
CHEFE = Principal(sub="chefe", role="supervisor", instances=frozenset({"loja"}))
ADMIN = Principal(sub="root", role="admin")
NOBODY = Principal(sub="caio", instances="*")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A ticket with ten messages in ``loja``, one with one in ``filial``."""
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(*(message(f"W{n}", sent_at=T0 + n) for n in range(10)))
        await world.apply(message("F", instance="filial", phone="5511911112222", sent_at=T0 + 99))
        yield world


def ids(world: World) -> tuple[str, str]:
    by_instance = {ticket.instance: ticket.id for ticket in world.tickets()}
    return by_instance["loja"], by_instance["filial"]


def ref(ticket_id: str, version: int | None = None) -> TicketParams:
    return TicketParams(ticket_id=ticket_id, version=version)


async def refused(call: Any) -> tuple[Code, str]:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code, caught.value.message


async def test_everybody_lists_their_own_tickets_newest_first(world: World) -> None:
    """P7."""

    async def seen(who: Principal, **filters: Any) -> list[str]:
        page = await world.desk.tickets_list(who, TicketsParams(**filters))
        return [ticket.instance for ticket in page.tickets]

    assert await seen(BIA) == await seen(ADMIN) == ["filial", "loja"]
    assert await seen(ANA) == await seen(CHEFE) == ["loja"]
    assert await seen(NOBODY) == []
    assert await seen(ANA, instance="filial") == []
    assert await seen(ADMIN, instance="filial") == ["filial"]
    assert await seen(Principal(sub="x", role="agent")) == []


async def test_a_list_is_paged_by_its_cursor(world: World) -> None:
    first = await world.desk.tickets_list(BIA, TicketsParams(limit=1))
    second = await world.desk.tickets_list(BIA, TicketsParams(limit=1, cursor=first.next_cursor))
    third = await world.desk.tickets_list(BIA, TicketsParams(limit=1, cursor=second.next_cursor))
    assert [t.instance for t in (*first.tickets, *second.tickets)] == ["filial", "loja"]
    assert (third.tickets, third.next_cursor) == ([], None)


@pytest.mark.parametrize(
    "cursor",
    ["x", "ção", "====", base64.urlsafe_b64encode(b'[99999999999999999999,"x"]').decode(), "W10="],
)
async def test_a_made_up_cursor_is_a_bad_request(world: World, cursor: str) -> None:
    call = world.desk.tickets_list(BIA, TicketsParams(cursor=cursor))
    assert (await refused(call))[0] is Code.BAD_REQUEST


async def test_a_foreign_ticket_and_an_unknown_one_are_alike(world: World) -> None:
    """P7: by nothing in the answer can the two be told apart."""
    _, foreign = ids(world)
    desk = world.desk
    for call in (
        lambda id_: desk.tickets_get(ANA, TicketRef(ticket_id=id_)),
        lambda id_: desk.messages_list(ANA, MessagesParams(ticket_id=id_)),
        lambda id_: desk.tickets.claim(ANA, ref(id_)),
        lambda id_: desk.tickets.release(ANA, ref(id_)),
        lambda id_: desk.tickets.close(ANA, ref(id_)),
        lambda id_: desk.tickets.reopen(ANA, ref(id_)),
        lambda id_: desk.tickets.seen(ANA, ref(id_)),
        lambda id_: desk.tickets.update(ANA, TicketChange(ticket_id=id_, status="closed")),
        lambda id_: desk.instance_of(ANA, id_),
        lambda id_: desk.tickets.claim(ANA, ref(id_, version=77)),
    ):
        await desk.instance_of(BIA, foreign)  # also once the desk knows the ticket
        assert await refused(call(foreign)) == await refused(call("never"))
    assert (await desk.tickets_get(BIA, TicketRef(ticket_id=foreign))).assignee is None


async def test_messages_are_paged_in_reading_order(world: World) -> None:
    mine, _ = ids(world)

    async def page(**bounds: Any) -> tuple[list[str | None], str | None]:
        found = await world.desk.messages_list(ANA, MessagesParams(ticket_id=mine, **bounds))
        return [row.whatsapp_id for row in found.messages], found.next_cursor

    newest, cursor = await page(limit=4)
    assert newest == ["W6", "W7", "W8", "W9"]
    older, cursor = await page(limit=4, before=cursor)
    assert older == ["W2", "W3", "W4", "W5"]
    oldest, nothing = await page(limit=4, before=cursor)
    assert (oldest, nothing) == (["W0", "W1"], None)
    assert (await page(limit=2, after=cursor))[0] == ["W3", "W4"]
    for bounds in ({"before": "never"}, {"before": cursor, "after": cursor}):
        assert (await refused(page(**bounds)))[0] is Code.BAD_REQUEST


@pytest.mark.parametrize(
    "text",
    [
        '{"ticket_id":"t","limit":0}',
        '{"ticket_id":"t","limit":201}',
        '{"limit":1}',
        '{"ticket_id":"t","unknown":1}',
        '{"ticket_id":1}',
        '{"ticket_id":"' + "x" * 201 + '"}',
    ],
)
def test_parameters_are_checked_before_anything_is_asked(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=MessagesParams)


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
    ticket = await world.desk.tickets_get(ANA, TicketRef(ticket_id=mine))
    assert (ticket.status, ticket.assignee, ticket.version) == ("open", "bia", 2)
    whole = TicketChange(ticket_id=mine, status="pending", assignee=None, version=2)
    changed = await world.desk.tickets.update(BIA, whole)
    assert (changed.status, changed.assignee, changed.version) == ("pending", None, 3)


async def test_seen_means_nothing_is_unread(world: World) -> None:
    mine, _ = ids(world)
    assert (await world.desk.tickets_get(ANA, TicketRef(ticket_id=mine))).unread == 10
    assert (await world.desk.tickets.seen(ANA, ref(mine))).unread == 0
    await world.apply(message("W10"))
    assert (await world.desk.tickets_get(ANA, TicketRef(ticket_id=mine))).unread == 1


async def test_instances_are_listed_to_whom_they_belong(world: World) -> None:
    await world.apply(message("X"))
    assert [row.name for row in (await world.desk.instances_list(ANA, NoParams())).instances] == ["loja"]
    assert (await world.desk.instances_list(NOBODY, NoParams())).instances == []


async def test_quarantine_is_for_supervisors(world: World) -> None:
    await world.apply(QuarantineFact(reason="no_key", detail="d"))
    assert (await refused(world.desk.quarantine_list(ANA, QuarantineParams())))[0] is Code.FORBIDDEN
    page = await world.desk.quarantine_list(CHEFE, QuarantineParams())
    assert [row.reason for row in page.quarantine] == ["no_key"]
    stranger = Principal(sub="x", role="supervisor", instances=frozenset({"filial"}))
    assert (await world.desk.quarantine_list(stranger, QuarantineParams())).quarantine == []


async def test_an_entry_of_quarantine_is_for_supervisors_of_its_instance(world: World) -> None:
    """P7: a foreign one and one that is not are alike."""
    await world.apply(QuarantineFact(reason="no_key", detail="d"))
    page = await world.desk.quarantine_list(CHEFE, QuarantineParams())
    mine = QuarantineRef(quarantine_id=page.quarantine[0].id)
    seen = await world.desk.quarantine_get(CHEFE, mine)
    assert (seen.reason, seen.body, seen.body_truncated, seen.body_blob) == (
        "no_key",
        "{}",
        False,
        None,
    )
    assert (await refused(world.desk.quarantine_get(ANA, mine)))[0] is Code.FORBIDDEN
    stranger = Principal(sub="x", role="supervisor", instances=frozenset({"filial"}))
    none = await refused(world.desk.quarantine_get(CHEFE, QuarantineRef(quarantine_id="x")))
    assert none[0] is Code.NOT_FOUND
    assert await refused(world.desk.quarantine_get(stranger, mine)) == none


async def test_a_quarantined_body_is_cut_or_said_to_be_elsewhere(world: World) -> None:
    """P5: no answer is larger than a person can read."""
    blob = "ab" * 32
    large = b'{"a":"%b"}' % (b"x" * QUARANTINED_BODY_BYTES_MAX)
    entries = [
        msgspec.structs.replace(envelope(), body=large),
        msgspec.structs.replace(envelope(), body=b"", body_blob=blob),
    ]
    fact = QuarantineFact(reason="no_key", detail="d")

    def work(draft: Draft) -> Applied:
        batch: list[Understood] = [
            (Entry(900 + place, entry), [fact]) for place, entry in enumerate(entries)
        ]
        return apply_batch(draft, batch=batch, journal="other", reopen_within_ms=HOUR)

    await world.ledger.change(work)
    page = await world.desk.quarantine_list(ADMIN, QuarantineParams())
    bodies = {}
    for row in page.quarantine:
        one = await world.desk.quarantine_get(ADMIN, QuarantineRef(quarantine_id=row.id))
        bodies[row.seq] = (one.body, one.body_truncated, one.body_blob)
    assert bodies == {
        900: (large[:QUARANTINED_BODY_BYTES_MAX].decode(), True, None),
        901: ("", False, blob),
    }


async def test_a_file_is_for_whom_its_message_is(world: World) -> None:
    """P7: the hash of a file is no key to it."""
    blob = "ab" * 32
    await world.apply(
        message("P", instance="filial", type="image", media=MediaFact(mimetype="x/y", blob=blob))
    )
    assert (await world.desk.media_of(BIA, blob))["mimetype"] == "x/y"
    assert await refused(world.desk.media_of(ANA, blob)) == await refused(
        world.desk.media_of(ANA, "cd" * 32)
    )
