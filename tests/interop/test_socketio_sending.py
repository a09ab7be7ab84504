"""``send-message`` of the unmodified socket.io-client to the gateway: each text is sent once (P4).

Front ends of this kind also call a send endpoint for the same text; that is the same command.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from tests.interop.socketio_sdk import TRANSPORTS, Sio, open_sio
from tests.support.daemon import WEBHOOK_SECRET, Daemon, running, token
from tests.support.http import Reply, ask
from tests.support.posting import handled, messages_of, metric, post_text, ticket_of
from tests.support.waiting import eventually
from tests.support.webhooks import INSTANCE
from tests.support.wild_gateway import API_KEY, Mischief, WildGateway, wild_gateway

PHONE = "5531988887777"
SETTINGS = {
    "EVOLUTION__API_KEY": API_KEY,
    # A reply that was cut off waits for as long as Evolution may still be sending it.
    "EVOLUTION__TIMEOUT": "2",
    "EVOLUTION__POLL_EVERY": "600",
    "OUTBOX__RATE": "400",
    "OUTBOX__BURST": "400",
    "OUTBOX__RECIPIENT_RATE": "100",
    "OUTBOX__RECIPIENT_BURST": "100",
    "OUTBOX__RETRY_INITIAL": "50ms",
    "OUTBOX__RETRY_MAX": "200ms",
    "OUTBOX__SETTLE_AFTER": "1s",
}
over_each = pytest.mark.parametrize("way", TRANSPORTS)


class Office:
    """A customer who has written, an agent who replies, a colleague who watches."""

    def __init__(self, daemon: Daemon, gateway: WildGateway, ana: Sio, bia: Sio, ticket: str):
        self.daemon = daemon
        self.gateway = gateway
        self.ana = ana
        self.bia = bia
        self.ticket = ticket

    def command(self, content: str, message_id: str) -> dict[str, Any]:
        """As such front ends emit it."""
        return {
            "ticketId": self.ticket,
            "content": content,
            "isInternal": False,
            "userId": "7",
            "senderName": "Ana",
            "messageId": message_id,
        }

    async def post(self, path: str, body: dict[str, Any]) -> Reply:
        return await ask(
            self.daemon,
            "POST",
            path,
            json.dumps(body).encode(),
            Authorization=f"Bearer {token()}",
            Content_Type="application/json",
        )

    def sent(self) -> list[str]:
        """What the customer has got."""
        return [sent.text for sent in self.gateway.sent]

    async def is_sent(self, count: int) -> None:
        """Wait until so many replies have left, and the ticket says so of each."""

        async def are_final() -> bool:
            rows = [row for row in await messages_of(self.daemon, self.ticket) if _is_ours(row)]
            return len(rows) >= count and all(row["status"] == "sent" for row in rows)

        await eventually(are_final, what=f"{count} replies sent")

    async def ours(self) -> list[str]:
        """Replies of the ticket as the store has them."""
        await handled(self.daemon)
        rows = await messages_of(self.daemon, self.ticket)
        return [row["content"] for row in rows if _is_ours(row)]


def _is_ours(row: dict[str, Any]) -> bool:
    return bool(row["direction"] == "out")


@asynccontextmanager
async def office(
    tmp_path: Path, way: str = "upgrade", *, mischief: Mischief | None = None, **settings: str
) -> AsyncIterator[Office]:
    async with wild_gateway(1, mischief or Mischief()) as gateway:
        given = SETTINGS | {"EVOLUTION__URL": gateway.url} | settings
        with running(tmp_path / "state", **given) as daemon:
            host, port = urlsplit(daemon.url).netloc.split(":")
            gateway.webhook = (host, int(port), f"/hook/{WEBHOOK_SECRET}")
            await post_text(daemon, "FIRST", "oi", phone=PHONE)
            ticket = await ticket_of(daemon, PHONE)
            async with open_sio() as ana, open_sio() as bia:
                for sio, sub in ((ana, "ana"), (bia, "bia")):
                    await sio.connect(daemon.url, way=way, token=token(sub))
                    await sio.ask("join-inbox", INSTANCE)
                    await sio.ask("join-ticket", ticket)
                yield Office(daemon, gateway, ana, bia, ticket)


@over_each
async def test_a_reply_is_sent_once_and_followed_on_each_screen(tmp_path: Path, way: str) -> None:
    """Its sender gets the answer and what becomes of it; the colleague gets the message."""
    async with office(tmp_path, way) as it:
        command = it.command("Já saiu!", "m-1")
        answers = [await it.ana.ask("send-message", command) for _ in range(3)]
        assert [answer["message"]["content"] for answer in answers] == ["Já saiu!"] * 3
        assert len({answer["message"]["id"] for answer in answers}) == 1
        assert {answer["messageId"] for answer in answers} == {"m-1"}
        other = await it.ana.ask("send-message", it.command("outra coisa", "m-1"))
        assert other["error"]["code"] == "op_id_conflict"
        await it.is_sent(1)
        assert it.sent() == ["Já saiu!"]
        for sio in (it.ana, it.bia):
            await _hears_that_it_is_sent(sio)
        await post_text(it.daemon, "THANKS", "obrigada", phone=PHONE)
        await it.ana.has_texts("obrigada")
        await it.bia.has_texts("obrigada")
        assert it.bia.texts() == ["Já saiu!", "obrigada"]
        assert it.ana.texts() == ["obrigada"]


async def _hears_that_it_is_sent(sio: Sio) -> None:
    def is_told() -> bool:
        return any(told["status"] == "sent" for told in sio.heard("message-updated"))

    await sio.wait_until(is_told, "message-updated, sent")


@over_each
async def test_a_command_is_repeated_through_crashes_until_it_is_answered(
    tmp_path: Path, way: str
) -> None:
    """The client's own ``retries``: emitted again after each return, sent once each."""
    async with office(tmp_path, way) as it, open_sio() as eli:
        options = {"retries": 100, "ackTimeout": 500}
        await eli.connect(it.daemon.url, way=way, token=token("eli"), **options)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write, eli, it, 30)
            for sent in (5, 12, 20):
                with trio.fail_after(30):
                    while len(it.gateway.sent) < sent:
                        await trio.sleep(0.005)
                await trio.to_thread.run_sync(it.daemon.kill)
                await trio.to_thread.run_sync(it.daemon.start)
        await it.is_sent(30)
        wanted = [f"{n}" for n in range(30)]
        assert it.sent() == wanted
        assert await it.ours() == wanted
        await it.bia.has_texts("29")
        assert it.bia.texts() == wanted


