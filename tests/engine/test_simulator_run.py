"""The whole simulator against a real receiver: webhooks out, REST calls in, all accounted for."""

import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio

from evorelay.model.errors import ConfigError
from evorelay.simulator.ledger import Totals
from evorelay.simulator.options import SimulatorOptions, demo_options
from evorelay.simulator.run import run
from tests.webhook_receiver import Receiver, Request, open_receiver

KEY = {"apikey": "simulated-evolution"}
V2, BUSINESS, V1 = "loja-centro", "loja-online", "suporte"


class Simulated:
    def __init__(self, receiver: Receiver, client: httpx.AsyncClient) -> None:
        self.receiver = receiver
        self.client = client

    async def post(self, path: str, body: Any, headers: dict[str, str] = KEY) -> httpx.Response:
        return await self.client.post(path, json=body, headers=headers)

    async def get(self, path: str, headers: dict[str, str] = KEY) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = (await self.get("/simulator/ledger", {})).json()
        return ledger


@asynccontextmanager
async def _simulated(**changed: Any) -> AsyncIterator[Simulated]:
    async with open_receiver() as receiver, trio.open_nursery() as nursery:
        options = SimulatorOptions(
            **{"target": receiver.url, "listen": "127.0.0.1:0", "shuffle": 0.0, **changed}
        )
        simulator = await nursery.start(partial(run, options))
        async with httpx.AsyncClient(base_url=simulator.url, trust_env=False, timeout=60) as client:
            yield Simulated(receiver, client)
        nursery.cancel_scope.cancel()


def _message_ids(receiver: Receiver) -> set[tuple[str, str]]:
    """Of messages, not of the changes that come in the shape of one."""
    return {
        (body["instance"], body["data"]["key"]["id"])
        for event in ("messages.upsert", "send.message")
        for body in receiver.of(event)
        if not {"reactionMessage", "editedMessage", "secretEncryptedMessage", "pollUpdateMessage"}
        & set(body["data"]["message"])
    }


async def _until(condition: Any) -> None:
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.01)


async def test_every_emitted_webhook_is_received_and_counted() -> None:
    seen: list[Totals] = []
    async with open_receiver() as receiver:
        options = SimulatorOptions(
            receiver.url, rate_per_minute=6000, duration_s=1.2, duplicates=1.0, shuffle=0.0
        )
        totals = await run(options, on_progress=seen.append)
        bodies = Counter(request.body for request in receiver.requests)
    assert totals.emitted == totals.accepted_2xx == sum(bodies.values()) > 40
    repeated = sum(bodies.values()) - len(bodies)
    # At this rate two contacts of one person may be posted in the same millisecond.
    assert totals.duplicates <= repeated <= totals.duplicates + 5
    assert (totals.in_flight, totals.dropped, totals.retried) == (0, 0, 0)
    ids = _message_ids(receiver)
    assert len(ids) == totals.unique_messages > 10
    assert seen[-1] == totals


async def test_the_ledger_accounts_for_every_message() -> None:
    async with _simulated(rate_per_minute=6000) as simulated:
        await _until(lambda: len(simulated.receiver.of("messages.upsert")) > 20)
        ledger = await simulated.ledger()
    totals = ledger["totals"]
    settled = totals["accepted_2xx"] + totals["dropped"] + totals["lost_by_redirect"]
    assert totals["emitted"] == settled + totals["in_flight"]
    accepted = {(m["instance"], m["id"]) for m in ledger["messages"] if m["accepted"]}
    received = _message_ids(simulated.receiver)
    assert accepted <= received
    assert len(ledger["messages"]) == totals["unique_messages"]


@pytest.mark.parametrize(
    ("instance", "body", "text_at"),
    [
        (V2, {"number": "5511988880001", "text": "Oi 😀"}, ("conversation",)),
        (BUSINESS, {"number": "5511988880001", "text": "Oi 😀"}, ("conversation",)),
        (
            V1,
            {"number": "5511988880001", "textMessage": {"text": "Oi 😀"}},
            ("extendedTextMessage", "text"),
        ),
    ],
)
async def test_a_sent_text_is_answered_and_comes_back_as_webhooks(
    instance: str, body: dict[str, Any], text_at: tuple[str, ...]
) -> None:
    async with _simulated() as simulated:
        answer = await simulated.post(f"/message/sendText/{instance}", body)
        sent = answer.json()
        assert answer.status_code == 201
        assert sent["key"]["fromMe"] is True

        def echoes() -> list[dict[str, Any]]:
            return [
                echo["data"]
                for echo in simulated.receiver.of("send.message")
                if echo["data"]["key"]["id"] == sent["key"]["id"]
            ]

        await _until(echoes)
        text: Any = echoes()[0]["message"]
        for field in text_at:
            text = text[field]
        assert text == "Oi 😀"
        found = await simulated.post(
            f"/chat/findMessages/{instance}", {"where": {"key": {"id": sent["key"]["id"]}}}
        )
        rows = found.json() if instance == V1 else found.json()["messages"]["records"]
        assert [row["key"]["id"] for row in rows] == [sent["key"]["id"]]


