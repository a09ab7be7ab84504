"""``GET /v1/messages/{id}/trace``: a message's way over a real relay and a simulated Evolution."""

from pathlib import Path
from typing import Any

import msgspec
import trio

from evorelay.model.clock import now_ms
from evorelay.model.ids import new_id
from evorelay.relay.trace_questions import TraceView
from tests.edge.http_world import World, error_of, open_world, token
from tests.edge.test_http_replies import message_when, open_office, send, ticket_of


async def trace(world: World, message_id: str, who: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = await world.get(f"/v1/messages/{message_id}/trace", who or token())
    msgspec.convert(found, TraceView)
    return found


def steps(found: dict[str, Any]) -> list[str]:
    return [step["step"] for step in found["steps"]]


async def newest(world: World, ticket_id: str) -> dict[str, Any]:
    page = await world.get(f"/v1/tickets/{ticket_id}/messages", token())
    message: dict[str, Any] = page["messages"][-1]
    return message


async def test_from_the_webhook_to_the_clients(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        before = now_ms()
        ticket_id = await ticket_of(world)
        message = await newest(world, ticket_id)
        found = await trace(world, message["id"])
        assert (found["ticket_id"], found["instance"]) == (ticket_id, "loja")
        assert steps(found) == ["whatsapp", "webhook", "journaled", "stored", "published"]
        _, webhook, journaled, stored, published = found["steps"]
        assert webhook["at"] == message["received_at"]
        assert webhook["detail"] == "messages.upsert"
        assert journaled["detail"] == "as number 1"
        assert published["detail"].endswith("of its ticket")
        moments = [step.at.timestamp() * 1000 for step in msgspec.convert(found, TraceView).steps]
        assert before <= moments[1] <= moments[-1] <= now_ms()
        assert stored["at"] == published["at"]


async def test_what_the_journal_has_no_more_is_left_out(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        message = await newest(world, ticket_id)
        await world.message("5531911112222", "the newest commit always stays")
        await world.journal.trim(1, now_ms() + 1000)
        found = await trace(world, message["id"])
        assert steps(found) == ["whatsapp", "webhook", "stored", "published"]
        assert found["steps"][1]["detail"] is None


async def test_another_webhook_at_that_place_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """A store beside another journal, as after a restore: the numbers begin anew there."""
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        message = await newest(world, ticket_id)
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    async with open_world(tmp_path) as world:
        next(world._whatsapp_ids)  # the first one's is taken
        await world.message("5531911112222", "somebody else's")
        assert "journaled" not in steps(await trace(world, message["id"]))


async def test_a_reply_from_the_agent_to_the_ticks(tmp_path: Path) -> None:
    async with open_office(tmp_path) as (world, _, instance):
        ticket_id = await ticket_of(world, instance)
        reply = await (await send(world, ticket_id)).get_json()
        sent = await message_when(world, ticket_id, "sent", "delivered", "read")
        update = {"keyId": sent["whatsapp_id"], "remoteJid": "", "fromMe": True, "status": "READ"}
        await world.webhook({"event": "messages.update", "instance": instance, "data": update})
        await message_when(world, ticket_id, "read")
        found = await trace(world, reply["id"])
        told = [one for one in steps(found) if one not in ("webhook", "journaled", "delivered")]
        assert told == [*("queued", "stored", "published", "attempted", "accepted", "sent", "read")]
        assert found["steps"][0]["detail"] == "by ana over rest"


async def test_whoever_may_not_read_the_message_learns_nothing(tmp_path: Path) -> None:
    """P7: a foreign message and one that does not exist are alike."""
    async with open_world(tmp_path) as world:
        message = await newest(world, await ticket_of(world))
        elsewhere = token("supervisor", instances=["outra"])
        for who, message_id in (
            (elsewhere, message["id"]),
            (token(role=None), message["id"]),
            (token("admin"), new_id()),
            (token("admin"), "%F0%9F%91%8D"),
        ):
            response = await world.ask(f"/v1/messages/{message_id}/trace", token=who)
            assert await error_of(response) == (404, "not_found"), message_id
        assert (await world.ask(f"/v1/messages/{message['id']}/trace")).status_code == 401


async def test_a_trace_waits_for_nobody(tmp_path: Path) -> None:
    """P5: asked by many at once, each is answered."""
    async with open_world(tmp_path) as world:
        message = await newest(world, await ticket_of(world))
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            answers.append(await trace(world, message["id"]))

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(ask)
        assert len({str(answer) for answer in answers}) == 1
