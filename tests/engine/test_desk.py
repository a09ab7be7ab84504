"""What agents may ask (P7): each sees its own, and a foreign thing is like an unknown one."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.model.change import Revoke
from evorelay.model.clock import utc
from evorelay.model.envelope import Entry
from evorelay.model.errors import Code
from evorelay.model.fact import (
    ChangeFact,
    Chat,
    GroupFact,
    MediaFact,
    Member,
    QuarantineFact,
)
from evorelay.model.principal import Principal
from evorelay.relay import desk as desk_module
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.desk import QUARANTINED_BODY_BYTES_MAX
from evorelay.relay.draft import Draft
from evorelay.relay.questions import (
    MessagesParams,
    NoParams,
    QuarantineParams,
    QuarantineRef,
    TicketChange,
    TicketsParams,
)
from evorelay.storage.ports import Plan
from tests.engine.harness import HOUR, T0, World, envelope, message, reply
from tests.engine.office import (
    ADMIN,
    ANA,
    BIA,
    CHEFE,
    NOBODY,
    STRANGER,
    ids,
    office,
    only,
    ref,
    refused,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with office(tmp_path) as world:
        yield world


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


async def test_search_finds_among_ones_own(world: World) -> None:
    """P7: what was said elsewhere is not found, however it is asked for."""
    await world.apply(message("secret", instance="filial", phone="5511911112222"))

    async def found(who: Principal, **filters: Any) -> list[str]:
        page = await world.desk.tickets_list(who, TicketsParams(q="secret", **filters))
        return [ticket.instance for ticket in page.tickets]

    assert await found(BIA) == await found(ADMIN) == ["filial"]
    assert await found(ANA) == await found(ANA, instance="filial") == await found(NOBODY) == []


async def test_a_list_may_hold_only_what_the_caller_has_not_read(world: World) -> None:
    mine, foreign = ids(world)
    await world.desk.tickets.seen(BIA, only(mine))

    async def unread(who: Principal) -> list[tuple[str, int]]:
        page = await world.desk.tickets_list(who, TicketsParams(unread=True))
        return [(ticket.id, ticket.unread) for ticket in page.tickets]

    assert await unread(BIA) == [(foreign, 1)]
    await world.apply(message("W10"))
    assert await unread(BIA) == [(foreign, 1), (mine, 1)]
    assert await unread(ANA) == [(mine, 11)]  # BIA has read for nobody else


async def test_who_has_waited_longest_may_come_first(world: World) -> None:
    mine, foreign = ids(world)
    order: list[str] = []
    params = TicketsParams(sort="waiting", limit=1)
    while (page := await world.desk.tickets_list(BIA, params)).next_cursor:
        order += [ticket.id for ticket in page.tickets]
        params = msgspec.structs.replace(params, cursor=page.next_cursor)
    assert order == [mine, foreign]
    await world.apply(reply("R", sent_at=T0 + HOUR))
    first = await world.desk.tickets_list(BIA, TicketsParams(sort="waiting"))
    assert [(t.id, t.waiting_since is None) for t in first.tickets] == [
        (foreign, False),
        (mine, True),
    ]


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
        lambda id_: desk.tickets_get(ANA, only(id_)),
        lambda id_: desk.messages_list(ANA, MessagesParams(ticket_id=id_)),
        lambda id_: desk.tickets.claim(ANA, ref(id_)),
        lambda id_: desk.tickets.release(ANA, ref(id_)),
        lambda id_: desk.tickets.close(ANA, ref(id_)),
        lambda id_: desk.tickets.reopen(ANA, ref(id_)),
        lambda id_: desk.tickets.seen(ANA, ref(id_)),
        lambda id_: desk.tickets.update(ANA, TicketChange(ticket_id=id_, status="closed")),
        lambda id_: desk.participants(ANA, only(id_)),
        lambda id_: desk.instance_of(ANA, id_),
        lambda id_: desk.tickets.claim(ANA, ref(id_, version=77)),
    ):
        await desk.instance_of(BIA, foreign)  # also once the desk knows the ticket
        assert await refused(call(foreign)) == await refused(call("never"))
    assert (await desk.tickets_get(BIA, only(foreign))).assignee is None


async def test_a_page_of_long_messages_ends_early_and_says_where(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: how long they are is the customer's choice."""
    mine, _ = ids(world)
    monkeypatch.setattr(desk_module, "PAGE_BYTES_MAX", 1)

    async def page(**bounds: Any) -> tuple[list[str | None], str | None]:
        found = await world.desk.messages_list(ANA, MessagesParams(ticket_id=mine, **bounds))
        return [row.whatsapp_id for row in found.messages], found.next_cursor

    newest, cursor = await page()
    assert newest == ["W9"]
    older, cursor = await page(before=cursor)
    assert older == ["W8"]
    newer, cursor = await page(after=cursor)
    assert newer == ["W9"]
    assert (await page(limit=1))[1] is not None


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


