"""Replies from the command to Evolution and back (P4, P5)."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from evorelay.model.clock import now_ms
from evorelay.model.errors import Code, Refusal
from evorelay.model.outcome import Accepted, FaultKind, GatewayFault
from evorelay.model.outgoing import Delivery
from evorelay.model.principal import Principal
from evorelay.relay.commands import MessageRef, OutboxParams, PhoneSendParams, SendParams, Via
from evorelay.relay.questions import TicketParams
from tests.engine.evolution import (
    PlayedEvolution,
    Sent,
    down,
    hangs,
    refuses,
    sends_and_does_not_say,
    sends_and_hangs,
)
from tests.engine.harness import ADMIN, connection, message, open_blobs, status, stored
from tests.engine.replying import FAST, Office, running

ANA = "5531988887777"
RPC, ENDPOINT = Via(path="rpc"), Via(path="endpoint")


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    with stored(tmp_path) as storage:
        yield Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms))


async def refused(office: Office, params: SendParams, who: Principal = ADMIN) -> Code:
    with pytest.raises(Refusal) as refusal:
        await office.outbox.submit(who, params, via=RPC)
    return refusal.value.code


async def test_a_reply_is_seen_as_pending_by_all_before_it_is_acknowledged(office: Office) -> None:
    """P4: the ack says that it is durable, and nobody has to wait for Evolution to see it."""
    ticket = await office.ticket(ANA)
    answered = await office.say(ticket, "bom dia")
    told = office.events(f"ticket:{ticket}")[-1]
    assert told["type"] == "message.created"
    assert (told["message"]["id"], told["message"]["status"]) == (answered.id, "pending")
    assert told["message"]["sender_id"] == ADMIN.sub
    assert office.row(answered.id).state == "queued"
    assert office.evolution.calls == 0


async def test_the_same_op_id_is_answered_with_the_same_message(office: Office) -> None:
    """P4: an agent's client that lost the ack asks again."""
    ticket = await office.ticket(ANA)
    async with running(office):
        first = await office.say(ticket, "bom dia", op_id="a")
        again = await office.say(ticket, "bom dia", op_id="a")
        done = await office.final(first)
        third = await office.say(ticket, "bom dia", op_id="a")
    assert first.id == again.id == third.id
    assert (done.status, third.status) == ("sent", "sent")
    assert [sent.text for sent in office.evolution.delivered] == ["bom dia"]


async def test_an_op_id_used_for_something_else_is_a_conflict(office: Office) -> None:
    ticket, other = await office.ticket(ANA), await office.ticket("5531977776666")
    await office.say(ticket, "bom dia", op_id="a")
    changed = SendParams(ticket_id=ticket, content="boa tarde", op_id="a")
    moved = SendParams(ticket_id=other, content="bom dia", op_id="a")
    assert await refused(office, changed) is Code.OP_ID_CONFLICT
    assert await refused(office, moved) is Code.OP_ID_CONFLICT


async def test_what_cannot_be_sent_is_refused_with_a_code(office: Office) -> None:
    ticket = await office.ticket(ANA)
    base = SendParams(ticket_id=ticket, content="oi", op_id="x")
    stranger = Principal(sub="b", role="agent", instances=frozenset({"outra"}))
    assert await refused(office, base, stranger) is Code.NOT_FOUND
    assert await refused(office, replace(base, ticket_id="none")) is Code.NOT_FOUND
    assert await refused(office, replace(base, content="  ")) is Code.BAD_REQUEST
    assert await refused(office, replace(base, reply_to="none")) is Code.BAD_REQUEST
    assert await refused(office, replace(base, type="image")) is Code.BAD_REQUEST
    assert await refused(office, replace(base, type="reaction")) is Code.BAD_REQUEST
    await office.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket))
    assert await refused(office, base) is Code.TICKET_CLOSED
    note = await office.outbox.submit(ADMIN, replace(base, is_internal=True, op_id="note"), via=RPC)
    assert (note.is_internal, note.ticket_id) == (True, ticket)


