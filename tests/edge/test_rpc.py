"""RPC methods over a connection: the same desk as REST, and ``typing`` (contract §5)."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.edge.harness import open_port
from tests.edge.test_centrifuge_edge import agent, failed, next_push, receive_messages, subscribed
from tests.support.agent import Agent


async def ticket_of(client: Agent) -> str:
    (ticket,) = (await client.rpc("tickets.list"))["tickets"]
    ticket_id: str = ticket["id"]
    return ticket_id


async def test_tickets_and_messages_are_read(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent(port) as client:
        await receive_messages(port, 1, 3)
        ticket_id = await ticket_of(client)
        ticket = await client.rpc("tickets.get", ticket_id=ticket_id)
        assert (ticket["status"], ticket["unread"]) == ("open", 3)
        found = await client.rpc("messages.list", ticket_id=ticket_id, limit=2)
        assert [message["content"] for message in found["messages"]] == ["text 2", "text 3"]
        assert (await client.ask(rpc={"method": "tickets.list"}))["rpc"]["data"]["tickets"]


async def test_a_ticket_goes_through_its_life_and_its_watchers_see_it(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent(port, "ana") as ana, agent(port, "bia") as bia:
        await receive_messages(port, 1, 1)
        ticket_id = await ticket_of(ana)
        await subscribed(bia, f"ticket:{ticket_id}")
        for method, status, assignee in (
            ("tickets.claim", "open", "ana"),
            ("tickets.release", "open", None),
            ("tickets.close", "closed", None),
            ("tickets.reopen", "open", None),
        ):
            await ana.rpc(method, ticket_id=ticket_id)
            event = await bia.event()
            assert event.data["type"] == "ticket.updated", method
            assert (event.data["ticket"]["status"], event.data["ticket"]["assignee"]) == (
                status,
                assignee,
            )
        await ana.rpc("tickets.update", ticket_id=ticket_id, subject="Troca", status="pending")
        event = await bia.event()
        assert (event.data["ticket"]["subject"], event.data["ticket"]["status"]) == (
            "Troca",
            "pending",
        )


async def test_who_has_read_a_ticket_is_seen_and_counted_for_each(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent(port, "ana") as ana, agent(port, "bia") as bia:
        await receive_messages(port, 1, 2)
        ticket_id = await ticket_of(ana)
        await subscribed(bia, f"ticket:{ticket_id}")
        assert (await ana.rpc("seen", ticket_id=ticket_id))["unread"] == 0
        event = await bia.event()
        assert (event.data["type"], event.data["ticket"]["unread"]) == ("ticket.updated", 0)
        push = await next_push(bia)
        assert "offset" not in push["pub"]
        assert push["pub"]["data"] == {
            "type": "seen",
            "ticket_id": ticket_id,
            "user": "ana",
            "name": None,
        }
        await receive_messages(port, 3, 3)
        await bia.rpc("seen", ticket_id=ticket_id)
        assert (await ana.rpc("tickets.get", ticket_id=ticket_id))["unread"] == 1
        assert (await bia.rpc("tickets.get", ticket_id=ticket_id))["unread"] == 0
        assert (await ana.rpc("tickets.list", unread=True))["tickets"]
        assert (await bia.rpc("tickets.list", unread=True))["tickets"] == []


async def test_what_rest_offers_is_offered_by_rpc_too(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent(port) as client:
        await receive_messages(port, 1, 1)
        ticket = await client.rpc("tickets.get", ticket_id=await ticket_of(client))
        found = await client.rpc("tickets.participants", ticket_id=ticket["id"])
        assert [row["phone"] for row in found["participants"]] == [ticket["contact"]["phone"]]
        name = ticket["instance"]
        assert [row["name"] for row in (await client.rpc("instances.list"))["instances"]] == [name]
        assert (await client.rpc("instances.qrcode", name=name))["qrcode"] is None
        assert await client.rpc("merges.list") == {"merges": [], "next_cursor": None}
        assert (await client.rpc("tickets.list", q="text 1"))["tickets"] == [ticket]


@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        ("no.such.method", {}, 104),
        ("", {}, 104),
        ("tickets.get", {}, 107),
        ("tickets.get", {"ticket_id": 5}, 107),
        ("tickets.get", [], 107),
        ("tickets.get", None, 107),
        ("tickets.get", {"ticket_id": "x" * 5000}, 107),
        ("tickets.list", {"limit": 0}, 107),
        ("tickets.list", {"limit": 10**30}, 107),
        ("tickets.list", {"status": "lost"}, 107),
        ("tickets.list", {"cursor": "%%%"}, 107),
        ("tickets.list", {"unknown": 1}, 107),
        ("messages.list", {"ticket_id": "x", "limit": -1}, 107),
        ("tickets.get", {"ticket_id": "0192f000-0000-7000-8000-000000000000"}, 1004),
        ("messages.list", {"ticket_id": "nope"}, 1004),
        ("seen", {"ticket_id": "nope"}, 1004),
        ("seen", {"ticket_id": "nope", "agent": "bia"}, 107),
        ("tickets.update", {"ticket_id": "nope", "subject": "x"}, 1004),
        ("tickets.update", {"ticket_id": "nope", "subject": "a\nb"}, 107),
        ("tickets.participants", {"ticket_id": "nope"}, 1004),
        ("instances.list", {"name": "x"}, 107),
        ("instances.qrcode", {"name": "nope"}, 1004),
        ("instances.qrcode", {}, 107),
        ("merges.undo", {"merge_id": "nope"}, 1004),
        ("typing", {"ticket_id": "nope"}, 1004),
        ("typing", {}, 107),
    ],
)
async def test_what_cannot_be_done_is_said_and_the_connection_goes_on(
    tmp_path: Path, method: str, data: Any, code: int
) -> None:
    async with open_port(tmp_path) as port, agent(port) as client:
        reply = await client.ask(rpc={"method": method, "data": data})
        assert reply["error"]["code"] == code
        assert reply["error"]["message"]
        assert "ping" in await client.ask(ping={})


async def test_a_foreign_ticket_and_an_unknown_one_are_alike(tmp_path: Path) -> None:
    """P7"""
    async with open_port(tmp_path) as port, agent(port) as admin:
        await receive_messages(port, 1, 1)
        ticket_id = await ticket_of(admin)
        async with agent(port, "bia", role="agent", instances=["b"]) as client:
            assert (await client.rpc("tickets.list"))["tickets"] == []
            methods = ["tickets.get", "messages.list", "seen", "typing", "tickets.claim"]
            methods += ["tickets.participants", "tickets.update"]
            (message,) = (await admin.rpc("messages.list", ticket_id=ticket_id))["messages"]
            foreign = {"message_id": message["id"]}
            assert (await admin.rpc("messages.trace", **foreign))["steps"]
            code = await failed(client, rpc={"method": "messages.trace", "data": foreign})
            assert code == 1004
            for method in methods:
                replies = [
                    await client.ask(rpc={"method": method, "data": {"ticket_id": id_}})
                    for id_ in (ticket_id, "0192f000-0000-7000-8000-000000000000")
                ]
                assert replies[0]["error"] == replies[1]["error"], method
            assert await failed(client, subscribe={"channel": f"ticket:{ticket_id}"}) == 103
            for name in ("a", "nowhere"):
                code = await failed(
                    client, rpc={"method": "instances.qrcode", "data": {"name": name}}
                )
                assert code == 1004
            for method in ("merges.list", "merges.undo"):
                data = {"merge_id": "x"} if method == "merges.undo" else {}
                assert await failed(client, rpc={"method": method, "data": data}) == 103
            assert await failed(client, rpc={"method": "overview", "data": {}}) == 103


async def test_the_overview_is_the_same_as_over_rest(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, agent(port) as boss:
        found = await boss.rpc("overview", minutes=1440)
        assert found["now"]["connections"] == 1
        assert len(found["series"]["received"]) == 288
        assert await failed(boss, rpc={"method": "overview", "data": {"minutes": 0}}) == 107


class TestTyping:
    async def test_the_others_see_it_once_and_it_is_not_stored(self, tmp_path: Path) -> None:
        async with (
            open_port(tmp_path) as port,
            agent(port, "ana") as ana,
            agent(port, "bia") as bia,
        ):
            await receive_messages(port, 1, 1)
            ticket_id = await ticket_of(ana)
            channel = f"ticket:{ticket_id}"
            await subscribed(ana, channel)
            head = (await subscribed(bia, channel))["offset"]
            assert await ana.rpc("typing", ticket_id=ticket_id) == {"ok": True}
            push = await next_push(bia)
            assert push["channel"] == channel
            assert "offset" not in push["pub"]
            assert push["pub"]["data"]["type"] == "typing"
            assert (push["pub"]["data"]["user"], push["pub"]["data"]["is_typing"]) == ("ana", True)
            await trio.testing.wait_all_tasks_blocked()
            assert not ana._pushes
            page = (await ana.ask(history={"channel": channel, "limit": 0}))["history"]
            assert page["offset"] == head

    async def test_it_may_end(self, tmp_path: Path) -> None:
        async with (
            open_port(tmp_path) as port,
            agent(port, "ana") as ana,
            agent(port, "bia") as bia,
        ):
            await receive_messages(port, 1, 1)
            ticket_id = await ticket_of(ana)
            await subscribed(bia, f"ticket:{ticket_id}")
            await ana.rpc("typing", ticket_id=ticket_id, is_typing=False)
            assert (await next_push(bia))["pub"]["data"]["is_typing"] is False


async def test_a_reply_is_sent_and_everybody_sees_it_at_once(tmp_path: Path) -> None:
    """P4: what is acknowledged is stored; its events follow, and no second one for the sender."""
    async with open_port(tmp_path) as port, agent(port, "ana") as ana, agent(port, "bia") as bia:
        await receive_messages(port, 1, 1)
        ticket_id = await ticket_of(ana)
        await subscribed(bia, f"ticket:{ticket_id}")
        message = await ana.rpc("messages.send", ticket_id=ticket_id, content="Oi!", op_id="1")
        assert (message["status"], message["content"]) == ("pending", "Oi!")
        event = await bia.event()
        assert event.data["type"] == "message.created"
        assert event.data["message"]["id"] == message["id"]
        again = await ana.rpc("messages.send", ticket_id=ticket_id, content="Oi!", op_id="1")
        assert again["id"] == message["id"]
        while event.data.get("message", {}).get("status") != "sent":
            event = await bia.event()
        assert [sent.text for sent in port.evolution.delivered] == ["Oi!"]


async def test_replies_are_refused_with_rests_codes(tmp_path: Path) -> None:
    """P7 for foreign tickets; and a text that is too long is told so on a connection that stays."""
    async with open_port(tmp_path) as port, agent(port) as client:
        await receive_messages(port, 1, 1)
        ticket_id = await ticket_of(client)
        reply = {"ticket_id": ticket_id, "content": "Oi!", "op_id": "1"}

        async def refused(method: str, **data: Any) -> tuple[int, str]:
            error = (await client.ask(rpc={"method": method, "data": data}))["error"]
            return error["code"], error["message"]

        await client.rpc("messages.send", **reply)
        code, text = await refused("messages.send", **reply | {"content": "Tchau"})
        assert (code, text.partition(":")[0]) == (1012, "op_id_conflict")
        code, text = await refused("messages.send", **reply | {"content": "ã" * 100_000})
        assert code == 107
        assert "65536" in text
        assert "content" in text
        assert (await refused("messages.send", **reply | {"ticket_id": "nothing"}))[0] == 1004
        assert (await refused("messages.retry", message_id="nothing"))[0] == 1004
        async with agent(port, "eva", role="agent", instances=["other"]) as stranger:
            assert await failed(stranger, rpc={"method": "messages.send", "data": reply}) == 1004
            assert await failed(stranger, rpc={"method": "outbox.list", "data": {}}) == 103
        await client.rpc("tickets.close", ticket_id=ticket_id)
        assert (await refused("messages.send", **reply | {"op_id": "2"}))[0] == 1010
        assert await client.rpc("outbox.list") == {"outbox": [], "lanes": [], "next_cursor": None}
