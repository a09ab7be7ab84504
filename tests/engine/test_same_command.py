"""The same command by two paths is one message (contract §6); each ``op_id`` keeps its answer (P4).

E is ``send-message`` over Socket.IO, R is REST, P an old endpoint, which names a phone number.
"""

from collections.abc import AsyncIterator
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from evorelay.model.clock import now_ms
from evorelay.model.errors import Code, Refusal
from evorelay.model.outcome import FaultKind
from evorelay.model.views import Message
from evorelay.relay.commands import (
    MessageRef,
    OutboxParams,
    PhoneSendParams,
    SendLocation,
    SendParams,
    Via,
)
from evorelay.relay.questions import TicketParams
from tests.engine.evolution import PlayedEvolution, refuses
from tests.engine.harness import ADMIN, HOUR, Clock, message, open_blobs, status, stored
from tests.engine.replying import FAST, Office, running

ANA, BRUNO = "5531988887777", "5531977776666"
PATHS = {"E": "socketio", "R": "rest", "P": "endpoint"}
WITHIN_MS = 10_000


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    with stored(tmp_path) as storage:
        yield Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms))


@pytest.fixture
def clock(office: Office) -> Clock:
    """Time stands still unless a test moves it."""
    clock = Clock()
    office.ledger._now = clock
    return clock


async def ask(office: Office, way: str, said: str, op_id: str, **more: Any) -> Message:
    """One command; by phone for P, and in Ana's ticket for the others."""
    if way == "P":
        params = PhoneSendParams(
            **{"instance": "loja", "phone": ANA, "op_id": op_id, "content": said, **more}
        )
        return await office.outbox.submit_to_phone(ADMIN, params, via=Via(path="endpoint"))
    ticket = more.pop("ticket_id", None) or await ana(office)
    path = more.pop("path", PATHS[way])
    return await office.say(ticket, said, op_id=op_id, path=path, **more)


async def ana(office: Office) -> str:
    return await office.ticket(ANA)


async def conflict(office: Office, way: str, said: str, op_id: str, **more: Any) -> bool:
    with pytest.raises(Refusal) as refusal:
        await ask(office, way, said, op_id, **more)
    return refusal.value.code is Code.OP_ID_CONFLICT


def joined(office: Office, path: str) -> float | None:
    return office.registry.get_sample_value("evorelay_commands_joined_total", {"path": path})


async def types_waiting(office: Office) -> list[str]:
    page = await office.outbox.page(ADMIN, OutboxParams())
    return sorted(row.type for row in page.outbox)


def replies(office: Office) -> list[str]:
    return [row.id for row in office.messages() if row.direction == "out"]


@pytest.mark.parametrize("ways", ["ER", "RE", "EP", "PE"])
async def test_the_second_is_answered_with_the_message_of_the_first(
    office: Office, ways: str
) -> None:
    async with running(office):
        first = await ask(office, ways[0], "Olá!", "a")
        second = await ask(office, ways[1], "Olá!", "b")
        assert second.id == first.id
        assert (await office.final(second)).status == "sent"
        await office.all_over()
    assert [sent.text for sent in office.evolution.delivered] == ["Olá!"]
    told = [event["type"] for event in office.events(f"ticket:{first.ticket_id}")]
    assert told.count("message.created") == 2  # hers and ours
    assert [joined(office, PATHS[way]) for way in ways] == [0, 1]


@pytest.mark.parametrize("ways", [("E", "E"), ("R", "P"), ("R", "R"), ("P", "P")])
async def test_commands_that_no_two_paths_brought_are_each_their_own(
    office: Office, ways: tuple[str, str]
) -> None:
    for op_id, way in zip("ab", ways, strict=True):
        await ask(office, way, "Olá!", op_id)
    assert len(replies(office)) == 2


@pytest.mark.parametrize("other", ["socketio", "rest", "endpoint"])
async def test_rpc_has_no_second_path(office: Office, other: str) -> None:
    """Its clients were written for us, and none of them sends twice."""
    await ask(office, "E", "Olá!", "a", path="rpc")
    await ask(office, "E", "Olá!", "b", path=other)
    assert len(replies(office)) == 2


