"""The Evolution client before a server that misbehaves. P4: whether a message may have been sent is
never guessed. P5: no server holds us up or fills our memory. P7: the key stays where it belongs."""

import base64
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.config import EvolutionConfig, EvolutionInstanceConfig, MediaConfig
from evorelay.edge.evolution.client import EvolutionClient, open_gateway
from evorelay.model.errors import ConfigError
from evorelay.model.outcome import FaultKind, GatewayFault, MessageWindow, Registration
from evorelay.model.outgoing import Delivery, Outgoing, OutgoingMedia, Target
from evorelay.relay.blobs import BlobStore
from tests.support.evolution import (
    RawEvolution,
    accepts,
    answer,
    breaks_off,
    hangs,
    open_evolution,
    refuses,
    says,
)

KEY = "sesame-open-the-door"
OK = b'{"key":{"id":"3EB0","remoteJid":"1@s.whatsapp.net"},"status":"PENDING"}'


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await BlobStore.open(tmp_path / "blobs")


@pytest.fixture
async def server() -> AsyncIterator[RawEvolution]:
    async with open_evolution() as opened:
        yield opened


@pytest.fixture
async def gateway(server: RawEvolution, blobs: BlobStore) -> AsyncIterator[EvolutionClient]:
    async with opened(server.url, blobs) as client:
        yield client


@asynccontextmanager
async def opened(url: str, blobs: BlobStore, **more: Any) -> AsyncIterator[EvolutionClient]:
    config = EvolutionConfig(url=url, api_key=KEY, **more)
    media = MediaConfig(max_bytes=3_000_000)
    async with open_gateway(config, media, blobs) as client:
        yield client


def text(content: str = "Olá", number: str = "5511990000001", **more: Any) -> Delivery:
    own_id = more.pop("own_id", None)
    return Delivery(
        number=number, outgoing=Outgoing(type="text", content=content, **more), own_id=own_id
    )


async def failing(call: Awaitable[object]) -> GatewayFault:
    """The fault a call ends in, whose every text is without the key (P7)."""
    with pytest.raises(GatewayFault) as caught:
        await call
    fault = caught.value
    assert KEY not in "".join(traceback.format_exception(fault)) + repr(fault) + fault.message
    return fault


async def test_a_reply_is_posted_with_the_key_and_its_id_comes_back(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    accepted = await gateway.send("loja", text("Olá 😀"))
    assert (accepted.whatsapp_id, accepted.jid) == ("3EB0ACCEPTED", "1@s.whatsapp.net")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/message/sendText/loja")
    assert request.headers["apikey"] == KEY
    assert request.json == {"number": "5511990000001", "text": "Olá 😀"}


@pytest.mark.parametrize(
    ("instance", "path"),
    [
        ("loja 1/é", "/message/sendText/loja%201%2F%C3%A9"),
        ("..", "/message/sendText/%2E%2E"),
        ("a?b#c%2F", "/message/sendText/a%3Fb%23c%252F"),
    ],
)
async def test_no_name_of_an_instance_leads_to_another_path(
    server: RawEvolution, gateway: EvolutionClient, instance: str, path: str
) -> None:
    await gateway.send(instance, text())
    assert server.requests[0].path == path


async def test_connections_are_kept_and_the_version_is_asked_for_once(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    for _ in range(5):
        await gateway.send("loja", text())
    assert (server.connections, server.roots, len(server.requests)) == (1, 1, 5)


async def test_a_base_address_may_have_a_path(blobs: BlobStore) -> None:
    async with open_evolution(path="/evo") as server, opened(f"{server.url}/", blobs) as gateway:
        await gateway.send("loja", text())
        assert server.requests[0].path == "/evo/message/sendText/loja"


async def test_a_server_that_never_answers_leaves_doubt_after_timeout_and_delay(
    server: RawEvolution, gateway: EvolutionClient, mock_clock: trio.testing.MockClock
) -> None:
    server.acts.append(hangs())

    async def pass_time() -> None:
        await server.asked.wait()
        mock_clock.jump(64.9)
        await trio.testing.wait_all_tasks_blocked()
        assert not server.left.is_set()
        mock_clock.jump(0.2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_time)
        fault = await failing(gateway.send("loja", text(delay_ms=5000)))
    assert (fault.kind, fault.code) == (FaultKind.UNKNOWN, "timeout")
    await server.left.wait()


async def test_an_answer_that_drips_is_given_up_at_the_deadline(
    server: RawEvolution, gateway: EvolutionClient, mock_clock: trio.testing.MockClock
) -> None:
    server.acts.append(hangs(answer(201, OK)[:-40]))

    async def pass_time() -> None:
        await server.asked.wait()
        mock_clock.jump(61)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_time)
        fault = await failing(gateway.send("loja", text()))
    assert fault.kind is FaultKind.UNKNOWN
    await server.left.wait()


async def test_cancelling_a_send_closes_its_connection(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.acts.append(hangs())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.send, "loja", text())
        await server.asked.wait()
        nursery.cancel_scope.cancel()
    await server.left.wait()


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 201 Cre",
        answer(201, OK)[:-50],
        answer(201, b'{"key":{"id":"3EB0"')[:-3],
        b"\x16\x03\x01 not HTTP at all\r\n\r\n",
    ],
)
async def test_a_connection_that_breaks_before_the_id_leaves_doubt(
    server: RawEvolution, gateway: EvolutionClient, first: bytes
) -> None:
    server.acts.append(breaks_off(first))
    fault = await failing(gateway.send("loja", text()))
    assert fault.kind is FaultKind.UNKNOWN


