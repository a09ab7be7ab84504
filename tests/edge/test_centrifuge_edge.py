"""The Centrifuge dialect on a real port, command by command (contract §5)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.edge import centrifuge as edge
from evorelay.edge.framestream import BUFFER_BYTES_MAX
from evorelay.model.close import Close
from evorelay.relay.sessions import STALLED_S, look_after
from tests.edge.harness import HOOK, Port, open_port, request, token, until
from tests.support.agent import Agent, shake_hands
from tests.support.webhooks import as_body, text_message

INBOX = "inbox:a"


@asynccontextmanager
async def stranger(port: Port) -> AsyncIterator[Agent]:
    async with await port.connect() as client:
        yield await shake_hands(client.stream, "ws://relay/connection/websocket")


@asynccontextmanager
async def agent(port: Port, sub: str = "agent", **grant: Any) -> AsyncIterator[Agent]:
    """A client that is connected; an admin when nothing else is granted."""
    async with stranger(port) as client:
        reply = await client.ask(connect={"token": token(sub, **grant)})
        assert "connect" in reply, reply
        yield client


def command(id_: int, **request: Any) -> str:
    return json.dumps({"id": id_, **request})


async def receive_messages(port: Port, first: int, last: int) -> None:
    """Post numbered messages of one customer and wait until they are stored."""
    async with await port.connect() as client:
        for n in range(first, last + 1):
            body = as_body(text_message(f"ID{n}", f"text {n}", instance="a", sent_at=1_000_000 + n))
            assert (await client.call(request(HOOK, body))).status == 200
    await until(lambda: port.pipeline.lag == 0)


async def subscribed(client: Agent, channel: str = INBOX, **more: Any) -> dict[str, Any]:
    reply = await client.ask(subscribe={"channel": channel, **more})
    assert "subscribe" in reply, reply
    result: dict[str, Any] = reply["subscribe"]
    return result


async def failed(client: Agent, **command: Any) -> int:
    """The error code a command is answered with."""
    reply = await client.ask(**command)
    code: int = reply["error"]["code"]
    return code


async def close_code(client: Agent) -> int:
    with trio.fail_after(30):
        close = await client.closed()
    assert close is not None
    return close.code


async def next_push(client: Agent) -> dict[str, Any]:
    with trio.fail_after(30):
        while not client._pushes:
            assert await client.read_some()
    return client._pushes.popleft()


class TestConnect:
    async def test_a_good_token_lets_in(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, stranger(port) as client:
            reply = await client.ask(connect={"token": token("ana", ttl_s=600), "name": "js"})
            result = reply["connect"]
            assert result["client"]
            assert (result["ping"], result["pong"], result["expires"]) == (25, True, True)
            assert 500 <= result["ttl"] <= 600
            assert result["data"] == {"user": "ana", "role": "admin"}
            assert len(port.sessions) == 1
        await until(lambda: len(port.sessions) == 0)

    @pytest.mark.parametrize(
        "bad",
        ["", "no.token.atall", "x" * 9000, "é", token(secret="another-secret-" + "x" * 32)],
        ids=["none", "garbage", "long", "not ascii", "foreign"],
    )
    async def test_a_bad_token_ends_it(self, tmp_path: Path, bad: str) -> None:
        """P7"""
        async with open_port(tmp_path) as port, stranger(port) as client:
            await client.send_text(command(1, connect={"token": bad}))
            assert await close_code(client) == 3500
            assert len(port.sessions) == 0

    async def test_an_expired_token_is_told_so_and_nothing_more_is_heard(
        self, tmp_path: Path
    ) -> None:
        """The SDK fetches a new one and comes back; meanwhile nobody is let in (P7)."""
        async with open_port(tmp_path) as port, stranger(port) as client:
            assert await failed(client, connect={"token": token(ttl_s=-1)}) == 109
            await client.send_text('{"id":2,"subscribe":{"channel":"inbox:a"}}')
            await trio.testing.wait_all_tasks_blocked()
            assert port.hub.watched() == {}
            assert not client._replies

    @pytest.mark.parametrize(
        "first",
        [
            "{}",
            "",
            "\n",
            "[]",
            "null",
            "nope",
            '{"id":1,"subscribe":{"channel":"inbox:a"}}',
            '{"id":1,"rpc":{"method":"tickets.list"}}',
            '{"id":0,"connect":{"token":"x"}}',
            '{"connect":{"token":"x"}}',
            '{"id":-1,"connect":{"token":"x"}}',
            '{"id":1,"connect":{"token":5}}',
            '{"id":1,"connect":{}}' * 2,
            "{}\n" * 300,
            '{"id":1,"connect":' + "[" * 30_000,
        ],
    )
    async def test_whoever_begins_otherwise_is_closed(self, tmp_path: Path, first: str) -> None:
        async with open_port(tmp_path) as port, stranger(port) as client:
            await client.send_text(first)
            assert await close_code(client) == 3501

    async def test_whoever_says_nothing_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(edge, "STALE_AFTER_S", 0.1)
        async with open_port(tmp_path) as port, stranger(port) as client:
            assert await close_code(client) == 3502

    async def test_connecting_twice_is_an_error(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.send_text('{"id":5,"connect":{"token":"x"}}')
            assert await close_code(client) == 3501

    async def test_open_mode_needs_no_token(self, tmp_path: Path) -> None:
        async with open_port(tmp_path, auth={"mode": "open"}) as port:
            async with await port.connect() as raw:
                url = f"ws://127.0.0.1:{port.address[1]}/connection/websocket"
                client = await shake_hands(raw.stream, url)
                reply = await client.ask(connect={})
                assert reply["connect"]["data"]["role"] == "admin"
                assert "expires" not in reply["connect"]

    async def test_open_mode_is_closed_to_what_a_proxy_passes_on(self, tmp_path: Path) -> None:
        """P7: a page whose name resolves to this machine has another ``Host``."""
        async with open_port(tmp_path, auth={"mode": "open"}) as port:
            async with await port.connect() as raw:
                client = await shake_hands(raw.stream, "ws://evil.example/connection/websocket")
                await client.send_text('{"id":1,"connect":{}}')
                assert await close_code(client) == 3500

    async def test_commands_may_come_in_one_message_with_connect(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, stranger(port) as client:
            connect = command(1, connect={"token": token()})
            subscribe = command(2, subscribe={"channel": INBOX})
            await client.send_text(f"{connect}\n{subscribe}\n\n{command(3, ping={})}")
            while 3 not in client._replies:
                assert await client.read_some()
            assert list(client._replies) == [1, 2, 3]


class TestSubscribe:
    async def test_live_events_follow_the_answer_without_a_gap(self, tmp_path: Path) -> None:
        """P3"""
        async with open_port(tmp_path) as port, agent(port) as client:
            await receive_messages(port, 1, 3)
            head = (await subscribed(client))["offset"]
            assert head > 0
            await receive_messages(port, 4, 6)
            events = [await client.event() for _ in range(3)]
            created = [e for e in events if e.data["type"] == "message.created"]
            assert [e.offset for e in events] == list(range(head + 1, head + 4))
            assert created[0].data["message"]["content"] == "text 4"

    async def test_a_client_that_comes_back_gets_what_it_missed(self, tmp_path: Path) -> None:
        """P3"""
        async with open_port(tmp_path) as port:
            await receive_messages(port, 1, 2)
            async with agent(port) as client:
                position = await subscribed(client)
            await receive_messages(port, 3, 8)
            async with agent(port) as client:
                result = await subscribed(
                    client, recover=True, offset=position["offset"], epoch=port.epoch
                )
                assert (result["was_recovering"], result["recovered"]) == (True, True)
                offsets = [publication["offset"] for publication in result["publications"]]
                assert offsets == list(range(position["offset"] + 1, result["offset"] + 1))
                assert len(offsets) >= 6

    @pytest.mark.parametrize(
        ("offset", "epoch"), [(0, "another-epoch"), (0, ""), (1_000_000, None), (2**63 - 1, None)]
    )
    async def test_a_position_that_means_nothing_is_not_recovered(
        self, tmp_path: Path, offset: int, epoch: str | None
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await receive_messages(port, 1, 2)
            known = port.epoch if epoch is None else epoch
            result = await subscribed(client, recover=True, offset=offset, epoch=known)
            assert result["was_recovering"] is True
            assert not result.get("recovered")
            assert result["epoch"] == port.epoch

    @pytest.mark.parametrize("offset", [-1, 2**63, 2**200, 1.5, "1"])
    async def test_an_offset_that_is_none_is_a_bad_request(
        self, tmp_path: Path, offset: object
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            subscribe = {"channel": INBOX, "recover": True, "offset": offset}
            await client.send_text(command(2, subscribe=subscribe))
            assert await close_code(client) == 3501

    @pytest.mark.parametrize(
        "channel",
        [
            "inbox:b",
            "ticket:0192f000-0000-7000-8000-000000000000",
            "instance:b",
            "nonsense",
            "",
            ":",
        ],
    )
    async def test_a_foreign_channel_and_an_unknown_one_are_alike(
        self, tmp_path: Path, channel: str
    ) -> None:
        """P7"""
        async with open_port(tmp_path) as port:
            async with agent(port, role="agent", instances=["a"]) as client:
                assert await failed(client, subscribe={"channel": channel}) == 103
                assert await failed(client, history={"channel": channel, "limit": 5}) == 103
                assert await failed(client, presence={"channel": channel}) == 103
                assert await failed(client, presence_stats={"channel": channel}) == 103
                assert port.hub.watched() == {}

    async def test_twice_is_an_error_and_leaving_ends_it(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await subscribed(client)
            assert await failed(client, subscribe={"channel": INBOX}) == 105
            assert "unsubscribe" in await client.ask(unsubscribe={"channel": INBOX})
            assert port.hub.watched() == {}
            assert "unsubscribe" in await client.ask(unsubscribe={"channel": INBOX})
            await subscribed(client)

    async def test_one_connections_end_leaves_the_others_feeds(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await subscribed(client)
            async with agent(port) as other:
                await subscribed(other)
                assert port.hub.watched() == {INBOX: 2}
            await until(lambda: port.hub.watched() == {INBOX: 1})
            await receive_messages(port, 1, 1)
            assert (await client.event()).channel == INBOX


class TestHistoryAndPresence:
    async def test_history_pages_both_ways(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await receive_messages(port, 1, 10)

            async def page(**more: Any) -> dict[str, Any]:
                reply = await client.ask(history={"channel": INBOX, **more})
                result: dict[str, Any] = reply["history"]
                return result

            def offsets(result: dict[str, Any]) -> list[int]:
                return [publication["offset"] for publication in result["publications"]]

            position = await page()
            head = position["offset"]
            assert (position["epoch"], offsets(position)) == (port.epoch, [])
            assert offsets(await page(limit=-1)) == list(range(1, head + 1))
            since = {"offset": 3, "epoch": port.epoch}
            assert offsets(await page(limit=2, since=since)) == [4, 5]
            assert offsets(await page(limit=2, reverse=True)) == [head, head - 1]
            assert offsets(await page(limit=9, reverse=True, since=since)) == [2, 1]
            foreign = {"offset": 3, "epoch": "another"}
            history = {"channel": INBOX, "limit": 2, "since": foreign}
            assert await failed(client, history=history) == 112

    async def test_presence_shows_who_watches(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port, "ana") as ana:
            async with agent(port, "ana") as again, agent(port, "bia") as bia:
                for client in (ana, again, bia):
                    await subscribed(client)
                present = (await ana.ask(presence={"channel": INBOX}))["presence"]["presence"]
                assert sorted(info["user"] for info in present.values()) == ["ana", "ana", "bia"]
                stats = (await ana.ask(presence_stats={"channel": INBOX}))["presence_stats"]
                assert stats == {"num_clients": 3, "num_users": 2}

    async def test_who_asked_hears_of_joining_and_leaving(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port, "ana") as ana:
            await subscribed(ana, join_leave=True)
            async with agent(port, "bia") as bia:
                await subscribed(bia)
                push = await next_push(ana)
                assert push["join"]["info"]["user"] == "bia"
                await bia.ask(unsubscribe={"channel": INBOX})
                assert (await next_push(ana))["leave"]["info"]["user"] == "bia"
                await subscribed(bia)
                assert "join" in await next_push(ana)
            assert "leave" in await next_push(ana)


class TestRefresh:
    async def test_a_fresh_token_prolongs(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            reply = await client.ask(refresh={"token": token(ttl_s=900)})
            assert reply["refresh"]["expires"] is True
            assert 890 <= reply["refresh"]["ttl"] <= 900

    async def test_an_expired_one_may_be_tried_again(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            assert await failed(client, refresh={"token": token(ttl_s=-1)}) == 109
            assert "refresh" in await client.ask(refresh={"token": token()})

    @pytest.mark.parametrize(
        "bad", ["nonsense", token("somebody else"), token(secret="another-secret-" + "x" * 32)]
    )
    async def test_a_bad_one_ends_the_connection(self, tmp_path: Path, bad: str) -> None:
        """P7: also another agent's, who must connect anew."""
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.send_text(command(7, refresh={"token": bad}))
            assert await close_code(client) == 3500

    async def test_one_that_grants_less_takes_channels_away(self, tmp_path: Path) -> None:
        """P7"""
        async with open_port(tmp_path) as port, agent(port) as client, agent(port) as other:
            await subscribed(client, "inbox:a")
            await subscribed(client, "inbox:b")
            await subscribed(other, "inbox:b", join_leave=True)
            less = token(role="agent", instances=["a"])
            assert "refresh" in await client.ask(refresh={"token": less})
            push = await next_push(client)
            assert push["channel"] == "inbox:b"
            assert push["unsubscribe"]["code"] < 2500  # the SDK does not try again
            assert port.hub.watched() == {"inbox:a": 1, "inbox:b": 1}
            assert "leave" in await next_push(other)


