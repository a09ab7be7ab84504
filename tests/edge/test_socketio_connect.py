"""Who is let in by Socket.IO, for how long, and what who comes back is told (contract §6)."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.edge.auth import Authenticator
from evorelay.edge.socketio import connection
from evorelay.model.close import Close
from evorelay.model.errors import Code, Refusal, StoreUnavailable
from evorelay.model.principal import Principal
from evorelay.protocol.socketio import read_offset
from evorelay.relay.room_session import RoomSession
from evorelay.relay.sessions import EXPIRY_GRACE_S, look_after
from tests.edge.harness import Port, open_port, token, until
from tests.edge.socketio_world import (
    TRANSPORTS,
    PollingTransport,
    TransportName,
    agent,
    come_back,
    customer_writes,
    stranger,
)
from tests.support.socketio import Gone, SocketClient, WebSocketTransport

FOREIGN = "another-secret-" + "x" * 32


async def ends(client: SocketClient) -> int | None:
    """Wait until the server ends the connection; the WebSocket's close code."""
    with trio.fail_after(30):
        while True:
            try:
                await client.transport.receive()
            except Gone:
                break
    transport = client.transport
    close = transport.close if isinstance(transport, WebSocketTransport) else None
    return None if close is None else close.code


def the_session(port: Port) -> RoomSession:
    (session,) = port.sessions
    assert isinstance(session, RoomSession)
    return session


def log_id_of(place: str) -> int:
    found = read_offset(place)
    assert found is not None
    return found[0]


async def hears_all(client: SocketClient) -> None:
    while True:
        await client.next_event()


