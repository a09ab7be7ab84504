"""P8: one message's way, from what is durable. Evolution is played, the store is real."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.model.change import Edit, Reaction, Revoke
from evorelay.model.clock import now_ms
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import ChangeFact
from evorelay.model.ids import new_id
from evorelay.model.outcome import FaultKind
from evorelay.model.principal import Principal
from evorelay.model.records import OutboxRecord
from evorelay.model.views import Message
from evorelay.relay import tries
from evorelay.relay.commands import MessageRef
from evorelay.relay.trace import Traces
from evorelay.relay.trace_questions import STEPS, TraceStep
from evorelay.storage.sqlite.reader import SqliteReader
from tests.engine.evolution import PlayedEvolution, Sent, refuses, sends_and_does_not_say
from tests.engine.harness import ADMIN, message, open_blobs, status, stored
from tests.engine.replying import Office, running

ANA = "5531988887777"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), PlayedEvolution(now_ms))
        office.ledger._new_id = new_id  # the others are no UUIDs and bear no time
        yield office


async def trace(office: Office, message_id: str, who: Principal = ADMIN) -> list[TraceStep]:
    found = await Traces(office.reads, office.journal).of(who, MessageRef(message_id=message_id))
    assert found.message_id == message_id
    assert [step.at for step in found.steps] == sorted(step.at for step in found.steps)
    assert {step.step for step in found.steps} <= set(STEPS)
    return found.steps


async def names(office: Office, message_id: str) -> list[str]:
    """Without WhatsApp's own time: clocks of tests differ."""
    return [one.step for one in await trace(office, message_id) if one.step != "whatsapp"]


def detail(steps: list[TraceStep], name: str) -> str | None:
    (found,) = [step.detail for step in steps if step.step == name]
    return found


async def sent(office: Office, text: str = "bom dia") -> Message:
    ticket = await office.ticket(ANA)
    async with running(office):
        return await office.final(await office.say(ticket, text))


async def test_a_reply_from_the_agent_to_the_ticks(office: Office) -> None:
    reply = await sent(office)
    for word in ("delivered", "read"):
        await office.apply(status(reply.whatsapp_id or "", word))
    steps = await trace(office, reply.id)
    assert [step.step for step in steps] == [
        *("queued", "stored", "published", "attempted", "accepted", "sent", "delivered", "read")
    ]
    assert detail(steps, "queued") == f"by {ADMIN.sub} over rpc"


async def test_each_attempt_is_told_with_what_came_of_it(office: Office) -> None:
    office.evolution.trouble += [refuses(FaultKind.RETRY), refuses(FaultKind.RETRY)]
    reply = await sent(office)
    steps = await trace(office, reply.id)
    tried = [step.step for step in steps if step.step in ("attempted", "refused", "accepted")]
    assert tried == ["attempted", "refused", "attempted", "refused", "attempted", "accepted"]
    assert all(step.detail for step in steps if step.step == "refused")


async def test_an_unknown_outcome_and_how_it_became_known(office: Office) -> None:
    """P4: the same attempt first unclear, then found; it is not repeated."""
    office.evolution.trouble.append(sends_and_does_not_say)
    reply = await sent(office)
    steps = await trace(office, reply.id)
    tried = [step.step for step in steps if step.step in ("attempted", "unknown", "accepted")]
    assert tried == ["attempted", "unknown", "accepted"]
    assert "Evolution's list" in (detail(steps, "accepted") or "")


async def test_an_echo_before_the_answer_is_told_as_such(office: Office) -> None:
    office.evolution.on_delivery = office.echo
    reply = await sent(office)
    steps = await trace(office, reply.id)
    assert "posted it" in (detail(steps, "accepted") or "")


async def test_what_was_given_up_and_arrived_after_all_is_told_both_ways(office: Office) -> None:
    """The first attempt was unclear, the second refused; then the echo of the first came."""
    office.evolution.trouble += [refuses(FaultKind.UNKNOWN), refuses(FaultKind.PERMANENT)]
    reply = await sent(office)
    assert reply.status == "failed"
    late = Sent("loja", ANA, "text", "bom dia", "WA-LATE", now_ms())
    await office.echo(late)
    tried = [
        step
        for step in await trace(office, reply.id)
        if step.step in ("attempted", "unknown", "refused", "failed", "accepted", "sent")
    ]
    assert [step.step for step in tried] == [
        *("attempted", "unknown", "attempted", "refused", "failed", "accepted", "sent")
    ]
    assert "posted it" in (tried[-2].detail or "")


def test_what_is_kept_of_attempts_is_bounded() -> None:
    """P5: an instance that is parked over and over tries without end."""
    row = OutboxRecord(
        id="o",
        instance="loja",
        contact_id="c",
        ticket_id="t",
        message_id="o",
        op_id="1",
        digest="",
        agent="ana",
        outgoing={"type": "text"},
        state="queued",
        attempts=0,
        created_at=0,
        queued_at=0,
        due_at=0,
    )
    tries.ended(row, 1, "refused")  # from before attempts were written down
    assert row.tries == []
    for number in range(100):
        tries.begun(row, number)
        for _ in range(3):
            tries.ended(row, number, "unknown")
            tries.ended(row, number, "refused", "x" * 5000)
    assert [tried["at"] for tried in row.tries] == list(range(80, 100))
    assert {len(tried["ends"]) for tried in row.tries} == {tries.ENDS_KEPT}
    assert len(str(row.tries)) < 20 * 1000