async def test_a_status_follows_a_sent_text() -> None:
    async with _simulated() as simulated:
        body = {"number": "5511988880001", "text": "Oi"}
        sent = (await simulated.post(f"/message/sendText/{V2}", body)).json()["key"]["id"]
        await _until(
            lambda: any(
                u["data"]["keyId"] == sent
                for u in simulated.receiver.of("messages.update")
                if u["instance"] == V2
            )
        )


async def test_an_unknown_instance_is_404_before_the_key_is_looked_at() -> None:
    async with _simulated() as simulated:
        wrong = {"apikey": "wrong"}
        body = {"number": "5511988880001", "text": "x"}
        missing = await simulated.post("/message/sendText/nope", body, wrong)
        assert missing.status_code == 404
        assert missing.json()["response"]["message"] == ['The "nope" instance does not exist']
        assert (await simulated.post(f"/message/sendText/{V2}", body, wrong)).status_code == 401
        assert (await simulated.get("/instance/fetchInstances", {})).status_code == 401
        assert (await simulated.get("/no/such/route")).status_code == 404


async def test_an_instances_own_token_works_for_it_alone() -> None:
    async with _simulated() as simulated:
        rows = (await simulated.get("/instance/fetchInstances")).json()
        token = {"apikey": next(row["token"] for row in rows if row.get("name") == V2)}
        state = await simulated.get(f"/instance/connectionState/{V2}", token)
        assert state.json()["instance"]["instanceName"] == V2
        other = await simulated.get(f"/instance/connectionState/{BUSINESS}", token)
        assert other.status_code == 401
        assert {row["instance"]["instanceName"] for row in rows if "instance" in row} == {V1}


@pytest.mark.parametrize(
    ("instance", "body", "message"),
    [
        (V2, {"text": "x"}, [['instance requires property "number"']]),
        (
            V2,
            {"number": "55", "textMessage": {"text": "x"}},
            [['instance requires property "text"']],
        ),
        (V1, {"number": "55", "text": "x"}, [['instance requires property "textMessage"']]),
        (V2, {"number": "55", "text": "  "}, ["Text is required"]),
        (V2, ["x"], ["Bad request"]),
    ],
)
async def test_a_bad_body_is_400_in_evolutions_words(
    instance: str, body: Any, message: Any
) -> None:
    async with _simulated() as simulated:
        answer = await simulated.post(f"/message/sendText/{instance}", body)
        assert answer.status_code == 400
        assert answer.json() == {
            "status": 400,
            "error": "Bad Request",
            "response": {"message": message},
        }


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("connection-closed", 400, ["Error: Connection Closed"]),
        ("timed-out", 400, ["Error: Timed Out"]),
        ("500", 500, "Internal server error"),
        (
            "not-on-whatsapp",
            400,
            [{"jid": "5511988880001@s.whatsapp.net", "exists": False, "number": "5511988880001"}],
        ),
    ],
)
async def test_it_misbehaves_as_often_as_asked(kind: str, status: int, message: Any) -> None:
    async with _simulated() as simulated:
        body = {"number": "5511988880001", "text": "x"}
        await simulated.post("/simulator/misbehave", {"kind": kind, "count": 2})
        for _ in range(2):
            answer = await simulated.post(f"/message/sendText/{V2}", body)
            assert answer.status_code == status
            assert answer.json()["response"]["message"] == message
        assert (await simulated.post(f"/message/sendText/{V2}", body)).status_code == 201


async def test_a_failed_send_may_have_gone_out_all_the_same() -> None:
    """P4 must settle such an attempt, so a test must be able to cause it."""
    async with _simulated() as simulated:
        trouble = {"kind": "timed-out", "sent": True}
        await simulated.post("/simulator/misbehave", trouble)
        body = {"number": "5511988880001", "text": "na dúvida"}
        assert (await simulated.post(f"/message/sendText/{V2}", body)).status_code == 400
        await _until(
            lambda: any(
                echo["data"]["message"].get("conversation") == "na dúvida"
                for echo in simulated.receiver.of("send.message")
            )
        )


async def test_a_hanging_send_never_answers_and_holds_nobody_else() -> None:
    async with _simulated() as simulated:
        await simulated.post("/simulator/misbehave", {"kind": "hang"})
        body = {"number": "5511988880001", "text": "x"}
        with pytest.raises(httpx.ReadTimeout):
            await simulated.client.post(
                f"/message/sendText/{V2}", json=body, headers=KEY, timeout=2
            )
        assert (await simulated.post(f"/message/sendText/{V2}", body)).status_code == 201


async def test_an_unknown_misbehaviour_is_refused() -> None:
    async with _simulated() as simulated:
        answer = await simulated.post("/simulator/misbehave", {"kind": "explode"})
        assert answer.status_code == 400