async def _write(sio: Sio, it: Office, count: int) -> None:
    for n in range(count):
        answer = await sio.call(
            "askOnce", name="send-message", args=[it.command(f"{n}", f"op-{n}")]
        )
        assert answer["ok"], answer


PATHS = ["endpoint", "rest", "evolution"]


async def by(path: str, it: Office, text: str) -> Reply:
    """The same text by another path."""
    if path == "endpoint":
        body = {"phone": PHONE, "text": text, "instance": INSTANCE}
        return await it.post("/webhook/send-message", body)
    if path == "evolution":
        return await it.post(f"/api/message/sendText/{INSTANCE}", {"number": PHONE, "text": text})
    body = {"content": text, "op_id": f"rest-{trio.current_time()}"}
    return await it.post(f"/v1/tickets/{it.ticket}/messages", body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("first", ["emit", "post"])
async def test_the_same_text_by_both_paths_is_one_message(
    tmp_path: Path, path: str, first: str
) -> None:
    """At the gateway, in the ticket, and on the colleague's screen."""
    async with office(tmp_path) as it:
        if first == "emit":
            await it.ana.emit("send-message", it.command("Chega amanhã", "m-1"))
            await it.bia.has_texts("Chega amanhã")
            assert (await by(path, it, "Chega amanhã")).status in (200, 201, 202)
        else:
            assert (await by(path, it, "Chega amanhã")).status in (200, 201, 202)
            answer = await it.ana.ask("send-message", it.command("Chega amanhã", "m-1"))
            assert answer["ok"]
        await it.is_sent(1)
        assert (await it.ana.ask("send-message", it.command("Até logo", "m-2")))["ok"]
        await it.is_sent(2)
        assert it.sent() == ["Chega amanhã", "Até logo"]
        assert await it.ours() == ["Chega amanhã", "Até logo"]
        await it.bia.has_texts("Até logo")
        assert it.bia.texts() == ["Chega amanhã", "Até logo"]
        second = "socketio" if first == "post" else "rest" if path == "rest" else "endpoint"
        joined = f'evorelay_commands_joined_total{{path="{second}"}}'
        assert await metric(it.daemon, joined) == 1


async def test_both_at_once_are_one_message(tmp_path: Path) -> None:
    """As such front ends do it: emitted and posted in the same moment, text after text."""
    async with office(tmp_path) as it:
        for n in range(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(it.ana.ask, "send-message", it.command(f"dupla {n}", f"m-{n}"))
                nursery.start_soon(by, PATHS[n % 3], it, f"dupla {n}")
        wanted = [f"dupla {n}" for n in range(10)]
        await it.is_sent(10)
        assert it.sent() == wanted
        assert await it.ours() == wanted
        await it.bia.has_texts("dupla 9")
        assert it.bia.texts() == wanted


async def test_a_text_meant_twice_is_sent_twice(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        for n in range(2):
            await it.ana.ask("send-message", it.command("ok", f"m-{n}"))
            await by("endpoint", it, "ok")
        await it.is_sent(2)
        assert it.sent() == ["ok", "ok"]


async def test_switched_off_each_is_a_message_of_its_own(tmp_path: Path) -> None:
    async with office(tmp_path, OUTBOX__SAME_COMMAND_WITHIN="0") as it:
        await it.ana.ask("send-message", it.command("duas vezes", "m-1"))
        await by("endpoint", it, "duas vezes")
        await it.is_sent(2)
        assert it.sent() == ["duas vezes", "duas vezes"]


@over_each
async def test_what_is_refused_is_told_to_who_asked(tmp_path: Path, way: str) -> None:
    async with office(tmp_path, way) as it:
        for wrong in ({"content": ""}, {"content": "x" * 70_000}, {"content": None}):
            answer = await it.ana.ask("send-message", it.command("x", "w") | wrong)
            assert (answer["ok"], answer["error"]["code"]) == (False, "bad_request"), wrong
        await it.ana.emit("send-message", it.command("", "w"))
        assert (await it.ana.event("error"))["event"] == "send-message"
        assert it.sent() == []
        assert it.bia.texts() == []