class TestCredentials:
    @pytest.mark.parametrize("over", TRANSPORTS)
    @pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer  {}"])
    async def test_a_good_token_lets_in(
        self, tmp_path: Path, form: str, over: TransportName
    ) -> None:
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            answer = await client.connect(token=form.format(token("ana", ttl_s=600)))
            assert set(answer) == {"sid", "pid"}
            name, told, place = await client.next_event()
            assert name == "signed-in"
            assert (told["user"], told["role"], told["recovered"]) == ("ana", "admin", False)
            assert told["expiresAt"] == the_session(port).principal.expires_at
            assert read_offset(place) == (0, port.epoch)
            assert len(port.sessions) == 1
        await until(lambda: len(port.sessions) == 0 or over == "polling")

    async def test_the_secret_id_is_not_the_public_one(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, stranger(port) as client:
            answer = await client.connect(token=token())
            assert len(answer["pid"]) >= 20
            assert answer["pid"] not in (answer["sid"], the_session(port).id)
            assert answer["sid"] == the_session(port).id

    @pytest.mark.parametrize(
        "auth",
        [
            {},
            {"token": ""},
            {"token": None},
            {"token": "no.token.atall"},
            {"token": "x" * 9000},
            {"token": "é"},
            {"token": "Bearer "},
            {"token": ["x"]},
            {"token": 5},
            {"token": {"$ne": ""}},
            {"Token": token()},
            {"token": token(secret=FOREIGN)},
            {"token": token(secret=FOREIGN), "pid": "p", "offset": "0-e"},
        ],
        ids=lambda auth: json.dumps(auth)[:24],
    )
    async def test_a_bad_one_is_told_so_and_may_be_followed_by_a_good_one(
        self, tmp_path: Path, auth: dict[str, Any]
    ) -> None:
        """P7"""
        async with open_port(tmp_path) as port, stranger(port) as client:
            answer = await client.connect(**auth)
            assert answer["message"] == "unauthorized"
            assert answer["data"]["code"] == "unauthorized"
            assert answer["data"]["message"]
            assert len(port.sessions) == 0
            assert "sid" in await client.connect(token=token())

    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_an_expired_one_says_why(self, tmp_path: Path, over: TransportName) -> None:
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            answer = await client.connect(token=token(ttl_s=-1))
            assert (answer["message"], answer["data"]["code"]) == ("unauthorized", "token_expired")

    async def test_who_could_not_be_judged_may_come_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After ``connect_error`` a client stays away; keys that cannot be had are our trouble."""

        async def authenticate(self: Authenticator, token: str) -> Principal:
            raise Refusal(Code.UNAVAILABLE, "no keys")

        monkeypatch.setattr(Authenticator, "authenticate", authenticate)
        async with open_port(tmp_path) as port, stranger(port) as client:
            await client.transport.send('40{"token":"x"}')
            code = await ends(client)
            assert code == Close.SERVER_ERROR.code

    async def test_a_store_that_is_away_ends_it_for_another_try(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(self: RoomSession, since: object) -> None:
            raise StoreUnavailable("disk")

        monkeypatch.setattr(RoomSession, "open", away)
        async with open_port(tmp_path) as port, stranger(port) as client:
            await client.transport.send(f'40{{"token":"{token()}"}}')
            assert await ends(client) == Close.SERVER_ERROR.code
            assert port.hub.watched() == {}

    async def test_the_header_of_the_handshake_is_a_credential_too(self, tmp_path: Path) -> None:
        header = f"Authorization: Bearer {token('ana')}"
        async with open_port(tmp_path) as port, await port.connect() as get:
            async with await port.connect() as post:
                client = SocketClient(await PollingTransport.open(get, post, header))
                assert "sid" in await client.connect()
                assert the_session(port).principal.sub == "ana"

    async def test_a_proxys_own_password_is_not_taken_for_a_token(self, tmp_path: Path) -> None:
        async with open_port(tmp_path, auth={"mode": "open"}) as port, await port.connect() as get:
            async with await port.connect() as post:
                password = "Authorization: Basic b3A6MTIz"
                transport = await PollingTransport.open(get, post, password, host="localhost")
                assert "sid" in await SocketClient(transport).connect()

    async def test_open_mode_needs_no_token(self, tmp_path: Path) -> None:
        async with open_port(tmp_path, auth={"mode": "open"}) as port:
            async with stranger(port, host=f"127.0.0.1:{port.address[1]}") as client:
                assert "sid" in await client.connect()
                told = await client.event("signed-in")
                assert (told["role"], told["expiresAt"]) == ("admin", None)

    async def test_open_mode_is_closed_to_another_host_name(self, tmp_path: Path) -> None:
        """P7: a page whose name resolves to this machine has another ``Host``."""
        async with open_port(tmp_path, auth={"mode": "open"}) as port:
            async with stranger(port, host="evil.example") as client:
                assert (await client.connect())["message"] == "unauthorized"

    async def test_a_token_that_grants_nothing_sees_nothing(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port, nothing=True) as client:
            ticket_id = await customer_writes(port)
            answer = await client.ask("join-ticket", ticket_id)
            assert answer["error"]["code"] == "not_found"
            assert not port.hub.watched()


class TestPatience:
    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_whoever_says_nothing_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: TransportName
    ) -> None:
        monkeypatch.setattr(connection, "STALE_AFTER_S", 0.1)
        async with open_port(tmp_path) as port, stranger(port, over) as client:
            assert await ends(client) == (Close.STALE.code if over == "websocket" else None)

    async def test_bad_tokens_do_not_prolong_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "STALE_AFTER_S", 0.2)
        async with open_port(tmp_path) as port, stranger(port) as client:
            with trio.move_on_after(30) as patience, suppress(Gone):
                while True:
                    await client.connect(token="bad")
                    await trio.sleep(0.01)
            assert not patience.cancelled_caught

    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_who_disconnects_may_connect_anew(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        async with open_port(tmp_path) as port, agent(port, "ana", over=over) as client:
            await client.ask("join-inbox", "a")
            await client.transport.send("41")
            await until(lambda: len(port.sessions) == 0)
            assert port.hub.watched() == {}
            assert "sid" in await client.connect(token=token("bia"))
            assert the_session(port).principal.sub == "bia"

    async def test_who_has_disconnected_is_a_stranger(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            monkeypatch.setattr(connection, "STALE_AFTER_S", 0.1)
            await client.transport.send("41")
            assert await ends(client) == Close.STALE.code

    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_draining_ends_strangers_and_sessions(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        async with open_port(tmp_path) as port:
            async with agent(port, over=over) as one, stranger(port, over) as other:
                port.sessions.close_all_asap()
                expected = Close.SHUTDOWN.code if over == "websocket" else None
                assert await ends(one) == expected
                assert await ends(other) == expected


MALFORMED = [
    "4abc",
    "4",
    "42{}",
    '42abc["typing"]',
    '42["connect"]',
    '42["disconnect"]',
    "42[]",
    "47",
    '451-["typing"]\x1f',
    '4511-["typing"]',
    "44{}",
    '43["x"]',
    '40{"token":5}',
    '42/other,["typing"]',
    "41/other,",
    '42["typing",' + "[" * 30_000,
]


class TestMalformed:
    @pytest.mark.parametrize("over", TRANSPORTS)
    @pytest.mark.parametrize("packet", MALFORMED, ids=lambda text: ascii(text[:20]))
    async def test_who_does_not_speak_the_protocol_is_closed(
        self, tmp_path: Path, packet: str, over: TransportName
    ) -> None:
        """And nobody else notices."""
        async with open_port(tmp_path) as port, agent(port, "bia") as other:
            async with agent(port, over=over) as client:
                await client.transport.send(packet)
                code = await ends(client)
                assert code == (Close.BAD_REQUEST.code if over == "websocket" else None)
            await until(lambda: len(port.sessions) == 1)
            assert (await other.ask("join-inbox", "a"))["ok"]

    @pytest.mark.parametrize(
        "packets",
        [
            ['42["join-inbox","a"]'],
            ["41"],
            ['430["x"]'],
            ["4abc"],
            [b"x"],
            ['451-["e",{"_placeholder":true,"num":0}]', '42["e"]'],
            ['451-["e",{"_placeholder":true,"num":0}]'],
            ['450-{"token":"x"}'],
            ['451-["e",{"_placeholder":true,"num":1}]', b"x"],
        ],
        ids=lambda packets: ascii(packets[0][:12]),
    )
    async def test_a_stranger_must_begin_with_connect(
        self, tmp_path: Path, packets: list[str | bytes]
    ) -> None:
        async with open_port(tmp_path) as port, stranger(port) as client:
            await client.transport.send(*packets)
            assert await ends(client) == Close.BAD_REQUEST.code
            assert len(port.sessions) == 0

    async def test_attachments_are_bounded(self, tmp_path: Path) -> None:
        """P5: ten of them, a MiB together."""
        async with open_port(tmp_path) as port, agent(port) as client:
            await client.transport.send('452-["e"]', bytes(600_000), bytes(600_000))
            assert await ends(client) == Close.BAD_REQUEST.code

    @pytest.mark.parametrize("namespace", ["/admin", "/random", "/ção", "/a/b?x=1"])
    async def test_there_is_one_namespace(self, tmp_path: Path, namespace: str) -> None:
        async with open_port(tmp_path) as port, stranger(port) as client:
            refused = f'44{namespace},{{"message":"Invalid namespace"}}'
            await client.transport.send(f'40{namespace},{{"token":"{token()}"}}')
            assert await client.packet() == refused
            await client.connect(token=token())
            await client.event("signed-in")
            await client.transport.send(f"40{namespace}")
            assert await client.packet() == refused
            assert len(port.sessions) == 1


class TestComingBack:
    @pytest.mark.parametrize("over", TRANSPORTS)
    async def test_a_client_gets_what_it_missed_in_order_and_goes_on(
        self, tmp_path: Path, over: TransportName
    ) -> None:
        """P3"""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port, over=over) as before:
                await before.ask("join-ticket", ticket_id)
                await customer_writes(port, "heard")
                assert (await before.event("new-message"))["content"] == "heard"
            for n in range(3):
                await customer_writes(port, f"missed {n}")
            async with stranger(port, over) as client:
                *missed, (_, told, place) = await come_back(client, before)
                assert (client.pid, told["recovered"]) == (before.pid, True)
                assert [(name, message["content"]) for name, message, _ in missed] == [
                    ("new-message", "missed 0"),
                    ("new-message", "missed 1"),
                    ("new-message", "missed 2"),
                ]
                places = [log_id_of(event[-1]) for event in [*missed, ("signed-in", place)]]
                assert places == sorted(places)
                await customer_writes(port, "live")
                assert (await client.event("new-message"))["content"] == "live"

    async def test_it_may_be_another_process_that_it_comes_back_to(self, tmp_path: Path) -> None:
        """P3"""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port) as before:
                await before.ask("join-ticket", ticket_id)
                await before.ask("join-inbox", "b")
            await customer_writes(port, "missed")
        async with open_port(tmp_path) as port:
            await customer_writes(port, "missed, too", instance="b")
            async with stranger(port) as client:
                *missed, (_, told, _) = await come_back(client, before)
                assert (client.pid, told["recovered"]) == (before.pid, True)
                said = [told["content"] for name, told, _ in missed if name == "new-message"]
                assert said == ["missed", "missed, too"]
                assert sorted(the_session(port).rooms) == ["inbox:b", f"ticket:{ticket_id}"]

    async def test_the_public_id_stays(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port) as before:
                await before.ask("join-ticket", ticket_id)
                sid = the_session(port).id
            async with stranger(port) as client:
                await come_back(client, before)
                await until(lambda: len(port.sessions) == 1)
                assert the_session(port).id == sid

    async def test_a_connection_that_was_left_behind_ends_when_its_client_is_back(
        self, tmp_path: Path
    ) -> None:
        """A line that broke without a word looks alive to us until its ping is overdue."""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port) as before:
                await before.ask("join-ticket", ticket_id)
                async with stranger(port) as client:
                    await come_back(client, before)
                    with trio.fail_after(30), pytest.raises(Gone):
                        await hears_all(before)
                    assert len(port.sessions) == 1
                    assert port.hub.watched()[f"ticket:{ticket_id}"] == 1
                    await customer_writes(port, "live")
                    assert (await client.event("new-message"))["content"] == "live"

    async def test_a_quiet_session_can_come_back_too(self, tmp_path: Path) -> None:
        """It has a place from its first moment on, though it was told no event."""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port) as before:
                await before.ask("join-ticket", ticket_id)
            await customer_writes(port, "missed")
            async with stranger(port) as client:
                missed = await come_back(client, before)
                assert [name for name, *_ in missed] == ["new-message", "signed-in"]

    @pytest.mark.parametrize("change", ["pid", "offset", "epoch", "no offset", "number", "long"])
    async def test_who_cannot_say_where_it_was_begins_anew(
        self, tmp_path: Path, change: str
    ) -> None:
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port) as before:
                await before.ask("join-ticket", ticket_id)
                pid = before.pid
            auth = {"pid": before.pid, "offset": before.place} | {
                "pid": {"pid": "somebody-elses"},
                "offset": {"offset": "nonsense"},
                "epoch": {"offset": "1-another"},
                "no offset": {"offset": None},
                "number": {"pid": 5, "offset": 5},
                "long": {"pid": "p" * 1000},
            }[change]  # type: ignore[operator]  # JSON of several types
            async with stranger(port) as client:
                answer = await client.connect(token=token(), **auth)
                assert answer["pid"] not in (pid, auth["pid"])
                assert (await client.event("signed-in"))["recovered"] is False
                assert ticket_id not in str(port.hub.watched())

    async def test_another_agent_gets_nothing_of_it(self, tmp_path: Path) -> None:
        """P7: a ``pid`` alone is no credential."""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port, "ana") as before:
                await before.ask("join-ticket", ticket_id)
            await customer_writes(port, "missed")
            async with stranger(port) as client:
                ((name, told, _),) = await come_back(client, before, "bia")
                assert (name, told["recovered"]) == ("signed-in", False)
                assert client.pid != before.pid

    async def test_who_lost_a_right_meanwhile_begins_anew(self, tmp_path: Path) -> None:
        """P7"""
        async with open_port(tmp_path) as port:
            ticket_id = await customer_writes(port)
            async with agent(port, role="agent", instances=["a"]) as before:
                await before.ask("join-ticket", ticket_id)
            await customer_writes(port, "missed")
            async with stranger(port) as client:
                credential = token(role="agent", instances=["b"])
                await client.connect(token=credential, pid=before.pid, offset=before.place)
                name, told, _ = await client.next_event()
                assert (name, told["recovered"]) == ("signed-in", False)


class TestCredentialsEnd:
    async def test_an_expired_session_is_closed_for_the_client_to_come_back(
        self, tmp_path: Path
    ) -> None:
        async with open_port(tmp_path) as port, agent(port, ttl_s=60) as client:
            session = the_session(port)
            assert session.principal.expires_at is not None
            wall = session.principal.expires_at + EXPIRY_GRACE_S + 1
            look_after(session, trio.current_time(), wall)
            assert await ends(client) == Close.EXPIRED.code

    async def test_a_reason_to_stay_away_is_said_as_a_disconnect(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            the_session(port).close_asap(Close.INVALID_TOKEN)
            assert await client.packet() == "41"
            assert await ends(client) == Close.INVALID_TOKEN.code

    async def test_a_fresh_credential_goes_on_without_a_break(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, agent(port, ttl_s=60) as client:
            answer = await client.ask("refresh", {"token": token(ttl_s=6000)})
            assert answer["ok"]
            assert answer["expiresAt"] == the_session(port).principal.expires_at
            look_after(the_session(port), trio.current_time(), answer["expiresAt"])
            assert not the_session(port).is_closed

    @pytest.mark.parametrize(
        ("credential", "code"),
        [
            ("x", "unauthorized"),
            (token(ttl_s=-1), "token_expired"),
            (token("somebody-else"), "unauthorized"),
            (token(secret=FOREIGN), "unauthorized"),
        ],
    )
    async def test_a_bad_one_changes_nothing(
        self, tmp_path: Path, credential: str, code: str
    ) -> None:
        async with open_port(tmp_path) as port, agent(port) as client:
            before = the_session(port).principal
            answer = await client.ask("refresh", credential)
            assert (answer["ok"], answer["error"]["code"]) == (False, code)
            assert the_session(port).principal == before

    async def test_rooms_it_does_not_allow_are_left(self, tmp_path: Path) -> None:
        """P7"""
        async with open_port(tmp_path) as port:
            here = await customer_writes(port, instance="a")
            there = await customer_writes(port, instance="b")
            async with agent(port, role="agent", instances=["a", "b"]) as client:
                for ticket_id in (here, there):
                    assert (await client.ask("join-ticket", ticket_id))["ok"]
                assert (await client.ask("join-inbox", "b"))["ok"]
                fresh = token(role="agent", instances=["a"])
                assert (await client.ask("refresh", {"token": fresh}))["ok"]
                assert await client.event("left-ticket") == {"ticketId": there}
                assert await client.event("left-inbox") == {"instance": "b"}
                await customer_writes(port, "not for us", instance="b")
                await customer_writes(port, "for us", instance="a")
                assert (await client.event("new-message"))["content"] == "for us"