async def test_a_full_queue_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """P5: what is over the bound is refused at the door."""
    with stored(tmp_path) as storage:
        evolution = PlayedEvolution(now_ms)
        evolution.unconfigured.add("loja")
        config = replace(FAST, max_queued=3)
        office = Office(storage, await open_blobs(tmp_path), evolution, config)
        ticket = await office.ticket(ANA)
        async with running(office):
            for n in range(3):
                await office.say(ticket, f"{n}")
            late = SendParams(ticket_id=ticket, content="3", op_id="late")
            assert await refused(office, late) is Code.OUTBOX_FULL
            assert office.lanes.waiting() == {"loja": 3}
            note = replace(late, is_internal=True)
            assert (await office.outbox.submit(ADMIN, note, via=RPC)).is_internal


async def test_an_internal_note_never_leaves_the_house(office: Office) -> None:
    ticket = await office.ticket(ANA)
    async with running(office):
        note = await office.say(ticket, "cliente difícil", is_internal=True)
        await office.final(await office.say(ticket, "bom dia"))
    assert note.status == "sent"
    assert note.is_internal
    assert [sent.text for sent in office.evolution.delivered] == ["bom dia"]
    assert office.row(note.id).state == "kept"


async def test_each_conversation_is_sent_in_order_whatever_fails(tmp_path: Path) -> None:
    """P4: FIFO per conversation, several of them at once, none lost and none twice."""
    with stored(tmp_path) as storage:
        patient = replace(FAST, max_attempts=1000)
        evolution = PlayedEvolution(now_ms)
        await _everything_goes_wrong(
            Office(storage, await open_blobs(tmp_path), evolution, patient)
        )


async def _everything_goes_wrong(office: Office) -> None:
    rng = random.Random(7)
    people = [f"55319888877{n:02d}" for n in range(10)]
    tickets = {phone: await office.ticket(phone) for phone in people}
    for _ in range(150):
        office.evolution.trouble.append(
            rng.choice(
                [
                    refuses(FaultKind.RETRY),
                    refuses(FaultKind.UNKNOWN),
                    sends_and_does_not_say,
                    refuses(FaultKind.RETRY, retry_after_s=0.01),
                ]
            )
        )
    rng.shuffle(office.evolution.trouble)
    async with running(office):
        for n in range(20):
            for _phone, ticket in tickets.items():
                await office.say(ticket, f"{n}")
        await office.all_over()
    by_person: dict[str, list[str]] = defaultdict(list)
    for sent in office.evolution.delivered:
        by_person[sent.number].append(sent.text)
    assert "failed" not in {row.status for row in office.messages()}
    assert by_person == {phone: [f"{n}" for n in range(20)] for phone in people}


async def test_what_was_sent_without_an_answer_is_found_and_not_sent_again(office: Office) -> None:
    """P4: never twice in doubt."""
    ticket = await office.ticket(ANA)
    office.evolution.trouble.append(sends_and_does_not_say)
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
    assert done.status == "sent"
    (sent,) = office.evolution.delivered
    assert done.whatsapp_id == sent.whatsapp_id
    assert office.evolution.looked == 1


async def test_what_evolution_does_not_have_is_sent_again_but_not_too_soon(office: Office) -> None:
    """P4: it may still be working on it."""
    ticket = await office.ticket(ANA)
    office.evolution.trouble.append(refuses(FaultKind.UNKNOWN))
    began = trio.current_time()
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
    assert done.status == "sent"
    assert len(office.evolution.delivered) == 1
    assert trio.current_time() - began >= FAST.settle_after


async def test_an_evolution_without_memory_is_not_believed(office: Office) -> None:
    """P4: when it keeps no messages, that it has none says nothing."""
    ticket = await office.ticket(ANA)
    async with running(office):
        await office.final(await office.say(ticket, "primeira"))
        office.evolution.keeps_messages = False
        office.evolution.trouble.append(sends_and_does_not_say)
        done = await office.final(await office.say(ticket, "segunda"))
    assert done.status == "failed"
    assert done.error is not None
    assert done.error.code == "outcome_unknown"
    assert [sent.text for sent in office.evolution.delivered] == ["primeira", "segunda"]


