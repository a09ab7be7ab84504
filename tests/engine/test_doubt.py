"""What may and may not settle an attempt of unknown outcome (P4): each case was once wrong."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from evorelay.model.clock import now_ms
from evorelay.model.errors import Refusal, StoreUnavailable
from evorelay.model.outcome import Accepted, FaultKind
from evorelay.model.outgoing import Delivery
from evorelay.model.views import Message
from evorelay.relay.commands import MessageRef
from evorelay.storage.open import Storage
from evorelay.storage.ports import Transaction
from tests.engine.evolution import (
    PlayedEvolution,
    Sent,
    hangs,
    refuses,
    sends_and_does_not_say,
)
from tests.engine.harness import ADMIN, message, open_blobs, stored
from tests.engine.replying import FAST, Office, running

T = TypeVar("T")
ANA = "5531988887777"
LID = "222222222222222@lid"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    with stored(tmp_path) as storage:
        yield Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms))


async def until(state: str, office: Office, written: Message) -> None:
    with trio.fail_after(30):
        while office.row(written.id).state != state:
            await trio.sleep(0.001)


async def lid_ticket(office: Office) -> str:
    """Of a customer who is known by a privacy id alone."""
    await office.apply(message("IN-LID", phone=None, lid=LID, sent_at=now_ms()))
    (ticket,) = [row.id for row in office.tickets() if row.last_message == "IN-LID"]
    return ticket


async def test_the_same_words_to_somebody_else_settle_nothing(office: Office) -> None:
    """A reply to a number is in doubt; another was sent to a customer known by a LID."""
    ana, other = await office.ticket(ANA), await lid_ticket(office)
    async with running(office):
        await office.final(await office.say(other, "bom dia"))
        office.evolution.trouble.append(refuses(FaultKind.UNKNOWN))
        done = await office.final(await office.say(ana, "bom dia"))
    assert done.status == "sent"
    assert [sent.number for sent in office.evolution.delivered] == [LID, ANA]
    assert len([row for row in office.tickets() if row.merged_into is None]) == 2


async def test_evolution_gets_the_time_we_would_have_waited(tmp_path: Path) -> None:
    """The connection is cut while it still shows "typing": it sends a while later."""
    with stored(tmp_path) as storage:
        evolution = PlayedEvolution(now_ms)
        evolution.patience = 3.0
        office = Office(storage, await open_blobs(tmp_path), evolution)
        ticket = await office.ticket(ANA)
        async with trio.open_nursery() as nursery, running(office):

            async def sends_late(
                played: PlayedEvolution, instance: str, delivery: object
            ) -> object:
                async def later() -> None:
                    await trio.sleep(0.5)
                    await played.deliver(instance, delivery)  # type: ignore[arg-type]

                nursery.start_soon(later)
                return await refuses(FaultKind.UNKNOWN)(played, instance, delivery)  # type: ignore[arg-type]

            evolution.trouble.append(sends_late)  # type: ignore[arg-type]
            done = await office.final(await office.say(ticket, "bom dia"))
        assert done.status == "sent"
        assert len(evolution.delivered) == 1


async def test_an_echo_that_comes_after_giving_up_still_counts(office: Office) -> None:
    """And the agent's retry does not send it twice."""
    ticket = await office.ticket(ANA)
    async with running(office):
        await office.final(await office.say(ticket, "primeira"))
        office.evolution.keeps_messages = False
        office.evolution.trouble.append(sends_and_does_not_say)
        dead = await office.final(await office.say(ticket, "segunda"))
        assert dead.status == "failed"
        await office.echo(office.evolution.delivered[-1])
        with pytest.raises(Refusal):
            await office.outbox.retry(ADMIN, MessageRef(message_id=dead.id))
    texts = [(row.content, row.status) for row in office.messages() if row.direction == "out"]
    assert texts == [("primeira", "sent"), ("segunda", "sent")]
    assert len(office.evolution.delivered) == 2


async def test_an_echo_that_comes_while_it_waits_to_be_repeated_counts(office: Office) -> None:
    ticket = await office.ticket(ANA)

    async def fails_and_closes(
        played: PlayedEvolution, instance: str, delivery: Delivery
    ) -> Accepted:
        played.states[instance] = "close"
        return await refuses(FaultKind.UNKNOWN)(played, instance, delivery)

    office.evolution.trouble.append(fails_and_closes)
    async with running(office):
        written = await office.say(ticket, "bom dia")
        await until("unknown", office, written)
        with trio.fail_after(30):
            while not office.lanes.parked():
                await trio.sleep(0.001)
        await office.echo(Sent("loja", ANA, "text", "bom dia", "FIRST", now_ms()))
        office.evolution.states["loja"] = "open"
        office.signals.note("loja", "open")
        await office.all_over()
    assert office.evolution.delivered == []
    (ours,) = [row for row in office.messages() if row.direction == "out"]
    assert (ours.id, ours.whatsapp_id, ours.status) == (written.id, "FIRST", "sent")


async def test_words_that_were_here_before_the_attempt_settle_nothing(office: Office) -> None:
    """A bot said the same a moment earlier, and Evolution's list has it."""
    ticket = await office.ticket(ANA)
    bots = Sent("loja", ANA, "text", "obrigado", "BOT", now_ms() - 5000)
    office.evolution.delivered.append(bots)
    await office.echo(bots)
    office.evolution.trouble.append(refuses(FaultKind.UNKNOWN))
    async with running(office):
        done = await office.final(await office.say(ticket, "obrigado"))
    assert done.status == "sent"
    assert done.whatsapp_id != "BOT"
    assert len(office.evolution.delivered) == 2