async def test_equal_texts_pair_one_to_one_in_any_order(office: Office) -> None:
    """Twice meant and each time doubled is two messages, whoever overtakes whom."""
    for said, ways in enumerate(sorted(set(permutations("EEEPPR")))):
        before = len(replies(office))
        answers = [
            (way, (await ask(office, way, f"{said}", f"{said}-{n}")).id)
            for n, way in enumerate(ways)
        ]
        by_socket = [id_ for way, id_ in answers if way == "E"]
        by_http = [id_ for way, id_ in answers if way != "E"]
        assert by_socket == by_http, "the oldest first"
        assert len(set(by_socket)) == 3
        assert len(replies(office)) == before + 3


async def test_one_path_may_bring_more_than_the_other(office: Office) -> None:
    """An unpaired one waits for its other half; a paired one takes no further."""
    for ways, count in {"EPP": 2, "EPE": 2, "EEP": 2, "EPPE": 2, "PEER": 2, "EPRE": 2}.items():
        ids = {(await ask(office, way, ways, f"{ways}{n}")).id for n, way in enumerate(ways)}
        assert len(ids) == count, ways


@pytest.mark.parametrize(
    "changed",
    [
        {"said": "Olá"},
        {"is_internal": True},
        {"ticket_id": "bruno"},
        {"ticket_id": "outra"},
        {"reply_to": "hers"},
        {"said": "", "location": SendLocation(latitude=0, longitude=0)},
    ],
)
async def test_what_differs_is_another_command(office: Office, changed: dict[str, Any]) -> None:
    tickets = {
        "bruno": await office.ticket(BRUNO),
        "outra": await office.ticket(ANA, instance="outra"),
    }
    hers = await office.ticket(ANA)
    quoted = next(row.id for row in office.messages() if row.ticket_id == hers)
    fields = {"said": "Olá!", **changed}
    if "ticket_id" in fields:
        fields["ticket_id"] = tickets[fields["ticket_id"]]
    if "reply_to" in fields:
        fields["reply_to"] = quoted
    first = await ask(office, "E", "Olá!", "a")
    second = await ask(office, "R", op_id="b", **fields)
    assert first.id != second.id


async def test_two_notes_two_places_and_two_reactions_are_two(office: Office) -> None:
    """Only texts are doubled by such front ends; nothing else is guessed at."""
    place: dict[str, Any] = {"said": "", "location": SendLocation(latitude=0, longitude=0)}
    note: dict[str, Any] = {"said": "cliente difícil", "is_internal": True}
    for n, fields in enumerate((place, note)):
        for way in "ER":
            await ask(office, way, op_id=f"{way}{n}", **fields)
    assert len(replies(office)) == 4
    first = office.messages()[0]
    thumb: dict[str, Any] = {"said": "👍", "type": "reaction", "reply_to": first.id}
    for way in "ER":
        await ask(office, way, op_id=f"{way}-thumb", **thumb)
    assert await types_waiting(office) == ["location", "location", "reaction", "reaction"]


@pytest.mark.parametrize("types", [("text", "reaction"), ("reaction", "text")])
async def test_an_emoji_said_is_none_given(office: Office, types: tuple[str, str]) -> None:
    hers = await ana(office)
    (first,) = [row for row in office.messages() if row.ticket_id == hers]
    for way, type_ in zip("ER", types, strict=True):
        await ask(office, way, "👍", way, type=type_, reply_to=first.id)
    assert await types_waiting(office) == ["reaction", "text"]


async def test_a_quotation_counts_however_it_is_named(office: Office) -> None:
    """REST says our id, the old endpoint WhatsApp's; one that is not here is not quoted."""
    ticket = await ana(office)
    (hers,) = [row for row in office.messages() if row.ticket_id == ticket]
    first = await ask(office, "E", "Sim", "a", reply_to=hers.id)
    assert (await ask(office, "P", "Sim", "b", quoted=hers.whatsapp_id)).id == first.id
    plain = await ask(office, "E", "Não", "c")
    assert (await ask(office, "P", "Não", "d", quoted="unknown")).id == plain.id


@pytest.mark.parametrize(
    ("moved_ms", "is_same"),
    [
        (0, True),
        (WITHIN_MS - 1, True),
        (WITHIN_MS, False),
        (HOUR, False),
        (-5, True),
        (1 - WITHIN_MS, True),
        (-WITHIN_MS, False),
        (-HOUR, False),
    ],
)
async def test_the_window_ends_whichever_way_the_clock_goes(
    office: Office, clock: Clock, moved_ms: int, is_same: bool
) -> None:
    """A clock that is put back by a step joins no more than one that runs."""
    first = await ask(office, "E", "Olá!", "a")
    clock.ms += moved_ms
    second = await ask(office, "P", "Olá!", "b")
    assert (second.id == first.id) is is_same


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with stored(tmp_path) as storage:
        config = replace(FAST, same_command_within=0.0)
        office = Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms), config)
        ids = {(await ask(office, way, "Olá!", way)).id for way in "EPR"}
    assert len(ids) == 3