async def test_a_connection_that_breaks_after_the_id_is_a_success(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.acts.append(breaks_off(answer(201, OK)[:-10]))
    assert (await gateway.send("loja", text())).whatsapp_id == "3EB0"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<!DOCTYPE html><title>manager</title>"),
        (201, b'{"key":{"id":'),
        (201, b"[]"),
        (201, b'{"message":"An unknown error has occurred.","code":1}'),
        (201, b'{"x":"' + b"y" * 10_000_000 + b'"}'),
        (500, b"<html>nginx</html>"),
        (502, b"<html>nginx</html>"),
        (400, b"half {"),
    ],
)
async def test_an_answer_without_an_id_leaves_doubt(
    server: RawEvolution, gateway: EvolutionClient, status: int, body: bytes
) -> None:
    server.acts.append(says(status, body))
    fault = await failing(gateway.send("loja", text()))
    assert fault.kind is FaultKind.UNKNOWN
    assert server.bytes_sent < 6_000_000  # sockets buffer some MB; the rest was never taken


async def test_an_answer_that_echoes_the_file_is_a_success_unread(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    """With base64 on Evolution's answer holds what was sent (research/evolution.md §4.1)."""
    body = OK[:-1] + b',"message":{"base64":"' + b"A" * 10_000_000 + b'"}}'
    server.acts.append(says(201, body))
    assert (await gateway.send("loja", text())).whatsapp_id == "3EB0"


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    async with open_evolution() as elsewhere:
        server.acts.append(says(307, b"", f"Location: {elsewhere.url}/message/sendText/loja"))
        fault = await failing(gateway.send("loja", text()))
        assert (fault.kind, fault.code) == (FaultKind.GATEWAY_DOWN, "redirect")
        assert elsewhere.connections == 0


async def test_a_redirect_to_a_host_that_cannot_be_is_one_too(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    for location in ("http://xn--/", "http://[::1", "http://:port/", "//"):
        server.acts.append(says(302, b"", f"Location: {location}"))
        assert (await failing(gateway.send("loja", text()))).code == "redirect"
        server.acts.append(says(302, b"", f"Location: {location}"))
        assert (await failing(gateway.connection_state("loja"))).code == "redirect"


async def test_nobody_listening_means_that_nothing_was_sent(blobs: BlobStore) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with opened(f"http://127.0.0.1:{port}", blobs) as gateway:
        fault = await failing(gateway.send("loja", text()))
    assert (fault.kind, fault.code) == (FaultKind.GATEWAY_DOWN, "unreachable")


async def test_retry_after_is_handed_on(server: RawEvolution, gateway: EvolutionClient) -> None:
    server.acts.append(says(429, b"", "Retry-After: 17"))
    fault = await failing(gateway.send("loja", text()))
    assert (fault.kind, fault.retry_after_s) == (FaultKind.RETRY, 17.0)


async def test_proxy_variables_of_the_environment_decide_nothing(
    server: RawEvolution, gateway: EvolutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await gateway.send("loja", text())


async def test_the_key_is_in_no_log_line(
    server: RawEvolution, gateway: EvolutionClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.acts.append(refuses(400, [f'instance requires property "x" {KEY}']))
    await failing(gateway.send("loja", text()))
    await gateway.send("loja", text())
    assert "malformed" in caplog.text  # an operator hears of it
    assert KEY not in caplog.text


async def test_an_older_evolution_gets_its_own_dialect(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.version = "1.8.2"
    await gateway.send("loja", text(delay_ms=10))
    assert server.requests[0].json == {
        "number": "5511990000001",
        "options": {"delay": 10, "presence": "composing"},
        "textMessage": {"text": "Olá"},
    }


async def test_a_mistaken_dialect_is_corrected_by_the_refusal(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.version = None
    server.acts.append(refuses(400, ['instance requires property "textMessage"']))
    await gateway.send("loja", text())
    await gateway.send("loja", text())
    assert ["textMessage" in r.json for r in server.requests] == [False, True, True]
    assert server.roots == 1


async def test_a_server_that_refuses_both_dialects_is_asked_twice(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.acts.append(refuses(400, ['instance requires property "textMessage"']))
    server.acts.append(refuses(400, ['instance requires property "text"']))
    fault = await failing(gateway.send("loja", text()))
    assert (fault.kind, fault.code) == (FaultKind.PERMANENT, "rejected")
    assert len(server.requests) == 2


async def test_our_own_id_is_asked_for_where_evolution_takes_it(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.version = "2.4.0-rc2"
    server.acts.append(accepts("OURS"))
    await gateway.send("loja", text(own_id="OURS"))
    server.acts.append(accepts("wamid.1"))
    await gateway.send("meta", text(own_id="OURS2"))
    await gateway.send("meta", text(own_id="OURS3"))
    await gateway.send("loja", text(own_id="OURS4"))
    asked_for = [request.json.get("messageId") for request in server.requests]
    assert asked_for == ["OURS", "OURS2", None, "OURS4"]


async def test_a_refusal_of_our_own_id_resends_without(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.version = "2.4.0"
    server.acts.append(refuses(400, ['instance is not allowed to have property "messageId"']))
    assert await gateway.send("loja", text(own_id="OURS"))
    assert [request.json.get("messageId") for request in server.requests] == ["OURS", None]


async def test_the_other_form_of_a_number_is_tried_once(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    unknown = refuses(400, {"exists": False})
    server.acts.extend([unknown, accepts("SECOND"), unknown, unknown, unknown])
    accepted = await gateway.send("loja", text(number="5531991234567"))
    assert accepted.whatsapp_id == "SECOND"
    fault = await failing(gateway.send("loja", text(number="5531991234567")))
    assert (fault.kind, fault.code) == (FaultKind.PERMANENT, "not_on_whatsapp")
    await failing(gateway.send("loja", text(number="351912345678")))
    numbers = [request.json["number"] for request in server.requests]
    assert numbers == [*["5531991234567", "553191234567"] * 2, "351912345678"]


@pytest.mark.parametrize("size", [1, 2, 3, 400_000, 1_048_576])
async def test_a_small_file_goes_as_base64(
    server: RawEvolution, gateway: EvolutionClient, blobs: BlobStore, size: int
) -> None:
    data = bytes(i * 7 % 251 for i in range(size))
    await gateway.send("loja", await with_file(blobs, data))
    body = server.requests[0].json
    assert base64.b64decode(body.pop("media")) == data
    assert body == {
        "number": "5511990000001",
        "mediatype": "document",
        "mimetype": "application/pdf",
        "caption": "segue",
        "fileName": 'orçamento "1".pdf',
    }


async def test_a_large_file_goes_as_a_form(
    server: RawEvolution, gateway: EvolutionClient, blobs: BlobStore
) -> None:
    data = bytes(range(256)) * 8192
    await gateway.send("loja", await with_file(blobs, data))
    (request,) = server.requests
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    *parts, last = request.body.split(b"--" + boundary)
    assert last == b"--\r\n"
    fields = dict(part.split(b"\r\n\r\n", 1) for part in parts if part)
    assert [value[:-2] for value in fields.values()] == [
        b"5511990000001",
        b"document",
        b"application/pdf",
        b"segue",
        'orçamento "1".pdf'.encode(),
        data,
    ]


async def test_a_file_that_is_gone_is_never_sent(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    media = OutgoingMedia(blob="0" * 64, mimetype="image/png", size=3)
    outgoing = Outgoing(type="image", content="", media=media)
    fault = await failing(gateway.send("loja", Delivery(number="1", outgoing=outgoing)))
    assert (fault.kind, fault.code) == (FaultKind.PERMANENT, "no_file")
    assert server.requests == []


async def with_file(blobs: BlobStore, data: bytes) -> Delivery:
    media = OutgoingMedia(
        blob=await blobs.put(data),
        mimetype="application/pdf",
        size=len(data),
        filename='orçamento "1".pdf',
    )
    outgoing = Outgoing(type="document", content="segue", media=media)
    return Delivery(number="5511990000001", outgoing=outgoing)


async def test_a_quote_carries_its_text(server: RawEvolution, gateway: EvolutionClient) -> None:
    target = Target(
        whatsapp_id="Q", jid="1@s.whatsapp.net", from_me=False, participant=None, content="antes"
    )
    outgoing = Outgoing(type="text", content="sim", target="m1")
    await gateway.send("loja", Delivery(number="1", outgoing=outgoing, target=target))
    assert server.requests[0].json["quoted"] == {
        "key": {"remoteJid": "1@s.whatsapp.net", "fromMe": False, "id": "Q"},
        "message": {"conversation": "antes"},
    }


async def test_messages_are_found_page_by_page(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    row = {"key": {"id": "A"}, "message": {"conversation": "oi"}}
    server.acts.append(says(200, {"messages": {"pages": 3, "records": [row, "odd"]}}))
    page = await gateway.find_messages(
        "loja", MessageWindow(since_ms=1_760_000_000_999, from_me=True), page=2, page_size=50
    )
    assert (page.records, page.pages) == ([row], 3)
    assert server.requests[0].json == {
        "where": {
            "key": {"fromMe": True},
            "messageTimestamp": {"gte": "2025-10-09T08:53:20Z", "lte": "2038-01-19T03:14:07Z"},
        },
        "page": 2,
        "offset": 50,
    }


async def test_an_older_evolution_does_not_page(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.version = "1.8.2"
    server.acts.append(says(200, [{"key": {"id": "A"}}]))
    window = MessageWindow(since_ms=1, whatsapp_id="A")
    page = await gateway.find_messages("loja", window, page=1, page_size=50)
    assert (len(page.records), page.pages) == (1, 1)
    assert server.requests[0].json == {"where": {"key": {"id": "A"}}, "limit": 50}


async def test_statuses_come_in_our_words(server: RawEvolution, gateway: EvolutionClient) -> None:
    rows = [{"status": "READ"}, {"status": 3}, {"status": "SERVER_ACK"}, {"status": "?"}, None]
    server.acts.append(says(200, rows))
    assert await gateway.statuses("loja", "A") == ["read", "delivered", "sent"]


@pytest.mark.parametrize(
    ("document", "state"),
    [
        ({"instance": {"instanceName": "x", "state": "open"}}, "open"),
        ({"instance": {"instanceName": "x"}}, None),
    ],
)
async def test_the_state_of_a_connection(
    server: RawEvolution, gateway: EvolutionClient, document: Any, state: str | None
) -> None:
    server.acts.append(says(200, document))
    assert await gateway.connection_state("loja") == state


async def test_connecting_gives_a_code_unless_it_fails_behind_a_200(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.acts.append(says(200, {"pairingCode": None, "code": "2@X", "base64": "data:,"}))
    pairing = await gateway.connect("loja")
    assert (pairing.code, pairing.image, pairing.state) == ("2@X", "data:,", None)
    server.acts.append(says(200, {"instance": {"state": "open"}}))
    assert (await gateway.connect("loja")).state == "open"
    server.acts.append(says(200, {"error": True, "message": "secret internals"}))
    assert (await failing(gateway.connect("loja"))).kind is FaultKind.RETRY
    server.acts.append(says(200, b""))
    assert (await failing(gateway.connect("loja"))).kind is FaultKind.RETRY


@pytest.mark.parametrize(("version", "method"), [("1.8.2", "PUT"), ("2.3.6", "POST")])
async def test_restarting(
    server: RawEvolution, gateway: EvolutionClient, version: str, method: str
) -> None:
    server.version = version
    server.acts.append(says(200, {"instance": {"state": "connecting"}}))
    await gateway.restart("loja")
    assert server.requests[0].method == method


REGISTRATION = Registration(
    is_enabled=True,
    url="https://relay.example/hook/a-secret",
    by_events=False,
    base64=True,
    events=("MESSAGES_UPSERT", "SEND_MESSAGE_UPDATE"),
    headers={"X-Relay": "another-secret"},
)


async def test_a_registration_is_read_in_both_dialects(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    v2 = {
        "url": REGISTRATION.url,
        "headers": REGISTRATION.headers,
        "enabled": True,
        "events": ["MESSAGES_UPSERT", "SEND_MESSAGE_UPDATE"],
        "webhookByEvents": False,
        "webhookBase64": True,
    }
    server.acts.append(says(200, v2))
    assert await gateway.registration("loja") == REGISTRATION
    v1 = {"enabled": True, "url": "u", "events": ["A"], "webhook_by_events": True}
    server.acts.append(says(200, v1))
    found = await gateway.registration("loja")
    assert found == Registration(
        is_enabled=True, url="u", by_events=True, base64=False, events=("A",)
    )
    server.acts.append(says(200, None))
    assert await gateway.registration("loja") is None
    wiped: dict[str, Any] = {"url": "", "events": [], "headers": None, "enabled": True}
    server.acts.append(says(200, wiped))
    found = await gateway.registration("loja")
    assert found is not None
    assert (found.url, found.events) == ("", ())


async def test_registering_leaves_out_what_this_evolution_does_not_know(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    refusal = "webhook.events[1] is not one of enum values: MESSAGES_UPSERT,SEND_MESSAGE"
    server.acts.extend([refuses(400, [refusal]), says(201, {})])
    await gateway.register("loja", REGISTRATION)
    webhook = server.requests[1].json["webhook"]
    assert webhook == {
        "enabled": True,
        "url": REGISTRATION.url,
        "byEvents": False,
        "base64": True,
        "events": ["MESSAGES_UPSERT"],
        "headers": REGISTRATION.headers,
    }


async def test_registering_at_an_older_evolution(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.version = "1.8.2"
    server.acts.append(says(201, {"webhook": {}}))
    await gateway.register("loja", REGISTRATION)
    assert server.requests[0].json == {
        "enabled": True,
        "url": REGISTRATION.url,
        "webhook_by_events": False,
        "webhook_base64": True,
        "events": ["MESSAGES_UPSERT"],
    }


async def test_a_refused_registration_shows_no_secret(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    headers = REGISTRATION.headers["X-Relay"]
    server.acts.append(refuses(400, f"cannot store {REGISTRATION.url} with {headers}"))
    fault = await failing(gateway.register("loja", REGISTRATION))
    assert "cannot store" in fault.message
    assert "a-secret" not in fault.message
    assert "another-secret" not in fault.message


@pytest.mark.parametrize("size", [5, 3000, 2_000_000])
async def test_a_file_is_fetched_into_the_blob_store(
    server: RawEvolution, gateway: EvolutionClient, blobs: BlobStore, size: int
) -> None:
    data = bytes(i % 253 for i in range(size))
    document = {
        "mediaType": "imageMessage",
        "fileName": "A.jpeg",
        "size": {"fileLength": {"low": size, "high": 0}, "height": 15, "width": 10},
        "mimetype": "image/jpeg",
        "base64": base64.b64encode(data).decode(),
        "buffer": None,
    }
    server.acts.append(says(201, document))
    media = await gateway.media("loja", "A")
    assert await blobs.read(media.blob, size + 1) == data
    assert (media.size, media.mimetype, media.filename) == (size, "image/jpeg", "A.jpeg")
    assert (media.width, media.height) == (10, 15)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (201, b'{"base64":"' + b"AAAA" * 1_000_001 + b'"}', "too_large"),
        (201, b'{"base64":"' + b"no base64! " * 500 + b'"}', "unreadable"),
        (201, b'{"base64":""}', "no_media"),
        (201, b'{"base64":null}', "no_media"),
        (201, b'{"base64":"' + b"AAAA" * 5000, "unreadable"),
        (201, b"<html>", "unreadable"),
        (201, b"x" * 2_000_000, "unreadable"),
        (400, b'{"response":{"message":["AggregateError"]}}', "media_unavailable"),
        (400, b'{"response":{"message":["Message not found"]}}', "no_media"),
    ],
)
async def test_what_is_no_file_is_not_kept(
    server: RawEvolution,
    gateway: EvolutionClient,
    blobs: BlobStore,
    tmp_path: Path,
    status: int,
    body: bytes,
    code: str,
) -> None:
    server.acts.append(says(status, body))
    fault = await failing(gateway.media("loja", "A"))
    assert fault.code == code
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


async def test_an_instance_may_have_an_evolution_and_a_key_of_its_own(
    server: RawEvolution, blobs: BlobStore
) -> None:
    async with open_evolution() as other:
        own = EvolutionInstanceConfig(url=other.url, api_key="another-key")
        config = {"loja": own, "same": EvolutionInstanceConfig(api_key="third-key")}
        async with opened(server.url, blobs, instances=config) as gateway:
            for name in ("loja", "same", "any"):
                await gateway.send(name, text())
            assert gateway.instances() == ("loja", "same")
            assert gateway.host("loja") == other.url.removeprefix("http://")
        assert [r.headers["apikey"] for r in other.requests] == ["another-key"]
        assert [r.headers["apikey"] for r in server.requests] == ["third-key", KEY]


async def test_without_address_or_key_nothing_is_configured(blobs: BlobStore) -> None:
    config = EvolutionConfig(url="http://127.0.0.1:1")
    async with open_gateway(config, MediaConfig(), blobs) as gateway:
        assert not gateway.is_configured("loja")
        assert gateway.host("loja") is None
        assert (await failing(gateway.send("loja", text()))).code == "not_configured"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (EvolutionConfig(url="http://x", api_key="bad\nsecret"), "evolution.api_key"),
        (EvolutionConfig(url="http://x", api_key="chave-secreta-é"), "evolution.api_key"),
        (EvolutionConfig(url="http://[::1", api_key="a-secret"), "evolution.url"),
        (EvolutionConfig(url="http://a..b", api_key="a-secret"), "evolution.url"),
        (EvolutionConfig(url="http://u:secret@x", api_key="a-secret"), "evolution.url"),
        (EvolutionConfig(url="ftp://x", api_key="a-secret"), "evolution.url"),
        (
            EvolutionConfig(url="https://x", api_key="a-secret", ca_file="/nope"),
            "evolution.ca_file",
        ),
    ],
)
async def test_what_cannot_be_used_is_said_at_the_start(
    config: EvolutionConfig, key: str, blobs: BlobStore
) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        async with open_gateway(config, MediaConfig(), blobs):
            pass
    assert "secret" not in str(caught.value)


async def test_many_lanes_wait_once_for_a_server_that_does_not_say_what_it_is(
    blobs: BlobStore, mock_clock: trio.testing.MockClock
) -> None:
    """P6: the first one asks for at most ten seconds, the others share what it learns."""
    asked = trio.Event()

    async def mute(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        asked.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, mute, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        async with opened(f"http://127.0.0.1:{port}", blobs) as gateway:
            faults = []

            async def one() -> None:
                faults.append(await failing(gateway.send("loja", text())))

            async with trio.open_nursery() as lanes:
                for _ in range(5):
                    lanes.start_soon(one)
                await asked.wait()
                mock_clock.jump(10.1)
        assert {(fault.kind, fault.code) for fault in faults} == {
            (FaultKind.GATEWAY_DOWN, "timeout")
        }
        nursery.cancel_scope.cancel()


async def test_behind_one_address_may_be_evolutions_of_both_generations(
    server: RawEvolution, gateway: EvolutionClient
) -> None:
    server.acts.append(refuses(400, ['instance requires property "textMessage"']))
    for name in ("old", "new", "old", "new"):
        await gateway.send(name, text())
    posted = [("textMessage" in r.json, r.path.rpartition("/")[2]) for r in server.requests]
    assert posted == [
        (False, "old"),
        (True, "old"),
        (False, "new"),
        (True, "old"),
        (False, "new"),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
        b"\x00" * 100,
        b"220 smtp.example ESMTP\r\n",
    ],
)
async def test_what_is_hardly_http_leaves_doubt(
    server: RawEvolution, gateway: EvolutionClient, raw: bytes
) -> None:
    server.acts.append(breaks_off(raw))
    fault = await failing(gateway.send("loja", text()))
    assert fault.kind is FaultKind.UNKNOWN
    assert await gateway.send("loja", text())  # on a connection of its own