async def test_the_echo_settles_what_the_answer_did_not(office: Office) -> None:
    """P4: the webhook is the first to know; Evolution is not even asked."""
    ticket = await office.ticket(ANA)
    slow = replace(FAST, settle_after=60)
    office.lanes._config = slow
    office.evolution.on_delivery = office.echo
    office.evolution.trouble.append(sends_and_does_not_say)
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
    assert (done.status, done.whatsapp_id) == ("sent", "WA000000")
    assert office.evolution.looked == 0
    assert len(office.messages()) == 2


async def test_the_echo_before_the_answer_makes_no_second_message(office: Office) -> None:
    """P2: in about half of all sends the webhook comes first (evolution-live.md)."""
    ticket = await office.ticket(ANA)
    office.evolution.on_delivery = office.echo
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
        await office.apply(status("WA000000", "read"))
    _inbound, ours = office.messages()
    assert (ours.id, ours.whatsapp_id, ours.status) == (done.id, "WA000000", "read")
    assert ours.sender_id == ADMIN.sub
    assert "origin" not in ours.metadata


async def test_receipts_that_overtake_the_answer_are_not_lost(office: Office) -> None:
    ticket = await office.ticket(ANA)

    async def receipt(sent: Sent) -> None:
        await office.apply(status(sent.whatsapp_id, "delivered"))

    office.evolution.on_delivery = receipt
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
    assert done.status == "delivered"


async def test_an_echo_under_a_strangers_privacy_id_becomes_one_with_its_message(
    office: Office,
) -> None:
    """P2: Evolution echoes to a LID nobody has named yet; the answer says that they are one."""
    ticket = await office.ticket(ANA)
    lid = "222222222222222@lid"

    async def stranger(sent: Sent) -> None:
        await office.apply(
            message(
                sent.whatsapp_id,
                phone=None,
                lid=lid,
                content=sent.text,
                from_me=True,
                origin="api",
                status="pending",
                sent_at=sent.at_ms,
            )
        )
        await office.apply(status(sent.whatsapp_id, "read"))

    office.evolution.on_delivery = stranger
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
    assert [row.content for row in office.messages()] == [f"IN-loja-{ANA}", "bom dia"]
    assert (done.status, done.ticket_id) == ("read", ticket)
    assert len([row for row in office.tickets() if row.merged_into is None]) == 1
    removed = [event for event in office.events("inbox:loja") if event["type"] == "message.removed"]
    assert [event["replaced_by"] for event in removed] == [done.id]


async def test_somebody_elses_echo_of_the_same_words_is_given_back(office: Office) -> None:
    """Another client of the API says the same to the same person while ours is under way."""
    ticket = await office.ticket(ANA)

    async def other_first(sent: Sent) -> None:
        await office.echo(replace(sent, whatsapp_id="OTHERS"))

    office.evolution.on_delivery = other_first
    async with running(office):
        done = await office.final(await office.say(ticket, "bom dia"))
    rows = {row.whatsapp_id: row for row in office.messages()}
    assert done.id in {row.id for row in rows.values()}
    assert rows["WA000000"].id == done.id
    assert rows["OTHERS"].metadata["origin"] == "api"


async def test_the_same_words_of_another_hour_are_no_echo(office: Office) -> None:
    """P4: an old "ok" that the reconciler finds must not pass for the one that is in doubt."""
    ticket = await office.ticket(ANA)
    office.evolution.trouble.append(refuses(FaultKind.UNKNOWN))
    async with running(office):
        written = await office.say(ticket, "ok")
        with trio.fail_after(30):
            while office.row(written.id).state != "unknown":
                await trio.sleep(0.001)
        old = message(
            "OLD",
            phone=ANA,
            content="ok",
            sent_at=now_ms() - 3_600_000,
            from_me=True,
            origin="phone",
            metadata={"recovered": True},
        )
        await office.apply(old)
        done = await office.final(written)
    assert done.whatsapp_id == "WA000000"
    assert len(office.evolution.delivered) == 1


