"""socket.io-client in Node, carried in each way there is: what an existing front end does all day.

Contract §6. ``way`` is polling, WebSocket, or polling that moves to a WebSocket.
"""

from base64 import b64encode
from functools import partial
from typing import Any

import pytest
import trio

from tests.interop.socketio_sdk import TRANSPORTS, open_sio
from tests.support.daemon import Daemon, token
from tests.support.http import ask
from tests.support.posting import get, post_text, ticket_of
from tests.support.waiting import eventually
from tests.support.webhooks import INSTANCE, PATH, as_body

pytestmark = pytest.mark.parametrize("way", TRANSPORTS)


async def a_ticket(daemon: Daemon) -> str:
    await post_text(daemon, "FIRST", "bom dia")
    return await ticket_of(daemon)


async def test_a_screen_opens_and_hears_what_follows(daemon: Daemon, way: str) -> None:
    """Joined, loaded, told: as events of old and as answers, in both spellings."""
    ticket = await a_ticket(daemon)
    async with open_sio() as sio:
        connected = await sio.connect(daemon.url, way=way, token=token())
        # Whether an upgrade comes before or after the answer to CONNECT is up to chance.
        possible = {"polling", "websocket"} if way == "upgrade" else {way}
        assert connected["transport"] in possible
        assert connected["recovered"] is False
        joined = await sio.ask("join-ticket", {"ticketId": ticket, "userId": "7"})
        assert (joined["ok"], joined["ticketId"]) == (True, ticket)
        assert await sio.event("joined-ticket") == {k: v for k, v in joined.items() if k != "ok"}
        loaded = await sio.ask("request-messages", {"ticketId": ticket, "limit": 50})
        assert [message["content"] for message in loaded["messages"]] == ["bom dia"]
        assert (await sio.event("messages-loaded"))["messages"] == loaded["messages"]

        await post_text(daemon, "SECOND", "tem em azul?")
        message = await sio.event("new-message")
        assert message["content"] == "tem em azul?"
        for one, other in (
            ("ticket_id", "ticketId"),
            ("sender_name", "senderName"),
            ("is_internal", "isInternal"),
            ("created_at", "timestamp"),
        ):
            assert message[one] == message[other], one
        assert message["ticketId"] == ticket
        assert message["offset"] == joined["offset"] + 1
        assert len(sio.heard("new-message")) == 1


async def test_a_front_end_of_old_needs_no_answers(daemon: Daemon, way: str) -> None:
    """Emits only; it lives on the events that come back, failures among them."""
    ticket = await a_ticket(daemon)
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())
        await sio.emit("join-ticket", ticket)
        await sio.emit("request-messages", {"ticketId": ticket, "limit": 10})
        assert (await sio.event("joined-ticket"))["ticketId"] == ticket
        assert len((await sio.event("messages-loaded"))["messages"]) == 1
        await sio.emit("join-ticket", "no-such-ticket")
        await sio.emit("burn-ticket", ticket)
        missing, unknown = await sio.event("error"), await sio.event("error", nth=2)
        assert (missing["code"], missing["event"]) == ("not_found", "join-ticket")
        assert (unknown["code"], unknown["event"]) == ("method_not_allowed", "burn-ticket")


async def test_answers_to_many_questions_at_once_find_their_way(daemon: Daemon, way: str) -> None:
    ticket = await a_ticket(daemon)
    answers: dict[int, Any] = {}
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())

        async def question(number: int) -> None:
            wanted = ticket if number % 2 else f"none-{number}"
            answers[number] = await sio.ask("request-messages", {"ticketId": wanted})

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(question, number)
    assert [answers[number]["ok"] for number in range(20)] == [n % 2 == 1 for n in range(20)]


async def test_a_room_and_its_inbox_tell_each_message_once(daemon: Daemon, way: str) -> None:
    ticket = await a_ticket(daemon)
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())
        await sio.ask("join-inbox", INSTANCE)
        await sio.ask("join-ticket", ticket)
        for number in range(20):
            await post_text(daemon, f"M{number}", f"mensagem {number}")
        await post_text(daemon, "OTHER", "outra pessoa", phone="5531977776666")
        await sio.has_texts("outra pessoa")
        assert sio.texts() == [f"mensagem {n}" for n in range(20)] + ["outra pessoa"]
        await sio.ask("leave-inbox", INSTANCE)
        assert (await sio.event("left-inbox"))["instance"] == INSTANCE
        await post_text(daemon, "UNHEARD", "ninguém ouve", phone="5531977776666")
        await post_text(daemon, "HEARD", "ainda no ticket")
        await sio.has_texts("ainda no ticket")
        assert "ninguém ouve" not in sio.texts()