async def test_what_failed_says_why_and_a_retry_goes_on_from_there(office: Office) -> None:
    office.evolution.trouble.append(refuses(FaultKind.PERMANENT))
    reply = await sent(office)
    assert reply.status == "failed"
    failed = await trace(office, reply.id)
    assert [step.step for step in failed][-2:] == ["refused", "failed"]
    assert reply.error is not None
    assert detail(failed, "failed") == f"{reply.error.code}: {reply.error.message}"
    async with running(office):
        await office.final(await office.outbox.retry(ADMIN, MessageRef(message_id=reply.id)))
    after = [step.step for step in await trace(office, reply.id)]
    assert [step for step in after if step in ("attempted", "refused", "retried", "accepted")] == [
        *("attempted", "refused", "retried", "attempted", "accepted")
    ]


async def test_a_crash_in_the_middle_of_a_call_is_told(office: Office) -> None:
    """P4: ended by the next start, which looks it up."""
    ticket = await office.ticket(ANA)
    office.evolution.latency_s = 60
    async with running(office):
        reply = await office.say(ticket, "bom dia")
        with trio.fail_after(20):
            while office.row(reply.id).state != "sending":
                await trio.sleep(0.005)
    office.evolution.latency_s = 0
    async with running(office):
        await office.final(reply)
    steps = await trace(office, reply.id)
    assert "cut off" in (detail(steps, "unknown") or "")
    assert [step.step for step in steps].count("attempted") == 2


async def test_the_same_command_by_a_second_path_is_told_beside_it(office: Office) -> None:
    ticket = await office.ticket(ANA)
    reply = await office.say(ticket, "bom dia", path="socketio")
    again = await office.say(ticket, "bom dia", path="endpoint")
    assert again.id == reply.id
    steps = await trace(office, reply.id)
    assert detail(steps, "repeated") == f"by {ADMIN.sub} over endpoint"
    assert detail(steps, "queued") == f"by {ADMIN.sub} over socketio"


async def test_what_happens_to_a_message_later(office: Office) -> None:
    """Edits, reactions and deletion bear WhatsApp's times, and no word of what was said."""
    await office.apply(message("W1", phone=ANA, content="segredo", sent_at=now_ms()))
    (row,) = office.messages()
    at = now_ms() + 1000
    edit = Edit(content="outro segredo", at=at, seen_at=at)
    hers = Reaction(who="them", emoji="👍", at=at + 1)
    for change in (edit, hers):
        await office.apply(ChangeFact(instance="loja", whatsapp_id="W1", change=change))
    steps = await trace(office, row.id)
    assert [step.step for step in steps][-2:] == ["edited", "reaction"]
    assert steps[-1].at.timestamp() * 1000 == pytest.approx(at + 1)
    revoked = ChangeFact(instance="loja", whatsapp_id="W1", change=Revoke(at + 2))
    await office.apply(revoked)
    steps = await trace(office, row.id)
    assert [step.step for step in steps][-2:] == ["edited", "deleted"]
    assert "segredo" not in str(steps)


async def test_what_was_found_is_told_as_recovered_and_late(office: Office) -> None:
    """P6: there was no webhook, so none is shown."""
    metadata = {"recovered": True}
    await office.apply(message("W2", phone=ANA, sent_at=now_ms()))
    await office.apply(message("W1", phone=ANA, sent_at=now_ms() - 9000, metadata=metadata))
    row = next(row for row in office.messages() if row.whatsapp_id == "W1")
    assert await names(office, row.id) == ["recovered", "stored", "published"]
    assert "later messages" in (detail(await trace(office, row.id), "stored") or "")


async def test_a_merge_takes_nothing_away(office: Office) -> None:
    """What was told in the channel of the absorbed ticket is still found."""
    await office.ticket(ANA)
    reply = await sent(office)
    other = message("W9", phone=None, lid="99887766@lid", sent_at=now_ms())
    await office.apply(other)
    before = next(row for row in office.messages() if row.whatsapp_id == "W9")
    both = message("W10", phone=ANA, lid="99887766@lid", sent_at=now_ms())
    await office.apply(both)
    after = next(row for row in office.messages() if row.whatsapp_id == "W9")
    assert after.ticket_id == reply.ticket_id != before.ticket_id
    assert "published" in await names(office, after.id)


async def test_what_retention_took_is_left_out(office: Office) -> None:
    reply = await sent(office)
    await office.apply(status(reply.whatsapp_id or "", "read"))
    later = now_ms() + 1000
    office.storage.maintenance.trim_events(later, 10_000)
    assert await names(office, reply.id) == ["queued", "stored", "attempted", "accepted"]
    office.storage.maintenance.trim_outbox(later, 10_000)
    assert await names(office, reply.id) == ["stored"]


async def test_a_foreign_message_and_an_unknown_one_are_alike(office: Office) -> None:
    """P7"""
    reply = await sent(office)
    stranger = Principal(sub="b", role="supervisor", instances=frozenset({"outra"}))
    said = []
    for who, message_id in ((stranger, reply.id), (ADMIN, "none"), (ADMIN, new_id())):
        with pytest.raises(Refusal) as refused:
            await trace(office, message_id, who)
        said.append((refused.value.code, refused.value.message))
    assert said == [(Code.NOT_FOUND, "there is no such message")] * 3


async def test_imported_history_on_no_ticket_is_nobody_s(office: Office) -> None:
    await office.apply(message("H1", phone=ANA, is_history=True, sent_at=1_700_000_000_000))
    reader = office.storage.readers[0]
    assert isinstance(reader, SqliteReader)
    rows: Any = reader._db.execute("SELECT id, ticket_id FROM messages").fetchall()
    ((message_id, ticket_id),) = rows
    assert ticket_id is None
    with pytest.raises(Refusal):
        await trace(office, message_id)
