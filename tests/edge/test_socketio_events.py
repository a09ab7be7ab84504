"""What a Socket.IO client may emit, and what it is told for it (contract §6)."""

import gc
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.edge.framestream import BUFFER_BYTES_MAX
from evorelay.edge.socketio import packets
from evorelay.model.errors import StoreUnavailable
from evorelay.model.event import ChannelEvent
from evorelay.protocol.socketio_events import SocketIoDialect
from evorelay.relay import desk as desk_module
from evorelay.relay.desk import Desk
from tests.edge.harness import HOOK, open_port, request, until
from tests.edge.socketio_world import TRANSPORTS, TransportName, agent, customer_writes, stranger
from tests.edge.test_socketio_connect import ends
from tests.support.socketio import Gone, SocketClient

ANA: dict[str, Any] = {"role": "agent", "instances": ["a"]}


async def failed(client: SocketClient, name: str, *args: Any) -> str:
    """The error code an event is answered with."""
    answer = await client.ask(name, *args)
    assert answer["ok"] is False, answer
    assert answer["error"]["message"]
    code: str = answer["error"]["code"]
    return code


async def nothing_more(client: SocketClient) -> None:
    """What was told until now has come: an answer comes behind it."""
    await client.ask("leave-inbox", "nowhere")
    assert client.heard() == ["left-inbox"]
    await client.next_event()


async def texts(client: SocketClient, ticket_id: str, **more: Any) -> list[str]:
    answer = await client.ask("request-messages", {"ticketId": ticket_id, **more})
    assert answer["ok"], answer
    return [message["content"] for message in answer["messages"]]