FUTURE = {"gte": "2099-01-01T00:00:00Z", "lte": "2099-01-02T00:00:00Z"}


async def test_found_messages_come_in_pages_and_by_time() -> None:
    async with _simulated() as simulated:
        for number in range(3):
            body = {"number": "5511988880001", "text": f"n{number}"}
            await simulated.post(f"/message/sendText/{V2}", body)
        jid = {"key": {"remoteJid": "5511988880001@s.whatsapp.net"}}
        path = f"/chat/findMessages/{V2}"
        await _until(lambda: len(simulated.receiver.of("send.message")) >= 3)
        query = {"where": jid, "page": 1, "offset": 2}
        page = (await simulated.post(path, query)).json()["messages"]
        assert (page["total"], page["pages"], len(page["records"])) == (3, 2, 2)
        assert page["records"][0]["message"]["conversation"] == "n2"
        future = {**jid, "messageTimestamp": FUTURE}
        none = (await simulated.post(path, {"where": future})).json()["messages"]
        assert none["total"] == 0
        wrong = {"where": {"messageTimestamp": {"gte": "yesterday", "lte": "today"}}}
        assert (await simulated.post(path, wrong)).status_code == 400


async def test_a_webhook_can_be_moved_and_is_found_where_it_is() -> None:
    async with _simulated() as simulated, open_receiver() as other:
        moved = {"enabled": True, "url": other.url, "byEvents": True, "events": ["SEND_MESSAGE"]}
        answer = await simulated.post(f"/webhook/set/{V2}", {"webhook": moved})
        assert answer.status_code == 201
        found = (await simulated.get(f"/webhook/find/{V2}")).json()
        assert (found["url"], found["webhookByEvents"]) == (other.url, True)
        await simulated.post(f"/message/sendText/{V2}", {"number": "5511988880001", "text": "x"})
        await _until(lambda: other.requests)
        assert other.requests[0].path == "/hook/a-secret/send-message"
        assert other.requests[0].json["destination"] == other.url


async def test_the_webhook_of_2_x_must_be_wrapped_and_name_events() -> None:
    async with _simulated() as simulated:
        flat = await simulated.post(f"/webhook/set/{V2}", {"url": "http://x", "events": []})
        assert flat.json()["response"]["message"] == [['instance requires property "webhook"']]
        bare = {"webhook": {"enabled": True, "url": "http://x"}}
        assert (await simulated.post(f"/webhook/set/{V2}", bare)).status_code == 500
        v1 = {"url": "http://x", "webhook_by_events": True, "events": ["SEND_MESSAGE"]}
        assert (await simulated.post(f"/webhook/set/{V1}", v1)).status_code == 201


async def test_a_port_in_use_is_one_clear_line() -> None:
    async with open_receiver() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        options = SimulatorOptions(receiver.url, listen=f"127.0.0.1:{port}")
        with pytest.raises(ConfigError, match=r"^listen: cannot listen on 127\.0\.0\.1:"):
            await run(options)


MAIN = """
import sys
from evorelay.simulator.options import SimulatorOptions, demo_options
from evorelay.simulator.run import main
duration = float(sys.argv[2]) if len(sys.argv) > 2 else None
sys.exit(main(SimulatorOptions(sys.argv[1], duration_s=duration), json_output=True))
"""


async def test_the_command_stops_on_sigterm_and_prints_its_totals() -> None:
    async with open_receiver() as receiver, trio.open_nursery() as nursery:
        process = await nursery.start(
            lambda task_status: trio.run_process(
                [sys.executable, "-c", MAIN, receiver.url],
                capture_stdout=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                task_status=task_status,
            )
        )
        await _until(lambda: receiver.requests)
        process.send_signal(signal.SIGTERM)
        output = b"".join([chunk async for chunk in process.stdout])
        assert await process.wait() == 0
    assert b'"accepted_2xx":' in output


async def test_the_command_fails_when_nothing_was_accepted() -> None:
    def refuse(request: Request) -> int:
        return 401

    async with open_receiver(refuse) as receiver:
        command = [sys.executable, "-c", MAIN, receiver.url, "0.5"]
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False
        )
    assert done.returncode == 1
    assert b"No webhook was accepted" in done.stderr
    assert b"a-secret" not in done.stderr + done.stdout


async def test_it_serves_on_a_socket_that_listens_already() -> None:
    """``serve --demo`` must know the address before anything runs."""
    async with open_receiver() as receiver, trio.open_nursery() as nursery:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        options = demo_options(receiver.url)
        simulator = await nursery.start(partial(run, options, listener=listener))
        assert simulator.url == f"http://127.0.0.1:{port}"
        name = simulator.instances[0]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                f"{simulator.url}/message/sendText/{name}",
                json={"number": "5511988880001", "text": "Oi"},
                headers={"apikey": options.api_key},
            )
        assert answer.status_code in (201, 500)  # 500: not connected yet
        nursery.cancel_scope.cancel()
