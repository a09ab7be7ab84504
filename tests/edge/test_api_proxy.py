"""``/api/*``: what passes to Evolution, for whom, and what comes back (P7)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.edge.http_world import EVOLUTION_KEY, World, error_of, open_world, text_of, token
from tests.edge.test_http_replies import ANA, open_office


class Recorder:
    """Answers every request with the same bytes and keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        while len(body) < (lengths or [0])[0]:
            body += await stream.receive_some()
        self.requests.append(head + b"\r\n\r\n" + body)
        await stream.send_all(self.answer)
        await stream.aclose()


def answered(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def recorded(tmp_path: Path, answer: bytes) -> AsyncIterator[tuple[World, Recorder]]:
    """A world whose Evolution answers everything alike; it has the instance ``loja``."""
    recorder = Recorder(answer)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_tcp, recorder.serve, 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        async with open_world(tmp_path, evolution=f"http://127.0.0.1:{port}/evo") as world:
            await world.message(ANA, "Oi")
            yield world, recorder
        nursery.cancel_scope.cancel()


async def test_a_call_passes_with_our_key_and_nothing_of_the_callers(tmp_path: Path) -> None:
    async with recorded(tmp_path, answered(b'[{"id": 1}]')) as (world, evolution):
        credential = token()
        response = await world.ask(
            "/api/chat/findChats/loja?x=1&instanceName=other",
            method="POST",
            token=credential,
            body={"where": {"a": 1}},
            headers={"Cookie": "session=1", "X-Own": "yes", "apikey": "the-callers-own"},
        )
        assert response.status_code == 200
        assert await response.get_json() == [{"id": 1}]
        (request,) = evolution.requests
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /evo/chat/findChats/loja HTTP/1.1\r\n")
        assert f"apikey: {EVOLUTION_KEY}".encode() in head.lower()
        assert json.loads(body) == {"where": {"a": 1}}
        for foreign in (credential.encode(), b"session=1", b"x-own", b"the-callers-own"):
            assert foreign not in request.lower()


async def test_secrets_in_an_answer_do_not_come_out(tmp_path: Path) -> None:
    rows = [
        {"name": "loja", "token": "T-OF-LOJA", "Chatwoot": {"token": "T-OF-CHATWOOT"}},
        {"name": "outra", "note": f"key {EVOLUTION_KEY}"},
    ]
    async with recorded(tmp_path, answered(json.dumps(rows).encode())) as (world, _):
        response = await world.ask("/api/instance/fetchInstances", token=token(instances=["loja"]))
        assert await response.get_json() == [{"name": "loja", "Chatwoot": {}}]
        text = await text_of(await world.ask("/api/instance/fetchInstances", token=token()))
        assert "outra" in text
        assert EVOLUTION_KEY not in text
        assert "T-OF" not in text
        assert "set-cookie" not in response.headers


async def test_the_webhooks_address_is_for_supervisors_and_masked(tmp_path: Path) -> None:
    registration = {
        "url": "https://relay.example/hook/THE-SECRET",
        "headers": {"X-Webhook-Secret": "THE-SECRET"},
        "enabled": True,
    }
    async with recorded(tmp_path, answered(json.dumps(registration).encode())) as (world, _):
        refused = await world.ask("/api/webhook/find/loja", token=token())
        assert await error_of(refused) == (403, "forbidden")
        text = await text_of(await world.ask("/api/webhook/find/loja", token=token("supervisor")))
        assert '"enabled":true' in text
        assert "THE-SECRET" not in text


@pytest.mark.parametrize(
    ("method", "path", "role", "status"),
    [
        ("GET", "chat/findChats/outra", "agent", 404),
        ("GET", "chat/findChats/nothing", "agent", 404),
        ("GET", "instance/fetchInstances?instanceName=outra", "agent", 404),
        ("GET", "instance/connect/loja", "agent", 403),
        ("PUT", "instance/restart/loja", "agent", 403),
        ("DELETE", "instance/logout/loja", "admin", 405),
        ("DELETE", "instance/delete/loja", "admin", 405),
        ("POST", "instance/create", "admin", 404),
        ("POST", "instance/create/loja", "admin", 404),
        ("POST", "webhook/set/loja", "admin", 404),
        ("POST", "settings/set/loja", "admin", 404),
        ("POST", "chat/updateMessage/loja", "admin", 404),
        ("POST", "message/sendPoll/loja", "admin", 403),
        ("POST", "message/sendText/outra", "agent", 404),
        ("GET", "message/sendText/loja", "agent", 405),
        ("POST", "instance/connectionState/loja", "agent", 405),
        ("GET", "chat/findChats/loja/../../instance/fetchInstances", "agent", 404),
        ("GET", "chat/findChats/%2e%2e", "admin", 404),
        ("GET", "", "admin", 404),
    ],
)
async def test_nothing_else_passes(
    tmp_path: Path, method: str, path: str, role: str, status: int
) -> None:
    """P7: not another's instance, not without the role, and nothing that is not in the table."""
    async with recorded(tmp_path, answered(b"{}")) as (world, evolution):
        who = token(role, "*" if role == "admin" else ["loja"])
        body = {"number": ANA, "text": "Oi"} if method == "POST" else None
        response = await world.ask(f"/api/{path}", method=method, token=who, body=body)
        assert response.status_code == status
        assert "error" in await response.get_json()
        assert evolution.requests == []


async def test_nobody_passes_without_a_credential(tmp_path: Path) -> None:
    async with recorded(tmp_path, answered(b"{}")) as (world, evolution):
        for path in ("chat/findChats/loja", "message/sendText/loja", "no/such/call"):
            response = await world.ask(f"/api/{path}", method="POST", body={})
            assert await error_of(response) == (401, "unauthorized")
        nobody = await world.ask("/api/chat/findChats/loja", token=token(role=None))
        assert await error_of(nobody) == (403, "forbidden")
        assert evolution.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        answered(b"<html>Bad Gateway</html>", "502 Bad Gateway"),
        answered(b'{"half": '),
        answered(b"", "302 Found", "Location: http://127.0.0.1:9/elsewhere"),
        answered(b'"' + b"x" * (4 * 1024 * 1024) + b'"'),
        answered(b'{"error": "Unauthorized"}', "401 Unauthorized"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"",
    ],
    ids=["html", "half-json", "redirect", "too-large", "our-key", "cut", "nothing"],
)
async def test_what_is_no_answer_is_a_clear_error(tmp_path: Path, answer: bytes) -> None:
    async with recorded(tmp_path, answer) as (world, evolution):
        response = await world.ask("/api/chat/findChats/loja", token=token())
        assert await error_of(response) == (502, "gateway")
        text = await text_of(response)
        assert EVOLUTION_KEY not in text
        assert "elsewhere" not in text
        assert len(evolution.requests) == 1