class TestJoining:
    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_who_is_in_a_ticket_hears_its_messages(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        async with open_port(tmp_path) as port, agent(port, over=over) as client:
            ticket_id = await customer_writes(port)
            await client.emit("join-ticket", {"ticketId": ticket_id, "userId": "whoever"})
            joined = await client.event("joined-ticket")
            assert joined == {
                "ticketId": ticket_id,
                "offset": joined["offset"],
                "epoch": port.epoch,
            }
            await customer_writes(port, "olá 😀")
            name, message, place = await client.next_event()
            assert (name, message["content"]) == ("new-message", "olá 😀")
            assert message["ticket_id"] == message["ticketId"] == ticket_id
            assert message["offset"] == joined["offset"] + 1
            assert place == client.place

    async def test_the_ticket_may_be_all_that_is_said(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            answer = await client.ask("join-ticket", ticket_id)
            event = await client.event("joined-ticket")
            assert answer == {"ok": True, **event}

    async def test_joining_again_changes_nothing(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            first = await client.ask("join-ticket", ticket_id)
            assert await client.ask("join-ticket", ticket_id) == first
            await customer_writes(port, "once")
            await client.event("new-message")
            await nothing_more(client)

    async def test_what_was_missed_in_a_ticket_comes_with_the_answer(self, tmp_path: Path) -> None:
        """P3; the client's place does not go back for it."""
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port, "0")
            offset = (await client.ask("join-ticket", ticket_id))["offset"]
            await client.ask("leave-ticket", ticket_id)
            for n in range(3):
                await customer_writes(port, f"missed {n}")
            place = client.place
            answer = await client.ask("join-ticket", {"ticketId": ticket_id, "since": offset})
            assert answer["recovered"] is True
            assert answer["offset"] == offset + 3
            await client.event("left-ticket")
            assert (await client.next_event())[1]["recovered"] is True
            for n in range(3):
                name, message = await client.next_event()
                assert (name, message["content"]) == ("new-message", f"missed {n}")
                assert message["offset"] == offset + 1 + n
            assert client.place == place
            await customer_writes(port, "live")
            assert (await client.event("new-message"))["content"] == "live"

    @pytest.mark.parametrize("since", [{"since": 999}, {"since": 0, "epoch": "another"}])
    async def test_a_place_that_is_not_ours_is_told_to_load_anew(
        self, tmp_path: Path, since: dict[str, Any]
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            answer = await client.ask("join-ticket", {"ticketId": ticket_id, **since})
            assert (answer["ok"], answer["recovered"]) == (True, False)
            assert client.heard() == ["joined-ticket"]

    async def test_who_has_left_hears_nothing_more(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            await client.ask("join-ticket", ticket_id)
            assert await client.ask("leave-ticket", ticket_id) == {
                "ok": True,
                "ticketId": ticket_id,
            }
            assert await client.event("left-ticket") == {"ticketId": ticket_id}
            await customer_writes(port, "not heard")
            await nothing_more(client)

    async def test_an_inbox_tells_of_all_its_tickets_and_of_each_message_once(
        self, tmp_path: Path
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port, phone="5531988880001")
            answer = await client.ask("join-inbox", {"instance": "a"})
            assert (answer["ok"], answer["instance"]) == (True, "a")
            assert (await client.event("joined-inbox"))["offset"] == answer["offset"]
            await client.ask("join-ticket", ticket_id)
            await client.event("joined-ticket")
            await customer_writes(port, "one", phone="5531988880001")
            await customer_writes(port, "two", phone="5531988880002")
            await customer_writes(port, "no", phone="5531988880003", instance="b")
            assert (await client.event("new-message"))["content"] == "one"
            assert (await client.next_event())[0] == "ticket-updated"
            assert (await client.event("new-message"))["content"] == "two"
            await nothing_more(client)
            assert (await client.ask("leave-inbox", "a"))["instance"] == "a"
            await client.event("left-inbox")
            await customer_writes(port, "three", phone="5531988880002")
            await nothing_more(client)

    async def test_how_instances_are_is_told_without_joining(self, tmp_path: Path) -> None:
        """Of the agent's own ones, and of no others (P7)."""
        async with open_port(tmp_path) as port, agent(port, **ANA) as client:
            for instance in ("b", "a"):
                event = {"event": "connection.update", "instance": instance}
                body = json.dumps({**event, "data": {"state": "open", "statusReason": 200}})
                async with await port.connect() as raw:
                    assert (await raw.call(request(HOOK, body.encode()))).status == 200
            name, told, place = await client.next_event()
            assert (name, told["instance"], told["state"]) == ("connection-update", "a", "open")
            assert place == client.place


class TestLoading:
    async def test_messages_come_oldest_first_page_by_page(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            for n in range(5):
                ticket_id = await customer_writes(port, f"text {n}")
            await client.emit("request-messages", {"ticketId": ticket_id, "limit": 2})
            page = await client.event("messages-loaded")
            assert page["ticketId"] == ticket_id
            assert [message["content"] for message in page["messages"]] == ["text 3", "text 4"]
            assert page["messages"][0]["senderName"] == page["messages"][0]["sender_name"]
            assert page["hasMore"] is True
            before = page["nextCursor"]
            assert before == page["messages"][0]["id"]
            assert await texts(client, ticket_id, limit=2, before=before) == ["text 1", "text 2"]
            answer = await client.ask("request-messages", ticket_id)
            assert (len(answer["messages"]), answer["hasMore"]) == (5, False)
            assert answer["nextCursor"] is None

    async def test_a_page_of_long_messages_ends_early(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """P5: how long they are is the customer's choice."""
        monkeypatch.setattr(desk_module, "PAGE_BYTES_MAX", 10_000)
        written = [f"{n} " + "x" * size for n, size in enumerate((9_000, 4_000, 4_000, 11_000))]
        async with open_port(tmp_path) as port, agent(port) as client:
            for text in written:
                ticket_id = await customer_writes(port, text)
            found: list[str] = []
            before, sizes = None, []
            while True:
                answer = await client.ask(
                    "request-messages", {"ticketId": ticket_id, "before": before}
                )
                assert answer["hasMore"] == (answer["nextCursor"] is not None)
                sizes.append(len(answer["messages"]))
                found[:0] = [message["content"] for message in answer["messages"]]
                before = answer["nextCursor"]
                if before is None:
                    break
            assert found == written
            assert sizes == [1, 2, 1]

    @pytest.mark.parametrize(
        ("limit", "count"), [(0, 1), (-5, 1), (1.9, 1), (3, 3), (10**9, 4), (1e300, 4), (None, 4)]
    )
    async def test_a_limit_is_taken_for_the_nearest_that_goes(
        self, tmp_path: Path, limit: float | None, count: int
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            for n in range(4):
                ticket_id = await customer_writes(port, f"{n}")
            assert len(await texts(client, ticket_id, limit=limit)) == count

    async def test_a_message_of_another_ticket_is_no_place(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            asked = {"ticketId": ticket_id, "before": "nonsense"}
            assert await failed(client, "request-messages", asked) == "bad_request"


class TestSending:
    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_a_reply_is_told_to_the_others_and_answered_to_its_sender(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        """P4; the sender's own client is not told of what it shows already."""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port, "ana", over=over, **ANA) as ana, agent(port, "bia") as bia:
                async with agent(port, "ana", **ANA) as elsewhere:
                    for client in (ana, bia, elsewhere):
                        await client.ask("join-ticket", ticket_id)
                    answer = await ana.ask(
                        "send-message",
                        {
                            "ticketId": ticket_id,
                            "content": "bom dia",
                            "isInternal": False,
                            "userId": "somebody-else",
                            "senderName": "Ana",
                            "messageId": "m-1",
                        },
                    )
                    assert (answer["ok"], answer["messageId"]) == (True, "m-1")
                    message = answer["message"]
                    assert (message["content"], message["status"]) == ("bom dia", "pending")
                    assert message["senderId"] == message["sender_id"] == "ana"
                    for client in (bia, elsewhere):
                        heard = await client.event("new-message")
                        assert heard.pop("offset") > 0
                        assert heard == message
                    while (changed := await ana.event("message-updated"))["status"] == "pending":
                        pass
                    assert (changed["id"], changed["status"]) == (message["id"], "sent")
                    await until(lambda: len(port.evolution.delivered) == 1)
                    assert "new-message" not in ana.heard()

    async def test_a_command_that_comes_again_is_answered_alike(self, tmp_path: Path) -> None:
        """P4, over a connection that was lost in between."""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            command = {"ticketId": ticket_id, "content": "uma vez", "messageId": 1_732_312_000_123}
            async with agent(port, "ana") as client:
                first = await client.ask("send-message", command)
            async with agent(port, "ana") as client:
                again = await client.ask("send-message", command)
                assert again["message"]["id"] == first["message"]["id"]
                assert again["messageId"] == "1732312000123"
                other = {**command, "content": "outra"}
                assert await failed(client, "send-message", other) == "op_id_conflict"
                assert await texts(client, ticket_id) == ["oi", "uma vez"]

    @pytest.mark.parametrize("nothing", [{}, {"messageId": None}, {"messageId": ""}])
    async def test_without_an_id_each_is_one_of_its_own(
        self, tmp_path: Path, nothing: dict[str, Any]
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            command = {"ticketId": ticket_id, "content": "de novo", **nothing}
            first, second = [await client.ask("send-message", command) for _ in range(2)]
            assert first["message"]["id"] != second["message"]["id"]
            assert first["messageId"] != second["messageId"]

    async def test_a_note_stays_in_the_house(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            command = {"ticketId": ticket_id, "content": "cuidado", "isInternal": True}
            message = (await client.ask("send-message", command))["message"]
            assert (message["isInternal"], message["is_internal"]) == (True, True)
            await trio.testing.wait_all_tasks_blocked()
            assert port.evolution.delivered == []

    async def test_a_name_counts_where_the_credential_has_none(self, tmp_path: Path) -> None:
        """P7: nobody speaks under another's name."""
        async with open_port(tmp_path) as port, agent(port, "ana") as client:
            ticket_id = await customer_writes(port)
            command = {
                "ticketId": ticket_id,
                "content": "x",
                "senderName": " Ana \n Maria" + "a" * 999,
            }
            message = (await client.ask("send-message", command))["message"]
            assert message["senderName"].startswith("Ana Maria")
            assert len(message["senderName"]) == 120

    async def test_without_an_ack_only_a_failure_is_told(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            await client.emit("send-message", {"ticketId": ticket_id, "content": "ok"})
            await nothing_more(client)
            await client.emit("send-message", {"ticketId": "unknown", "content": "x"})
            error = await client.event("error")
            assert (error["code"], error["event"]) == ("not_found", "send-message")
            assert error["message"]

    async def test_a_closed_ticket_takes_no_reply(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            assert (await client.ask("rpc", "tickets.close", {"ticket_id": ticket_id}))["ok"]
            command = {"ticketId": ticket_id, "content": "x"}
            assert await failed(client, "send-message", command) == "ticket_closed"

    @pytest.mark.parametrize(
        "change",
        [
            {"content": None},
            {"content": ""},
            {"content": "x" * 65_537},
            {"content": ["x"]},
            {"content": "a\0b"},
            {"messageId": "x" * 129},
            {"messageId": {"a": 1}},
            {"isInternal": "yes"},
            {"ticketId": None},
        ],
        ids=lambda change: str(change)[:20],
    )
    async def test_what_cannot_be_sent_is_refused_in_words(
        self, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            command = {"ticketId": ticket_id, "content": "x", "messageId": "m", **change}
            assert await failed(client, "send-message", command) == "bad_request"


class TestTheRest:
    async def test_typing_is_told_to_the_others(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port, "ana") as ana, agent(port, "bia") as bia:
                for client in (ana, bia):
                    await client.ask("join-ticket", ticket_id)
                    await client.event("joined-ticket")
                place = bia.place
                await ana.emit("typing", ticket_id)
                assert (await bia.event("typing"))["isTyping"] is True
                answer = await ana.ask("typing", {"ticketId": ticket_id, "isTyping": False})
                assert answer == {"ok": True, "ticketId": ticket_id}
                name, told = await bia.next_event()
                assert (name, told["isTyping"], told["user"]) == ("typing", False, "ana")
                assert bia.place == place
                await nothing_more(ana)

    async def test_every_method_of_rpc_can_be_called(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            for asked in (["tickets.list"], ["tickets.list", {}], [{"method": "tickets.list"}]):
                answer = await client.ask("rpc", *asked)
                assert [ticket["id"] for ticket in answer["result"]["tickets"]] == [ticket_id]
            answer = await client.ask("rpc", "seen", {"ticket_id": ticket_id})
            assert answer["ok"]
            assert await failed(client, "rpc", "tickets.explode") == "method_not_allowed"
            assert await failed(client, "rpc", "tickets.get", {"x": 1}) == "bad_request"
            assert await failed(client, "rpc", "tickets.get", [1]) == "bad_request"

    @pytest.mark.parametrize("name", ["identify", "message", "", "x" * 5000])
    async def test_an_event_that_there_is_not_is_told_so(self, tmp_path: Path, name: str) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            answer = await client.ask(name, {"a": 1})
            assert answer["error"]["code"] == "method_not_allowed"
            assert "join-ticket" in answer["error"]["message"]
            await client.emit(name)
            assert (await client.event("error"))["event"] == name[:100]

    async def test_a_name_may_be_a_number_and_is_none_of_ours(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.transport.send('420[5,"x"]', "42[5]")
            assert (await client.event("error"))["event"] == "5"

    async def test_answers_come_in_the_order_of_what_was_asked(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            asked = [f'42{n}["request-messages","{ticket_id}"]' for n in range(20)]
            await client.transport.send(*asked)
            answered: list[int] = []
            while len(answered) < 20:
                packet = await client.packet()
                if packet.startswith("43"):
                    answered.append(int(packet[2 : packet.index("[")]))
            assert answered == list(range(20))

    async def test_attachments_are_no_ids(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            place = '{"_placeholder":true,"num":0}'
            await client.transport.send(f'451-["join-ticket",{place}]', b"x")
            assert (await client.event("error"))["code"] == "bad_request"

    async def test_what_a_client_acknowledges_nobody_asked_for(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.transport.send('431["x"]', '461-1[{"_placeholder":true,"num":0}]', b"x")
            await nothing_more(client)

    async def test_a_store_that_is_away_is_told_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)

            async def away(*_: object) -> None:
                raise StoreUnavailable("disk")

            monkeypatch.setattr(Desk, "messages_list", away)
            assert await failed(client, "request-messages", ticket_id) == "unavailable"
            assert (await client.ask("join-ticket", ticket_id))["ok"]


class TestPermission:
    @pytest.mark.parametrize(
        ("name", "args"),
        [
            ("join-ticket", {}),
            ("request-messages", {}),
            ("send-message", {"content": "x"}),
            ("typing", {}),
        ],
    )
    async def test_a_foreign_ticket_and_an_unknown_one_are_alike(
        self, tmp_path: Path, name: str, args: dict[str, Any]
    ) -> None:
        """P7"""
        async with open_port(tmp_path) as port, agent(port, **ANA) as client:
            foreign = await customer_writes(port, instance="b")
            first, second = [
                await client.ask(name, {"ticketId": ticket_id, **args})
                for ticket_id in (foreign, "01890000-0000-7000-8000-000000000000")
            ]
            assert first == second
            assert first["error"]["code"] == "not_found"
            await customer_writes(port, "secret", instance="b")
            await nothing_more(client)

    async def test_a_foreign_inbox_is_closed(self, tmp_path: Path) -> None:
        """P7"""
        async with open_port(tmp_path) as port, agent(port, **ANA) as client:
            for instance in ("b", "*", "", "a:b"):
                assert await failed(client, "join-inbox", instance) in ("forbidden", "bad_request")
            await customer_writes(port, "secret", instance="b")
            await nothing_more(client)

    @pytest.mark.parametrize("ticket_id", ["", "*", "inbox:b", "x" * 200, "é😀"])
    async def test_no_id_is_a_way_around(self, tmp_path: Path, ticket_id: str) -> None:
        """P7"""
        async with open_port(tmp_path) as port, agent(port, **ANA) as client:
            assert await failed(client, "join-ticket", ticket_id) == "not_found"


ODD: list[Any] = [None, True, -1, 1e300, "", "*", "é\0", "x" * 300, [], [[]], {}, {"ticketId": {}}]
FIELDS = [
    *("ticketId", "instance", "since", "epoch", "limit", "before", "content", "isInternal"),
    *("senderName", "messageId", "isTyping", "token", "method", "params"),
]
EVENTS = [
    *("join-ticket", "leave-ticket", "request-messages", "send-message", "join-inbox"),
    *("leave-inbox", "typing", "refresh", "rpc", "constructor", "__proto__"),
]


class TestNonsense:
    @pytest.mark.parametrize("name", EVENTS)
    async def test_no_argument_upsets_an_event(
        self,
        tmp_path: Path,
        name: str,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Each is answered, by the connection that asked, and none is a bug."""
        monkeypatch.setattr(packets, "PACKETS_BURST", 10_000)
        objects: list[dict[str, Any]] = [{field: odd} for field in FIELDS for odd in ODD]
        async with open_port(tmp_path) as port, agent(port) as client:
            ticket_id = await customer_writes(port)
            named = [
                {"ticketId": ticket_id, "content": "x", "instance": "a"} | odd for odd in objects
            ]
            for arg in [*ODD, *objects, *named]:
                assert (await client.ask(name, arg))["ok"] in (True, False)
        assert "ended with an error" not in caplog.text

    async def test_random_packets_are_answered_or_end_it(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        chance = random.Random(5)
        pieces = [
            "4",
            "2",
            "5",
            "3",
            "1-",
            "0",
            "/a,",
            "7",
            '["typing"',
            ",",
            "{}",
            "]",
            "[",
            "\x1e",
        ]
        async with open_port(tmp_path) as port:
            for _ in range(60):
                async with agent(port) as client:
                    with suppress(Gone):
                        for _ in range(20):
                            text = "".join(chance.choices(pieces, k=chance.randrange(1, 6)))
                            await client.transport.send(chance.choice([f"42{text}", f"4{text}"]))
                        await client.ask("typing")
            await until(lambda: len(port.sessions) == 0)
        assert "ended with an error" not in caplog.text


class TestBounds:
    async def test_a_flood_waits_and_delays_nobody_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """P5"""
        monkeypatch.setattr(packets, "PACKETS_BURST", 10)
        monkeypatch.setattr(packets, "PACKETS_PER_S", 0.01)
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port, "hostile") as hostile:
                monkeypatch.undo()
                async with agent(port, "healthy") as healthy:
                    flood = f'42["join-ticket","{ticket_id}"]'
                    await hostile.transport.send(*[flood] * 500)
                    for _ in range(9):
                        await hostile.event("joined-ticket")
                    for _ in range(50):
                        assert (await healthy.ask("join-ticket", ticket_id))["ok"]
                    assert hostile.heard() == []
                    # It is not served, but what happens it is told.
                    await customer_writes(port, "for both")
                    for client in (healthy, hostile):
                        assert (await client.event("new-message"))["content"] == "for both"

    async def test_a_large_message_counts_for_many(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """P5: reading one keeps everybody else waiting."""
        monkeypatch.setattr(packets, "PACKETS_BURST", 10)
        monkeypatch.setattr(packets, "PACKETS_PER_S", 0.01)
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.transport.send('42["x","' + "x" * 16 * packets.TOKEN_BYTES + '"]')
            await client.event("error")
            with trio.move_on_after(0.2) as patience:
                await client.ask("join-inbox", "a")
            assert patience.cancelled_caught

    async def test_a_client_that_does_not_poll_is_told_everything_later(
        self, tmp_path: Path
    ) -> None:
        """P3, P5: its buffer is bounded, and nothing is lost by that."""
        async with open_port(tmp_path) as port:
            async with agent(port, "slow", over="polling") as slow, agent(port, "fast") as fast:
                for client in (slow, fast):
                    await client.ask("join-inbox", "a")
                size, count = 50_000, 2 * BUFFER_BYTES_MAX // 50_000
                for n in range(count):
                    await customer_writes(port, f"{n} " + "x" * size)
                for client in (fast, slow):
                    with trio.fail_after(30):
                        for n in range(count):
                            message = await client.event("new-message")
                            assert message["content"].startswith(f"{n} x")

    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_a_payload_bomb_ends_its_own_connection(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        """P5"""
        async with open_port(tmp_path) as port, agent(port, "healthy") as healthy:
            async with agent(port, "hostile", over=over) as hostile:
                with trio.move_on_after(30) as patience, suppress(Gone, trio.BrokenResourceError):
                    await hostile.transport.send('42["typing","' + "x" * 2_000_000 + '"]')
                    while True:
                        await hostile.transport.receive()
                assert not patience.cancelled_caught
            assert (await healthy.ask("join-inbox", "a"))["ok"]

    async def test_an_event_is_encoded_once_for_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever is in which room, and over which transport."""
        encoded: list[int] = []
        encode = SocketIoDialect.encode_event

        def counted(self: SocketIoDialect, event: ChannelEvent) -> bytes:
            encoded.append(event.id)
            return encode(self, event)

        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with trio.open_nursery() as nursery:
                told: list[str] = []
                everybody_in = [trio.Event() for _ in range(12)]

                async def listens(n: int) -> None:
                    async with agent(port, over=TRANSPORTS[n % 2]) as client:
                        await client.ask("join-ticket", ticket_id)
                        if n % 3:
                            await client.ask("join-inbox", "a")
                        everybody_in[n].set()
                        told.append((await client.event("new-message"))["content"])

                for n in range(12):
                    nursery.start_soon(listens, n)
                for is_in in everybody_in:
                    await is_in.wait()
                monkeypatch.setattr(SocketIoDialect, "encode_event", counted)
                await customer_writes(port, "to all")
            assert told == ["to all"] * 12
            assert len(encoded) == len(set(encoded)) == 1

    @pytest.mark.parametrize(
        "packet", ['42["x",%s]', '451-["x",%s]', '40/admin,{"x":%s}', '40{"token":"x","x":%s}']
    )
    async def test_nothing_of_a_message_is_kept_while_its_client_is_quiet(
        self, tmp_path: Path, packet: str
    ) -> None:
        """P5: 64 KiB of brackets take 1.5 MiB to read, and a thousand strangers may send them."""
        brackets = "[" + ",".join(["[]"] * 20_000) + "]"
        async with open_port(tmp_path) as port:
            async with agent(port) as known, stranger(port) as unknown:
                client = unknown if packet.startswith("40{") else known
                before = len(gc.get_objects())
                await client.transport.send(packet % brackets)
                if not packet.startswith("45"):
                    assert (await client.packet())[:2] in ("42", "44")
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert len(gc.get_objects()) - before < 5_000

    async def test_a_stranger_may_say_little_and_an_agent_more(self, tmp_path: Path) -> None:
        """P5: 64 KiB are enough for a token."""
        async with open_port(tmp_path) as port, agent(port) as client:
            assert await failed(client, "join-ticket", "x" * 70_000) == "bad_request"
        async with open_port(tmp_path / "2") as port, stranger(port) as client:
            await client.transport.send("40" + json.dumps({"token": "x" * 70_000}))
            assert await ends(client) == 1009
