"""The unmodified centrifuge SDK in Node: everything an agent's screen does while connected."""

import pytest

from tests.interop.node import SdkError
from tests.interop.sdk import open_sdk
from tests.support.daemon import Daemon, token
from tests.support.posting import post_text, ticket_of
from tests.support.webhooks import INSTANCE

INBOX = f"inbox:{INSTANCE}"


async def test_reads_lists_and_receives_live(daemon: Daemon) -> None:
    await post_text(daemon, "FIRST", "bom dia")
    ticket = await ticket_of(daemon)
    async with open_sdk() as sdk:
        connected = await sdk.connect(daemon.websocket_url, token=token("ana"))
        assert connected["transport"] == "websocket"
        [listed] = (await sdk.rpc("tickets.list"))["tickets"]
        assert listed["id"] == ticket
        assert listed["contact"]["phone"] == "5531988887777"
        read = await sdk.rpc("messages.list", ticket_id=ticket)
        assert [m["content"] for m in read["messages"]] == ["bom dia"]

        for channel in (INBOX, f"ticket:{ticket}"):
            subscribed = await sdk.subscribe(channel)
            assert subscribed["recoverable"]
            assert subscribed["positioned"]
        head = subscribed["streamPosition"]["offset"]
        await post_text(daemon, "SECOND", "tem em azul?")
        live = await sdk.told("publication", channel=f"ticket:{ticket}")
        assert live["offset"] == head + 1
        assert live["data"]["type"] == "message.created"
        assert live["data"]["ticket_id"] == ticket
        assert live["data"]["message"]["content"] == "tem em azul?"
        in_inbox = await sdk.told("publication", channel=INBOX)
        assert in_inbox["data"] == live["data"]


async def test_history_pages_both_ways(daemon: Daemon) -> None:
    for number in range(5):
        await post_text(daemon, f"M{number}", f"mensagem {number}")
    ticket = await ticket_of(daemon)
    channel = f"ticket:{ticket}"
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, token=token())
        head = (await sdk.call("history", channel=channel, options={"limit": 0}))["offset"]
        forward = await sdk.call("history", channel=channel, options={"limit": 3})
        assert [p["offset"] for p in forward["publications"]] == [1, 2, 3]
        since = {"offset": 3, "epoch": forward["epoch"]}
        rest = await sdk.call("history", channel=channel, options={"limit": -1, "since": since})
        assert [p["offset"] for p in rest["publications"]] == list(range(4, head + 1))
        back = await sdk.call("history", channel=channel, options={"limit": 2, "reverse": True})
        assert [p["offset"] for p in back["publications"]] == [head, head - 1]


async def test_presence_names_who_watches(daemon: Daemon) -> None:
    async with open_sdk() as ana, open_sdk() as bia:
        await ana.connect(daemon.websocket_url, token=token("ana"))
        await bia.connect(daemon.websocket_url, token=token("bia", name="Bia"))
        await ana.subscribe(INBOX, joinLeave=True)
        await bia.subscribe(INBOX)
        joined = await ana.told("join", channel=INBOX)
        assert joined["info"]["user"] == "bia"
        present = (await ana.call("presence", channel=INBOX))["clients"]
        assert {info["user"] for info in present.values()} == {"ana", "bia"}
        assert {"name": "Bia"} in [info.get("connInfo") for info in present.values()]
        stats = await ana.call("presenceStats", channel=INBOX)
        assert stats == {"numClients": 2, "numUsers": 2}
        await bia.call("disconnect")
        left = await ana.told("leave", channel=INBOX)
        assert left["info"]["user"] == "bia"


async def test_typing_reaches_the_others_and_is_not_stored(daemon: Daemon) -> None:
    """Transient: no offset, no echo, nothing in the history (contract §4)."""
    await post_text(daemon, "FIRST", "oi")
    channel = f"ticket:{await ticket_of(daemon)}"
    async with open_sdk() as ana, open_sdk() as bia:
        for sdk, sub in ((ana, "ana"), (bia, "bia")):
            await sdk.connect(daemon.websocket_url, token=token(sub))
            await sdk.subscribe(channel)
        before = await ana.call("history", channel=channel, options={"limit": 0})
        await ana.rpc("typing", ticket_id=channel.removeprefix("ticket:"))
        seen = await bia.told("publication", channel=channel)
        assert (seen["data"]["type"], seen["data"]["user"]) == ("typing", "ana")
        assert "offset" not in seen
        # An event published later has arrived, so an echo would have arrived before it.
        await post_text(daemon, "SECOND", "alô?")
        await ana.told("publication", channel=channel)
        assert ana.publications(channel)[0]["data"]["type"] == "message.created"
        after = await ana.call("history", channel=channel, options={"limit": -1})
        assert after["publications"][before["offset"]]["data"]["type"] == "message.created"


async def test_clients_act_by_rpc_and_cannot_publish(daemon: Daemon) -> None:
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, token=token())
        await sdk.subscribe(INBOX)
        with pytest.raises(SdkError) as refused:
            await sdk.call("publish", channel=INBOX, data={"type": "message.created"})
        assert refused.value.code == 103
        await sdk.call("send", data={"nobody": "listens"})
        with pytest.raises(SdkError) as unknown:
            await sdk.rpc("tickets.burn")
        assert unknown.value.code == 104
        with pytest.raises(SdkError) as wrong:
            await sdk.rpc("tickets.list", status="burning")
        assert wrong.value.code == 107
        assert (await sdk.rpc("tickets.list"))["tickets"] == []


async def test_another_teams_channel_is_refused_like_an_unknown_one(daemon: Daemon) -> None:
    """P7: nothing tells a foreign ticket from one that does not exist."""
    await post_text(daemon, "FIRST", "segredo")
    foreign = f"ticket:{await ticket_of(daemon)}"
    unknown = "ticket:01890000-0000-7000-8000-000000000000"
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, token=token("eva", instances=["outra-loja"]))
        for channel in (foreign, unknown, INBOX, "instance:loja-centro", "nonsense"):
            await sdk.call("subscribe", channel=channel, options={})
            refused = await sdk.told("unsubscribed", channel=channel)
            assert refused["code"] == 103
            for question in ("history", "presence"):
                with pytest.raises(SdkError) as error:
                    await sdk.call(question, channel=channel, options={"limit": 1})
                assert error.value.code == 103
        for ticket in (foreign, unknown):
            with pytest.raises(SdkError) as hidden:
                await sdk.rpc("messages.list", ticket_id=ticket.removeprefix("ticket:"))
            assert str(hidden.value) == "1004: not_found: there is no such ticket"
        assert (await sdk.rpc("tickets.list"))["tickets"] == []
        await sdk.subscribe("inbox:outra-loja")


async def test_a_channel_can_be_left_and_taken_again(daemon: Daemon) -> None:
    """The SDK allows one subscription per channel; a second subscribe on the wire is 105."""
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, token=token())
        await sdk.subscribe(INBOX)
        await sdk.call("unsubscribe", channel=INBOX)
        await sdk.told("unsubscribed", channel=INBOX)
        present = await sdk.call("presenceStats", channel=INBOX)
        assert present["numClients"] == 0
        await post_text(daemon, "FIRST", "alguém aí?")
        await ticket_of(daemon)
        assert sdk.publications(INBOX) == []