async def test_a_note_is_told_to_the_others_and_not_to_its_writer(daemon: Daemon, way: str) -> None:
    """Also when the writer has another window open: that one is told, under its own session."""
    ticket = await a_ticket(daemon)
    async with open_sio() as ana, open_sio() as window, open_sio() as bia:
        for sio, sub in ((ana, "ana"), (window, "ana"), (bia, "bia")):
            await sio.connect(daemon.url, way=way, token=token(sub))
            await sio.ask("join-ticket", ticket)
        note = {
            "ticketId": ticket,
            "content": "cliente antigo",
            "isInternal": True,
            "userId": "mallory",
            "senderName": "Ana Lima",
            "messageId": "n-1",
        }
        answer = await ana.ask("send-message", note)
        assert answer["ok"]
        assert answer["message"]["isInternal"] is True
        again = await ana.ask("send-message", note)
        assert again["message"]["id"] == answer["message"]["id"]
        for other in (window, bia):
            told = await other.event("new-message")
            assert (told["id"], told["senderId"]) == (answer["message"]["id"], "ana")
            assert told["senderName"] == "Ana Lima"
        await post_text(daemon, "AFTER", "obrigada")
        for sio in (ana, window, bia):
            await sio.has_texts("obrigada")
        assert ana.texts() == ["obrigada"]
        assert bia.texts() == window.texts() == ["cliente antigo", "obrigada"]


async def test_changes_states_and_typing_are_told(daemon: Daemon, way: str) -> None:
    ticket = await a_ticket(daemon)
    async with open_sio() as ana, open_sio() as bia:
        for sio, sub in ((ana, "ana"), (bia, "bia")):
            await sio.connect(daemon.url, way=way, token=token(sub, name=sub.title()))
            await sio.ask("join-ticket", ticket)
        await ana.emit("typing", {"ticketId": ticket})
        await ana.emit("typing", {"ticketId": ticket, "isTyping": False})
        typing = await bia.told("told", name="typing", nth=2)
        assert len(typing["args"]) == 1, "a place in the log would move the client's"
        assert [told["isTyping"] for told in bia.heard("typing")] == [True, False]
        assert (typing["args"][0]["user"], typing["args"][0]["ticketId"]) == ("ana", ticket)

        await post_webhook(daemon, edited())
        updated = await bia.event("message-updated")
        assert (updated["content"], updated["ticketId"]) == ("boa tarde", ticket)

        state = {"event": "connection.update", "instance": INSTANCE, "data": {"state": "close"}}
        await post_webhook(daemon, state)

        async def is_told() -> bool:
            return any(told["state"] != "open" for told in bia.heard("connection-update"))

        await eventually(is_told, what="connection-update")
        assert bia.heard("connection-update")[-1]["instance"] == INSTANCE

        version = (await get(daemon, f"/v1/tickets/{ticket}"))["version"]
        params = {"ticket_id": ticket, "version": version}
        claimed = await ana.ask("rpc", "tickets.claim", params)
        assert claimed["ok"], claimed
        await bia.wait_until(
            lambda: any(told["assignee"] == "ana" for told in bia.heard("ticket-updated")),
            "ticket-updated with its new owner",
        )
        assert ana.heard("typing") == []


async def test_bytes_from_a_client_are_taken_for_what_they_are(daemon: Daemon, way: str) -> None:
    """Attachments arrive and end nothing: not an id, and not a word in anything we know."""
    ticket = await a_ticket(daemon)
    picture = {"$bytes": b64encode(bytes(range(256)) * 100).decode()}
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())
        refused = await sio.ask("join-ticket", picture)
        assert (refused["ok"], refused["error"]["code"]) == (False, "bad_request")
        answer = await sio.ask("join-ticket", {"ticketId": ticket, "photos": [picture, picture]})
        assert answer["ok"]
        await sio.emit("request-messages", {"ticketId": picture})
        assert (await sio.event("error"))["code"] == "bad_request"
        assert sio.count("disconnect") == 0