async def test_a_crash_in_the_middle_sends_nothing_twice(tmp_path: Path) -> None:
    """P4: what was under way is looked up by the next run; the rest is sent in its order."""
    evolution = PlayedEvolution(now_ms)
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), evolution)
        ticket, other = await office.ticket(ANA), await office.ticket("5531977776666")
        evolution.trouble.extend([sends_and_hangs, hangs])
        async with running(office):
            for n in range(5):
                await office.say(ticket, f"{n}")
                await office.say(other, f"{n}")
            with trio.fail_after(30):
                while evolution.trouble:
                    await trio.sleep(0.001)
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), evolution)
        async with running(office):
            await office.all_over()
        for number in (ANA, "5531977776666"):
            texts = [sent.text for sent in evolution.delivered if sent.number == number]
            assert texts == [f"{n}" for n in range(5)]
        assert {row.status for row in office.messages() if row.direction == "out"} == {"sent"}


async def test_a_parked_instance_delays_no_other(office: Office) -> None:
    """P5: replies of the one wait, and go on when it is back; the others do not notice."""
    here, there = await office.ticket(ANA), await office.ticket(ANA, instance="outra")
    office.evolution.states["loja"] = "close"
    async with running(office):
        waits = await office.say(here, "espera")
        for n in range(50):
            await office.say(there, f"{n}")
        with trio.fail_after(30):
            while len(office.evolution.delivered) < 50:
                await trio.sleep(0.002)
        assert office.lanes.trouble()[0][:2] == ("loja", "instance_closed")
        assert office.row(waits.id).attempts == 0
        office.evolution.states["loja"] = "open"
        office.signals.note("loja", "open")
        assert (await office.final(waits)).status == "sent"
        assert office.lanes.trouble() == []


async def test_a_gateway_that_is_down_costs_no_attempts(office: Office) -> None:
    """It may be down for minutes, and eight attempts are over in seconds."""
    gone = GatewayFault(FaultKind.GATEWAY_DOWN, "gateway_down", "Evolution cannot be reached")
    here, there = await office.ticket(ANA), await office.ticket(ANA, instance="outra")
    office.evolution.states = {"loja": gone, "outra": gone}
    async with running(office):
        one, two = await office.say(here, "um"), await office.say(there, "dois")
        with trio.fail_after(30):
            while len(office.lanes.trouble()) < 2:
                await trio.sleep(0.002)
        await trio.sleep(1.2)
        assert office.row(one.id).attempts == office.row(two.id).attempts == 0
        office.evolution.states = {}
        assert {(await office.final(one)).status, (await office.final(two)).status} == {"sent"}


async def test_a_dead_letter_is_seen_and_can_be_retried(office: Office) -> None:
    """P4: every reply ends in a visible final state with the reason."""
    ticket = await office.ticket(ANA)
    office.evolution.trouble.append(refuses(FaultKind.PERMANENT, "not_on_whatsapp"))
    async with running(office):
        dead = await office.final(await office.say(ticket, "bom dia"))
        assert dead.status == "failed"
        assert dead.error is not None
        assert dead.error.code == "not_on_whatsapp"
        page = await office.outbox.page(ADMIN, OutboxParams(state="failed"))
        assert [(row.message_id, row.attempts) for row in page.outbox] == [(dead.id, 1)]
        again = await office.outbox.retry(ADMIN, MessageRef(message_id=dead.id))
        assert (again.id, again.status, again.error) == (dead.id, "pending", None)
        assert (await office.final(again)).status == "sent"
        with pytest.raises(Refusal) as refusal:
            await office.outbox.retry(ADMIN, MessageRef(message_id=dead.id))
        assert refusal.value.code is Code.NOT_FAILED


async def test_retries_end(office: Office) -> None:
    ticket = await office.ticket(ANA)
    office.evolution.trouble.extend([refuses(FaultKind.RETRY, "busy")] * 20)
    async with running(office):
        dead = await office.final(await office.say(ticket, "bom dia"))
    assert (dead.status, office.evolution.calls) == ("failed", FAST.max_attempts)


async def test_what_whatsapp_gave_up_gets_a_successor(office: Office) -> None:
    """Its WhatsApp id is its own for good."""
    ticket = await office.ticket(ANA)
    async with running(office):
        first = await office.final(await office.say(ticket, "bom dia"))
        await office.apply(status("WA000000", "failed"))
        second = await office.outbox.retry(ADMIN, MessageRef(message_id=first.id))
        assert second.id != first.id
        assert (await office.final(second)).whatsapp_id == "WA000001"
    statuses = {row.id: row.status for row in office.messages()}
    assert (statuses[first.id], statuses[second.id]) == ("failed", "sent")