async def test_of_two_at_the_same_moment_one_is_sent(office: Office) -> None:
    """Both in one group commit: the second work sees what the first has written, and both can wait
    until it is sent."""
    ticket = await ana(office)
    answers: dict[str, list[str]] = {"E": [], "P": []}

    async def send(way: str, n: int) -> None:
        message = await office.final(
            await ask(office, way, "Olá!", f"{way}{n}", **_in(way, ticket))
        )
        assert message.status == "sent"
        answers[way].append(message.id)

    async with running(office), trio.open_nursery() as nursery:
        async with office.ledger._lock:
            for n in range(10):
                nursery.start_soon(send, "E", n)
                nursery.start_soon(send, "P", n)
            await wait_all_tasks_blocked()
    assert sorted(answers["E"]) == sorted(answers["P"]) == sorted(replies(office))
    assert len(set(answers["E"])) == len(office.evolution.delivered) == 10


async def test_what_failed_is_not_what_the_second_wanted(office: Office) -> None:
    """Nobody has got it, so the second is sent."""
    office.evolution.trouble.append(refuses(FaultKind.PERMANENT, "played"))
    async with running(office):
        first = await office.final(await ask(office, "E", "Olá!", "a"))
        assert first.status == "failed"
        second = await office.final(await ask(office, "P", "Olá!", "b"))
        assert (second.status, second.id == first.id) == ("sent", False)


async def test_neither_is_what_whatsapp_itself_gave_up(office: Office) -> None:
    async with running(office):
        first = await office.final(await ask(office, "E", "Olá!", "a"))
        await office.apply(status(str(first.whatsapp_id), "failed"))
        second = await ask(office, "P", "Olá!", "b")
        assert second.id != first.id


async def test_a_failure_of_both_is_one_and_retried_once(office: Office) -> None:
    """The second row is no attempt of its own: a retry sends the first, once."""
    ticket = await ana(office)
    office.evolution.trouble.append(refuses(FaultKind.PERMANENT, "played"))
    first = await ask(office, "E", "Olá!", "a")
    second = await ask(office, "P", "Olá!", "b")
    async with running(office):
        failed = await office.final(second)
        assert (failed.id, failed.status) == (first.id, "failed")
        page = await office.outbox.page(ADMIN, OutboxParams(state="failed"))
        assert [row.op_id for row in page.outbox] == ["a"]
        again = await office.outbox.retry(ADMIN, MessageRef(message_id=first.id))
        assert (await office.final(again)).status == "sent"
        for way, op_id in (("E", "a"), ("P", "b")):
            answered = await ask(office, way, "Olá!", op_id, **_in(way, ticket))
            assert (answered.id, answered.status) == (first.id, "sent")
    assert len(office.evolution.delivered) == 1


async def test_each_op_id_keeps_its_answer(tmp_path: Path) -> None:
    """P4: long after the window and after a restart, also with other content."""
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms))
        ticket = await ana(office)
        first = await ask(office, "E", "Olá!", "a")
        assert (await ask(office, "P", "Olá!", "b")).id == first.id
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms))
        office.ledger._now = lambda: now_ms() + HOUR
        for way, op_id in (("E", "a"), ("P", "b")):
            assert (await ask(office, way, "Olá!", op_id, **_in(way, ticket))).id == first.id
            assert await conflict(office, way, "Tchau", op_id, **_in(way, ticket))
        async with running(office):
            await office.all_over()
        assert [sent.text for sent in office.evolution.delivered] == ["Olá!"]
        assert joined(office, "endpoint") == 0  # of this run: a repetition is no new pair


async def test_the_second_row_goes_when_its_time_is_over(office: Office) -> None:
    await ask(office, "E", "Olá!", "a")
    await ask(office, "P", "Olá!", "b")
    assert office.storage.maintenance.trim_outbox(now_ms() + HOUR, 10) == 1
    await ask(office, "P", "Tchau", "b")
    assert len(replies(office)) == 2