async def test_evolutions_own_errors_pass(tmp_path: Path) -> None:
    said = b'{"status":400,"error":"Bad Request","response":{"message":["no such chat"]}}'
    async with recorded(tmp_path, answered(said, "400 Bad Request")) as (world, _):
        response = await world.ask("/api/chat/findChats/loja", token=token())
        assert response.status_code == 400
        assert json.loads(await text_of(response)) == json.loads(said)


async def test_an_answer_without_a_body_has_none(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    async with recorded(tmp_path, answer) as (world, _):
        response = await world.ask("/api/chat/findChats/loja", token=token())
        assert (response.status_code, await text_of(response)) == (204, "")


async def test_without_an_evolution_it_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        response = await world.ask("/api/chat/findChats/loja", token=token())
        assert await error_of(response) == (502, "gateway")
        assert "evolution.url" in await text_of(response)


@pytest.mark.parametrize(
    "body",
    [
        {"number": ANA, "text": "Oi", "delay": 0, "linkPreview": True},
        {"number": ANA, "text": "Oi", "mentionsEveryOne": False, "mentioned": []},
        {"number": ANA, "textMessage": {"text": "Oi"}, "options": {"presence": "composing"}},
        {"number": f"{ANA}@s.whatsapp.net", "text": "Oi"},
    ],
)
async def test_a_text_goes_through_the_outbox_and_is_answered_in_evolutions_shape(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    """P4: nothing is sent past the lanes."""
    async with open_office(tmp_path) as (world, simulator, instance):
        response = await world.ask(
            f"/api/message/sendText/{instance}", method="POST", token=token(), body=body
        )
        assert response.status_code == 201
        answer = await response.get_json()
        (sent,) = simulator.sent()
        assert answer["key"] == {
            "remoteJid": f"{ANA}@s.whatsapp.net",
            "fromMe": True,
            "id": sent.id,
        }
        page = await world.get(f"/v1/tickets?instance={instance}", token())
        assert page["tickets"][0]["last_message"] == "Oi"


async def test_a_place_on_the_equator_is_a_place(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        response = await world.ask(
            "/api/message/sendLocation/loja",
            method="POST",
            token=token(),
            body={"number": ANA, "name": "", "latitude": 0, "longitude": 0.0},
        )
        assert response.status_code == 202, await text_of(response)


async def test_what_waits_and_what_fails_is_said(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        response = await world.ask(
            "/api/message/sendText/loja",
            method="POST",
            token=token(),
            body={"number": ANA, "text": "Oi"},
        )
        assert response.status_code == 202
        assert (await response.get_json())["queued"] is True
    async with open_office(tmp_path / "other") as (world, simulator, instance):
        simulator.misbehave("not-on-whatsapp", count=4)
        response = await world.ask(
            f"/api/message/sendText/{instance}",
            method="POST",
            token=token(),
            body={"number": ANA, "text": "Oi"},
        )
        assert response.status_code == 422
        assert (await response.get_json())["error"]["code"] == "not_on_whatsapp"


@pytest.mark.parametrize(
    ("call", "body", "says"),
    [
        ("sendText", {"text": "Oi"}, "number"),
        ("sendText", {"number": True, "text": "Oi"}, "number"),
        ("sendText", {"number": "120363041234567890@g.us", "text": "Oi"}, "by REST"),
        ("sendText", {"number": "12", "text": "Oi"}, "number: "),
        ("sendText", {"number": ANA}, "text: "),
        ("sendText", {"number": ANA, "text": ["Oi"]}, "text: "),
        ("sendText", {"number": ANA, "text": " "}, "text: "),
        ("sendText", {"number": ANA, "text": "Oi", "mentionsEveryOne": True}, "mentionsEveryOne: "),
        ("sendText", {"number": ANA, "text": "Oi", "mentioned": [ANA]}, "mentioned: "),
        (
            "sendText",
            {"number": ANA, "text": "Oi", "options": {"mentions": {"everyOne": True}}},
            "mentions: ",
        ),
        ("sendText", {"number": ANA, "text": "x" * 100_000}, "65536"),
        ("sendText", {"number": ANA, "text": "Oi", "delay": "soon"}, '"delay: '),
        ("sendMedia", {"number": ANA, "mediatype": "image", "media": "iVBORw0K"}, "/v1/media"),
        (
            "sendMedia",
            {"number": ANA, "mediatype": "hologram", "media": "https://x.example"},
            "mediatype: ",
        ),
        (
            "sendMedia",
            {"number": ANA, "mediatype": "image", "media": "https://x.example", "caption": 1},
            "caption: ",
        ),
        ("sendLocation", {"number": ANA, "latitude": "", "longitude": 1}, "latitude"),
        ("sendLocation", {"number": ANA, "latitude": "here"}, '"latitude: '),
    ],
)
async def test_a_body_that_cannot_be_sent_is_refused_by_name(
    tmp_path: Path, call: str, body: dict[str, Any], says: str
) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        response = await world.ask(
            f"/api/message/{call}/loja", method="POST", token=token(), body=body
        )
        assert await error_of(response) == (400, "bad_request")
        assert says in await text_of(response)