async def test_instances_are_listed_to_whom_they_belong(world: World) -> None:
    await world.apply(message("X"))
    assert [row.name for row in (await world.desk.instances_list(ANA, NoParams())).instances] == [
        "loja"
    ]
    assert (await world.desk.instances_list(NOBODY, NoParams())).instances == []


async def test_participants_of_a_group_and_of_a_chat_of_two(world: World) -> None:
    mine, _ = ids(world)
    (person,) = (await world.desk.participants(ANA, only(mine))).participants
    assert (person.phone, person.role) == ("5531988887777", None)
    group = Chat(jid="1203@g.us", is_group=True)
    zoe, admin = (
        Chat(jid=f"{n}@s.whatsapp.net", phone=n) for n in ("5511900000001", "447911123456")
    )
    await world.apply(
        message("G1", chat=group, author=zoe, sender_id=zoe.jid, sender_name="Zoé"),
        GroupFact(
            instance="loja",
            group=group,
            action="snapshot",
            members=(Member(person=zoe), Member(person=admin, role="admin")),
        ),
    )
    ticket = next(t for t in world.tickets() if t.id != mine and t.instance == "loja")
    found = (await world.desk.participants(ANA, only(ticket.id))).participants
    assert [(one.phone, one.role) for one in found] == [
        ("447911123456", "admin"),
        ("5511900000001", "member"),
    ]


async def test_quarantine_is_for_supervisors(world: World) -> None:
    await world.apply(QuarantineFact(reason="no_key", detail="d"))
    assert (await refused(world.desk.quarantine_list(ANA, QuarantineParams())))[0] is Code.FORBIDDEN
    page = await world.desk.quarantine_list(CHEFE, QuarantineParams())
    assert [row.reason for row in page.quarantine] == ["no_key"]
    assert (await world.desk.quarantine_list(STRANGER, QuarantineParams())).quarantine == []


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
    none = await refused(world.desk.quarantine_get(CHEFE, QuarantineRef(quarantine_id="x")))
    assert none[0] is Code.NOT_FOUND
    assert await refused(world.desk.quarantine_get(STRANGER, mine)) == none


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
            Understood(Entry(900 + place, entry), [fact]) for place, entry in enumerate(entries)
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


async def test_what_was_understood_after_all_is_listed_on_request(world: World) -> None:
    await world.apply(QuarantineFact(reason="no_key", detail="d"))
    (row,) = (await world.desk.quarantine_list(CHEFE, QuarantineParams())).quarantine
    assert row.replayed_at is None
    world.storage.writer.transact(lambda tx: tx.write(Plan(replayed=[(row.id, T0)])))
    assert (await world.desk.quarantine_list(CHEFE, QuarantineParams())).quarantine == []
    page = await world.desk.quarantine_list(CHEFE, QuarantineParams(replayed=True))
    assert [(one.id, one.replayed_at) for one in page.quarantine] == [(row.id, utc(T0))]


async def test_a_file_is_for_whom_its_message_is(world: World) -> None:
    """P7: the hash of a file is no key to it."""
    blob = "ab" * 32
    await world.apply(
        message("P", instance="filial", type="image", media=MediaFact(mimetype="x/y", blob=blob))
    )
    assert (await world.desk.media_of(BIA, blob))["mimetype"] == "x/y"
    none = await refused(world.desk.media_of(ANA, "cd" * 32))
    assert await refused(world.desk.media_of(ANA, blob)) == none
    await world.apply(ChangeFact(instance="filial", whatsapp_id="P", change=Revoke(at=T0)))
    assert await refused(world.desk.media_of(BIA, blob)) == none