async def test_who_has_no_right_is_told_so_and_hears_nothing(daemon: Daemon, way: str) -> None:
    """P7: nothing tells a foreign ticket from one that does not exist."""
    ticket = await a_ticket(daemon)
    async with open_sio() as eva:
        await eva.connect(daemon.url, way=way, token=token("eva", instances=["outra-loja"]))
        refusals = []
        for asked in (ticket, "01890000-0000-7000-8000-000000000000"):
            refusals.append([await eva.ask("join-ticket", asked)])
            refusals[-1].append(await eva.ask("request-messages", {"ticketId": asked}))
            refusals[-1].append(await eva.ask("send-message", {"ticketId": asked, "content": "x"}))
            refusals[-1].append(await eva.ask("typing", {"ticketId": asked}))
        assert refusals[0] == refusals[1]
        assert not any(answer["ok"] for answer in refusals[0])
        assert (await eva.ask("join-inbox", INSTANCE))["error"]["code"] == "forbidden"
        assert (await eva.ask("join-inbox", "outra-loja"))["ok"]
        await post_text(daemon, "SECRET", "segredo")
        await post_text(daemon, "OURS", "é nosso", instance="outra-loja")
        await eva.has_texts("é nosso")
        assert eva.texts() == ["é nosso"]


@pytest.mark.parametrize("credential", ["none", "nonsense", "expired"])
async def test_a_bad_credential_is_a_connect_error(
    daemon: Daemon, way: str, credential: str
) -> None:
    """The client stays away then, as it does with the reference, until its page connects anew."""
    bad = {"none": "", "nonsense": "x.y.z", "expired": token(ttl=-10)}[credential]
    async with open_sio() as sio:
        options = {"transports": TRANSPORTS[way]}
        await sio.call("connect", url=daemon.url, tokens=[bad, token()], options=options)
        error = await sio.told("connect_error")
        assert error["message"] == "unauthorized"
        assert error["data"]["code"] in ("unauthorized", "token_expired")
        await sio.call("reconnect")
        await sio.told("connect")
        assert sio.count("auth") == 2


async def test_auth_is_asked_for_a_token_each_time(daemon: Daemon, way: str) -> None:
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, tokens=[token(), token(), "x.y.z"])
        await sio.ask("join-inbox", INSTANCE)
        await sio.call("drop")
        assert (await sio.again())["recovered"] is True
        await sio.call("drop")
        assert (await sio.told("connect_error"))["message"] == "unauthorized"
        assert sio.count("auth") == 3


async def test_a_page_may_leave_and_come_back_on_the_same_manager(daemon: Daemon, way: str) -> None:
    ticket = await a_ticket(daemon)
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())
        await sio.ask("join-ticket", ticket)
        for round_ in range(3):
            await sio.call("disconnect")
            assert (await sio.told("disconnect", nth=round_ + 1))["reason"] == (
                "io client disconnect"
            )
            await post_text(daemon, f"AWAY{round_}", f"enquanto fora {round_}")
            await sio.call("reconnect")
            assert (await sio.again(round_ + 2))["recovered"] is True
            await sio.has_texts(f"enquanto fora {round_}")
        assert sio.texts() == [f"enquanto fora {n}" for n in range(3)]


async def test_another_namespace_is_refused_and_ours_goes_on(daemon: Daemon, way: str) -> None:
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())
        assert await sio.call("namespace", name="/chat") == "Invalid namespace"
        assert (await sio.ask("join-inbox", INSTANCE))["ok"]
        assert sio.count("disconnect") == 0


async def test_what_is_asked_while_we_are_away_is_answered_later(daemon: Daemon, way: str) -> None:
    """The client keeps it and emits it when it is back."""
    async with open_sio() as sio:
        await sio.connect(daemon.url, way=way, token=token())
        daemon.kill()
        await sio.told("disconnect")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, daemon.start))
            assert (await sio.ask("join-inbox", INSTANCE))["ok"]


def edited() -> dict[str, Any]:
    """The customer has changed their first message."""
    jid = "5531988887777@s.whatsapp.net"
    key = {"remoteJid": jid, "fromMe": False, "id": "FIRST"}
    return {
        "event": "messages.edited",
        "instance": INSTANCE,
        "data": {"key": key, "type": 14, "editedMessage": {"conversation": "boa tarde"}},
    }


async def post_webhook(daemon: Daemon, webhook: dict[str, Any]) -> None:
    reply = await ask(daemon, "POST", PATH, as_body(webhook))
    assert reply.status == 200, reply