class TestOtherCommands:
    async def test_ping_send_publish_and_the_unknown(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            assert "ping" in await client.ask(ping={})
            await client.send_text('{"send":{"data":1}}')
            await client.send_text("{}")
            assert await failed(client, publish={"channel": INBOX, "data": {}}) == 103
            assert await failed(client, sub_refresh={"channel": INBOX, "token": ""}) == 104
            assert await failed(client, unheard_of={}) == 104
            assert "ping" in await client.ask(ping={})

    @pytest.mark.parametrize(
        "text",
        ["nope", "[]", '{"id":"x"}', '{"ping":{}}', '{"id":2,"subscribe":{}}', '{"id":2,"rpc":[]}'],
    )
    async def test_what_is_no_command_ends_the_connection(self, tmp_path: Path, text: str) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.send_text(text)
            assert await close_code(client) == 3501

    async def test_half_an_emoji_is_no_fault_of_ours(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """JSON can write half a surrogate pair; UTF-8 cannot."""
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.send_text('{"id":9,"subscribe":{"channel":"inbox:\\ud83d"}}')
            with trio.fail_after(30):
                while 9 not in client._replies and client.close is None:
                    await client.read_some()
        assert not caplog.records


async def test_a_client_that_asks_much_and_reads_nothing_is_closed(tmp_path: Path) -> None:
    """P5: its answers fill its own buffer and no more; it is not listened to, then closed."""
    async with open_port(tmp_path) as port, agent(port) as client:
        await receive_messages(port, 1, 300)
        (session,) = port.sessions
        ask = b'{"id":9,"history":{"channel":"inbox:a","limit":-1}}'
        frame = b"\x81" + bytes([0x80 | len(ask)]) + b"\0\0\0\0" + ask
        with trio.move_on_after(10):
            for _ in range(400):
                await client.stream.send_all(frame)
        await until(lambda: session.wire.pending > BUFFER_BYTES_MAX)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert session.wire.pending < 2 * BUFFER_BYTES_MAX
        look_after(session, session.wire.last_progress_at + STALLED_S + 1, 0)
        assert session.close_reason is Close.SLOW
        await until(lambda: len(port.sessions) == 0)


async def test_a_client_that_comes_back_to_much_in_one_batch_is_answered_in_full(
    tmp_path: Path,
) -> None:
    """P3: closed as "slow" for its own questions, it had come back with the same ones for ever."""
    channels = ["inbox:a", "inbox:b", "inbox:c"]
    async with open_port(tmp_path) as port:
        async with await port.connect() as poster:
            for channel in channels:
                for n in range(10):
                    instance = channel[-1]
                    webhook = text_message(f"{instance}{n}", "x" * 90_000, instance=instance)
                    answer = await poster.call(request(HOOK, as_body(webhook)))
                    assert answer.status == 200
        await until(lambda: port.pipeline.lag == 0)
        async with agent(port) as client:
            epoch = (await subscribed(client, "instance:a"))["epoch"]
            position = {"recover": True, "offset": 0, "epoch": epoch}
            ids = range(10, 10 + len(channels))
            await client.send_text(
                "\n".join(
                    command(id_, subscribe={"channel": channel, **position})
                    for id_, channel in zip(ids, channels, strict=True)
                )
            )
            with trio.fail_after(30):
                while len(client._replies) < len(channels):
                    assert await client.read_some(), client.close
            for id_ in ids:
                result = client._replies[id_]["subscribe"]
                assert (result["recovered"], len(result["publications"])) == (True, 11)