async def test_a_full_disk_while_it_is_looked_up_fails_nothing(tmp_path: Path) -> None:
    with stored(tmp_path) as storage:
        evolution = PlayedEvolution(now_ms)
        office = Office(storage, await open_blobs(tmp_path), evolution)
        ticket = await office.ticket(ANA)
        evolution.trouble.append(sends_and_does_not_say)
        office.ledger._writer = _FullOnce(storage, lambda: evolution.looked > 0)
        async with running(office):
            done = await office.final(await office.say(ticket, "bom dia"))
        assert done.status == "sent"
        assert len(evolution.delivered) == 1


class _FullOnce:
    """A writer whose disk is full for one commit, as soon as ``when`` says."""

    def __init__(self, storage: Storage, when: Callable[[], bool]) -> None:
        self._writer = storage.writer
        self._when = when
        self._was_full = False

    def transact(self, work: Callable[[Transaction], T]) -> T:
        if self._when() and not self._was_full:
            self._was_full = True
            raise StoreUnavailable("disk full")
        return self._writer.transact(work)

    def transact_each(self, works: Sequence[Callable[[Transaction], T]]) -> list[T | Exception]:
        return self._writer.transact_each(works)


async def test_a_reaction_cut_by_a_crash_is_sent_again_and_joins_nothing(tmp_path: Path) -> None:
    evolution = PlayedEvolution(now_ms)
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), evolution)
        ticket = await office.ticket(ANA)
        await office.echo(Sent("loja", ANA, "text", "promo", "BOT", now_ms()))
        target = office.messages()[0]
        evolution.trouble.append(hangs)
        async with running(office):
            await office.say(ticket, "👍", type="reaction", reply_to=target.id)
            with trio.fail_after(30):
                while evolution.trouble:
                    await trio.sleep(0.001)
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), evolution)
        async with running(office):
            await office.all_over()
        assert [sent.type for sent in evolution.delivered] == ["reaction"]
        assert [row.whatsapp_id for row in office.messages()] == [f"IN-loja-{ANA}", "BOT"]


async def test_a_gateway_that_gives_two_messages_one_id_mixes_nobody_up(office: Office) -> None:
    ana, bia = await office.ticket(ANA), await office.ticket("5531977776666")
    async with running(office):
        first = await office.final(await office.say(ana, "saldo da Ana"))
        office.evolution.delivered.clear()
        second = await office.final(await office.say(bia, "saldo da Bia"))
        again = await office.say(ana, "saldo da Ana", op_id=office.row(first.id).op_id)
    assert again.id == first.id
    assert (second.status, second.whatsapp_id) == ("sent", None)
    assert second.metadata["shared_id"] == first.whatsapp_id
    contents = {row.ticket_id: row.content for row in office.messages() if row.direction == "out"}
    assert contents == {ana: "saldo da Ana", bia: "saldo da Bia"}


async def test_two_contacts_that_become_one_are_one_queue(office: Office) -> None:
    """I10: what was written to the one first is sent first."""
    by_phone, by_lid = await office.ticket(ANA), await lid_ticket(office)
    office.evolution.latency_s = 0.01
    async with running(office):
        for n in range(6):
            await office.say(by_lid, f"{n}")
        await office.apply(
            message("BOTH", phone=ANA, lid=LID, sent_at=now_ms()),
        )
        kept = [row.id for row in office.tickets() if row.merged_into is None]
        assert len(kept) == 1
        for n in range(6, 9):
            await office.say(kept[0], f"{n}")
        await office.all_over()
    assert by_phone in kept or by_lid in kept
    assert [sent.text for sent in office.evolution.delivered] == [f"{n}" for n in range(9)]


async def test_what_comes_while_the_backlog_is_read_comes_behind_it(office: Office) -> None:
    """The supervisor starts the lanes anew while agents go on writing."""
    ticket = await office.ticket(ANA)
    for n in range(3):
        await office.say(ticket, f"{n}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(office.lanes.run)
        await trio.testing.wait_all_tasks_blocked()
        await until("sent", office, await office.say(ticket, "3"))
        nursery.cancel_scope.cancel()
    assert [sent.text for sent in office.evolution.delivered] == ["0", "1", "2", "3"]


async def test_a_wait_that_evolution_asked_for_is_shown(office: Office) -> None:
    ticket = await office.ticket(ANA)
    office.evolution.trouble.append(refuses(FaultKind.RETRY, "busy", retry_after_s=3600.0))
    async with running(office):
        await office.say(ticket, "bom dia")
        with trio.fail_after(30):
            while not office.lanes.trouble():
                await trio.sleep(0.001)
        assert office.lanes.trouble()[0][:2] == ("loja", "busy")


async def test_a_later_reaction_is_not_wiped_by_an_earlier_one_that_fails(office: Office) -> None:
    ticket = await office.ticket(ANA)
    target = office.messages()[0]
    patient = replace(FAST, retry_initial=0.2, retry_max=0.2)
    office.lanes._config = patient
    office.evolution.trouble.append(refuses(FaultKind.PERMANENT, "no"))
    await office.say(ticket, "👍", type="reaction", reply_to=target.id)
    await office.say(ticket, "❤", type="reaction", reply_to=target.id)
    async with running(office):
        await office.all_over()
    (row,) = office.messages()
    assert [item["emoji"] for item in row.reactions] == ["❤"]
    with pytest.raises(Refusal):
        await office.outbox.retry(ADMIN, MessageRef(message_id=target.id))