async def test_a_reaction_shows_at_once_and_is_taken_back_when_it_fails(office: Office) -> None:
    ticket = await office.ticket(ANA)
    inbound = office.messages()[0]
    async with running(office):
        seen = await office.say(ticket, "👍", type="reaction", reply_to=inbound.id)
        assert [item.emoji for item in seen.reactions] == ["👍"]
        await office.all_over()
        office.evolution.trouble.append(refuses(FaultKind.PERMANENT, "no"))
        await office.say(ticket, "🎉", type="reaction", reply_to=inbound.id)
        await office.all_over()
    (row,) = office.messages()
    assert [item["emoji"] for item in row.reactions] == ["👍"]
    assert row.metadata["reaction_error"]["code"] == "no"
    assert [sent.type for sent in office.evolution.delivered] == ["reaction"]


async def test_a_customer_waits_until_the_reply_is_sent(office: Office) -> None:
    ticket = await office.ticket(ANA)
    office.evolution.unconfigured.clear()
    written = await office.say(ticket, "bom dia")
    assert office.tickets()[0].waiting_since is not None
    async with running(office):
        await office.final(written)
    assert office.tickets()[0].waiting_since is None


async def test_a_reply_to_a_number_opens_its_ticket(office: Office) -> None:
    """The old endpoint names a number and no ticket."""
    await office.apply(connection("open"))
    params = PhoneSendParams(instance="loja", phone="+55 (31) 97777-6666", content="oi", op_id="p")
    async with running(office):
        done = await office.final(await office.outbox.submit_to_phone(ADMIN, params, via=ENDPOINT))
        again = await office.outbox.submit_to_phone(ADMIN, params, via=ENDPOINT)
    assert (done.status, again.id) == ("sent", done.id)
    (ticket,) = office.tickets()
    assert (ticket.id, ticket.status) == (done.ticket_id, "open")
    gone = GatewayFault(FaultKind.INSTANCE_DOWN, "no_such_instance", "Evolution has none")
    office.evolution.states["none"] = gone
    with pytest.raises(Refusal) as refusal:
        await office.outbox.submit_to_phone(
            ADMIN, replace(params, instance="none", op_id="q"), via=ENDPOINT
        )
    assert refusal.value.code is Code.NOT_FOUND


async def test_the_first_message_of_an_instance_may_be_ours(office: Office) -> None:
    """It has never posted, but Evolution knows it."""
    params = PhoneSendParams(instance="nova", phone="5531977776666", content="oi", op_id="p")
    async with running(office):
        done = await office.final(await office.outbox.submit_to_phone(ADMIN, params, via=ENDPOINT))
    assert (done.status, done.instance) == ("sent", "nova")


async def test_a_closed_lane_finishes_what_is_under_way(office: Office) -> None:
    ticket, may_answer = await office.ticket(ANA), trio.Event()

    async def when_allowed(played: PlayedEvolution, instance: str, delivery: Delivery) -> Accepted:
        await may_answer.wait()
        return await played.deliver(instance, delivery)

    office.evolution.trouble.append(when_allowed)
    async with trio.open_nursery() as nursery:
        await nursery.start(office.lanes.run)
        first, second = await office.say(ticket, "um"), await office.say(ticket, "dois")
        with trio.fail_after(30):
            while not office.evolution.calls:
                await trio.sleep(0.001)
        office.lanes.close_asap()
        may_answer.set()
    assert office.row(first.id).state == "sent"
    assert office.row(second.id).state == "queued"


async def test_what_waits_for_too_long_is_given_up(tmp_path: Path) -> None:
    with stored(tmp_path) as storage:
        evolution = PlayedEvolution(now_ms)
        evolution.states["loja"] = down()
        config = replace(FAST, max_age=0.1)
        office = Office(storage, await open_blobs(tmp_path), evolution, config)
        ticket = await office.ticket(ANA)
        written = await office.say(ticket, "bom dia")
        await trio.sleep(0.15)
        async with running(office):
            done = await office.final(written)
        assert done.status == "failed"
        assert done.error is not None
        assert done.error.code == "expired"
