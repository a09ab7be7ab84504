"""REST v1: replies (contract §3, P4): taken durably, once, by whoever may, and sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.simulator.controls import Simulator
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.edge.http_world import EVOLUTION_KEY, World, error_of, open_world, token

ANA = "5511988880001"


@asynccontextmanager
async def open_office(tmp_path: Path) -> AsyncIterator[tuple[World, Simulator, str]]:
    """A world whose Evolution is the simulated one, and the name of an instance of that."""
    options = SimulatorOptions(target=None, rate_per_minute=0, api_key=EVOLUTION_KEY)
    async with (
        open_simulator(options) as simulator,
        open_world(tmp_path, evolution=simulator.url, patience_s=10.0) as world,
    ):
        name = simulator.instances[0]
        await world.webhook(
            {"event": "connection.update", "instance": name, "data": {"state": "open"}}
        )
        yield world, simulator, name


async def ticket_of(world: World, instance: str = "loja") -> str:
    """The ticket of somebody who has just written."""
    await world.message(ANA, "Oi", instance=instance)
    (ticket,) = (await world.get(f"/v1/tickets?instance={instance}", token()))["tickets"]
    ticket_id: str = ticket["id"]
    return ticket_id


async def send(world: World, ticket_id: str, who: str | None = None, **body: Any) -> Any:
    return await world.ask(
        f"/v1/tickets/{ticket_id}/messages",
        method="POST",
        token=who or token(),
        body={"op_id": "op-1", "content": "Olá!"} | body,
    )


async def message_when(world: World, ticket_id: str, *statuses: str) -> dict[str, Any]:
    """The newest message, once it has one of these states."""
    with trio.fail_after(30):
        while True:
            page = await world.get(f"/v1/tickets/{ticket_id}/messages", token())
            newest: dict[str, Any] = page["messages"][-1]
            if newest["status"] in statuses:
                return newest
            await trio.sleep(0.01)


async def test_a_reply_is_accepted_as_pending_and_then_sent(tmp_path: Path) -> None:
    """P4: 202 means that it is stored; it reaches WhatsApp once."""
    async with open_office(tmp_path) as (world, simulator, instance):
        ticket_id = await ticket_of(world, instance)
        response = await send(world, ticket_id)
        assert response.status_code == 202
        message = await response.get_json()
        assert (message["status"], message["direction"], message["sender"]) == (
            "pending",
            "out",
            "agent",
        )
        sent = await message_when(world, ticket_id, "sent", "delivered", "read")
        assert sent["id"] == message["id"]
        assert sent["whatsapp_id"]
        assert simulator.counts() == {(ANA, "Olá!"): 1}


async def test_the_same_op_id_answers_the_same_message(tmp_path: Path) -> None:
    """P4, also while it waits; with other content it is a conflict."""
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        first = await (await send(world, ticket_id)).get_json()
        again = await send(world, ticket_id)
        assert again.status_code == 202
        assert (await again.get_json())["id"] == first["id"]
        other = await send(world, ticket_id, content="Something else")
        assert await error_of(other) == (409, "op_id_conflict")
        page = await world.get(f"/v1/tickets/{ticket_id}/messages", token())
        assert [message["content"] for message in page["messages"]] == ["Oi", "Olá!"]


async def test_a_note_never_leaves_the_house(tmp_path: Path) -> None:
    async with open_office(tmp_path) as (world, simulator, instance):
        ticket_id = await ticket_of(world, instance)
        note = await (await send(world, ticket_id, content="Cuidado", is_internal=True)).get_json()
        assert note["is_internal"]
        await send(world, ticket_id, op_id="op-2", content="Depois")
        await message_when(world, ticket_id, "sent", "delivered", "read")
        assert simulator.counts() == {(ANA, "Depois"): 1}


async def test_a_long_text_is_told_its_limit(tmp_path: Path) -> None:
    """Not by a dropped connection, and not as a body that is too large."""
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        for text in ("x" * 100_000, "ã" * 65_537):
            response = await send(world, ticket_id, content=text)
            assert await error_of(response) == (400, "bad_request")
            text = (await response.get_json())["error"]["message"]
            assert "content" in text
            assert "65536" in text
        response = await send(world, ticket_id, content="ã" * 65_536)
        assert response.status_code == 202
        response = await send(world, ticket_id, op_id="op-2", content="x" * 1_100_000)
        assert await error_of(response) == (413, "too_large")


@pytest.mark.parametrize(
    "body",
    [
        {"op_id": ""},
        {"op_id": "x" * 129},
        {"op_id": None},
        {"content": ""},
        {"content": "  \n"},
        {"content": 7},
        {"type": "hologram"},
        {"unknown": True},
        {"delay_ms": -1},
        {"type": "location"},
        {"location": {"latitude": 91, "longitude": 0}},
        {"contacts": [{"name": "João", "phone": "not a phone"}]},
        {"media": {}},
    ],
)
async def test_a_reply_that_makes_no_sense_is_refused(tmp_path: Path, body: Any) -> None:
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        response = await send(world, ticket_id, **body)
        assert await error_of(response) == (400, "bad_request")


async def test_a_closed_ticket_takes_no_reply(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        await world.ask(
            f"/v1/tickets/{ticket_id}", method="PATCH", token=token(), body={"status": "closed"}
        )
        assert await error_of(await send(world, ticket_id)) == (409, "ticket_closed")


async def test_nobody_sends_where_they_may_not_look(tmp_path: Path) -> None:
    """P7: a foreign ticket and an unknown one are alike, and so are messages to be retried."""
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        message = await (await send(world, ticket_id)).get_json()
        stranger = token(instances=["outra"])
        for who in (stranger, token(role=None)):
            for target in (ticket_id, "nothing"):
                response = await send(world, target, who, op_id="op-2")
                assert await error_of(response) == (404, "not_found")
            for target in (message["id"], "nothing"):
                response = await world.ask(f"/v1/messages/{target}/retry", method="POST", token=who)
                assert await error_of(response) == (404, "not_found")
        response = await send(world, ticket_id, "not.a.token")
        assert await error_of(response) == (401, "unauthorized")


async def test_what_failed_is_seen_with_its_reason_and_can_be_sent_after_all(
    tmp_path: Path,
) -> None:
    """P4: a final state that an agent can see, and do something about."""
    async with open_office(tmp_path) as (world, simulator, instance):
        ticket_id = await ticket_of(world, instance)
        simulator.misbehave("not-on-whatsapp", count=4)
        message = await (await send(world, ticket_id)).get_json()
        failed = await message_when(world, ticket_id, "failed")
        assert failed["error"]["code"] == "not_on_whatsapp"
        listed = await world.get("/v1/outbox?state=failed", token("supervisor"))
        assert [row["message_id"] for row in listed["outbox"]] == [message["id"]]
        simulator.misbehave("not-on-whatsapp", count=0)
        again = await world.ask(f"/v1/messages/{message['id']}/retry", method="POST", token=token())
        assert again.status_code == 202
        await message_when(world, ticket_id, "sent", "delivered", "read")
        assert simulator.counts() == {(ANA, "Olá!"): 1}
        twice = await world.ask(f"/v1/messages/{message['id']}/retry", method="POST", token=token())
        assert await error_of(twice) == (409, "not_failed")


async def test_the_outbox_shows_what_waits_to_supervisors(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ticket_id = await ticket_of(world)
        message = await (await send(world, ticket_id)).get_json()
        page = await world.get("/v1/outbox", token("supervisor"))
        assert [row["message_id"] for row in page["outbox"]] == [message["id"]]
        (waiting,) = page["outbox"]
        assert (waiting["state"], waiting["contact"]) == ("queued", "Cliente 01")
        assert waiting["content"] == "Olá!"
        foreign = await world.get("/v1/outbox", token("supervisor", instances=["outra"]))
        assert foreign == {"outbox": [], "lanes": [], "next_cursor": None}
        response = await world.ask("/v1/outbox", token=token())
        assert await error_of(response) == (403, "forbidden")