async def test_one_op_id_by_two_paths_is_no_conflict(office: Office, clock: Clock) -> None:
    """The same content for the same person, though the endpoint puts it in other fields; that is
    the key's doing, so no window ends it."""
    await office.ticket(BRUNO)
    first = await ask(office, "E", "Olá!", "a")
    clock.ms += HOUR
    for way in "PRE":
        assert (await ask(office, way, "Olá!", "a")).id == first.id
    assert await conflict(office, "P", "Tchau", "a")
    assert await conflict(office, "P", "Olá!", "a", phone=BRUNO)
    assert await conflict(office, "R", "Olá!", "a", is_internal=True)
    await ask(office, "E", "só nós", "note", is_internal=True)
    assert await conflict(office, "P", "só nós", "note")
    assert len(replies(office)) == 2


async def test_a_number_is_known_however_it_is_written(office: Office) -> None:
    first = await ask(office, "E", "Olá!", "a")
    second = await ask(office, "P", "Olá!", "b", phone="+55 (31) 8888-7777")
    assert second.id == first.id


async def test_a_stranger_s_first_message_may_come_twice_too(office: Office) -> None:
    """The endpoint opens the ticket, and the socket is faster than the customer."""
    await ana(office)
    first = await ask(office, "P", "Olá!", "a", phone=BRUNO)
    second = await ask(office, "E", "Olá!", "b", ticket_id=first.ticket_id)
    assert second.id == first.id


async def test_the_second_is_answered_when_the_ticket_was_closed_or_the_queue_is_full(
    tmp_path: Path,
) -> None:
    """It asks for nothing that is not done or waiting already."""
    with stored(tmp_path) as storage:
        evolution = PlayedEvolution(now_ms)
        evolution.unconfigured.add("loja")
        config = replace(FAST, max_queued=1)
        office = Office(storage, await open_blobs(tmp_path), evolution, config)
        ticket = await ana(office)
        async with running(office):
            first = await ask(office, "P", "Olá!", "a")
            with pytest.raises(Refusal):
                await ask(office, "E", "cheia", "b", ticket_id=ticket)
            await office.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket))
            second = await ask(office, "E", "Olá!", "c", ticket_id=ticket)
            assert second.id == first.id
            assert office.lanes.waiting() == {"loja": 1}


async def test_two_people_who_turn_out_to_be_one_take_their_commands_along(
    office: Office,
) -> None:
    lid = "222222222222222@lid"
    await office.apply(message("L1", phone=None, lid=lid, sent_at=now_ms()))
    (row,) = office.messages()
    first = await ask(office, "E", "Olá!", "a", ticket_id=row.ticket_id)
    await ana(office)
    await office.apply(message("BOTH", phone=ANA, lid=lid, sent_at=now_ms()))
    second = await ask(office, "P", "Olá!", "b")
    assert second.id == first.id


async def test_the_event_says_whose_command_it_is(office: Office) -> None:
    """Socket.IO's hub leaves that client out; what came by HTTP has no client to leave out."""
    first = await ask(office, "E", "Olá!", "a", origin="pid-1")
    await ask(office, "P", "Olá!", "b")
    await ask(office, "P", "Tchau", "c")
    page = office.storage.readers[0].events_after(f"ticket:{first.ticket_id}", 0, 100)
    created = [event.origin for event in page.events if b'"message.created"' in event.data]
    assert created == [None, "pid-1", None]


async def test_a_stranger_s_ticket_stays_unknown(office: Office) -> None:
    """P7: no words tell anybody what was said in a ticket that is not theirs."""
    first = await ask(office, "E", "Olá!", "a")
    stranger = replace(ADMIN, sub="b", role="agent", instances=frozenset({"outra"}))
    in_ticket = SendParams(ticket_id=first.ticket_id, content="Olá!", op_id="b")
    to_phone = PhoneSendParams(instance="loja", phone=ANA, content="Olá!", op_id="b")
    rest, endpoint = Via(path="rest"), Via(path="endpoint")
    for call in (
        partial(office.outbox.submit, stranger, in_ticket, via=rest),
        partial(office.outbox.submit_to_phone, stranger, to_phone, via=endpoint),
    ):
        with pytest.raises(Refusal) as refusal:
            await call()
        assert refusal.value.code is Code.NOT_FOUND


def _in(way: str, ticket_id: str) -> dict[str, str]:
    """Without a customer's new message: how to name the conversation."""
    return {} if way == "P" else {"ticket_id": ticket_id}
