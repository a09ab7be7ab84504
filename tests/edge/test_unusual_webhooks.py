"""Large, chunked and asked-first webhooks end in the same journal with the same answers."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.edge.harness import HOOK, Client, numbers, open_port, post, request, webhook

MIB = 1024 * 1024


async def send_chunked(client: Client, body: bytes, *, piece: int = 10_000) -> None:
    await client.send(request(HOOK, None, "Transfer-Encoding: chunked", method="POST"))
    for start in range(0, len(body), piece):
        part = body[start : start + piece]
        await client.send(b"%x\r\n%s\r\n" % (len(part), part))
    await client.send(b"0\r\n\r\n")


@pytest.mark.parametrize("way", ["plain", "chunked", "asked first", "large"])
async def test_every_way_leads_to_the_same_journal(tmp_path: Path, way: str) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        body = webhook(1, pad=300_000 if way == "large" else 0)
        if way == "chunked":
            await send_chunked(client, body, piece=3)
        elif way == "asked first":
            length = f"Content-Length: {len(body)}"
            head = request(HOOK, None, "Expect: 100-continue", length, method="POST")
            assert (await client.call(head)).status == 100
            await client.send(body)
        else:
            await client.send(request(HOOK, body))
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, False)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json == {
            "received": True,
            "seq": 1,
            "event": "test.number",
            "instance": "a",
        }
        assert (await client.call(post(2))).json["seq"] == 2
        assert numbers(port) == [1, 2]


async def test_media_goes_to_a_file_and_its_secret_nowhere(tmp_path: Path) -> None:
    """P7, and the journal stays small."""
    media = bytes(range(256)) * 8192
    body = json.dumps(
        {
            "event": "messages.upsert",
            "instance": "a",
            "apikey": "TOP-SECRET",
            "data": {"message": {"base64": b64encode(media).decode()}},
        }
    ).encode()
    async with open_port(tmp_path) as port, await port.connect() as client:
        assert (await client.call(request(HOOK, body))).status == 200
        (envelope,) = port.envelopes()
    assert len(envelope.body) < 1000
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert media in stored
    assert not any(b"TOP-SECRET" in content for content in stored)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[" * 300_000, 400, "not_json"),
        (b"x" * 300_000, 400, "not_json"),
        (b'{"a":"' + b"x" * 300_000, 400, "not_json"),
        (b'["' + b"x" * 300_000 + b'"]', 400, "not_json"),
    ],
    ids=["nested", "text", "cut", "array"],
)
async def test_a_large_body_that_is_no_object(
    tmp_path: Path, body: bytes, status: int, code: str
) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(request(HOOK, body))
        assert (answer.status, answer.json["error"]["code"]) == (status, code)
        assert numbers(port) == []


async def test_nesting_beyond_any_parser_is_stored(tmp_path: Path) -> None:
    """It is an object, so it is accepted (contract §3) and ends in quarantine."""
    body = b'{"event":"deep","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    async with open_port(tmp_path) as port, await port.connect() as client:
        assert (await client.call(request(HOOK, body))).status == 200
        assert len(port.envelopes()) == 1


async def test_a_chunked_body_beyond_the_limit_is_refused_on_its_way(tmp_path: Path) -> None:
    async with open_port(tmp_path, webhook={"max_body_bytes": 100_000}) as port:
        async with await port.connect() as client, trio.open_nursery() as nursery:

            async def endless() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await send_chunked(client, webhook(1, pad=100 * MIB), piece=60_000)

            nursery.start_soon(endless)
            with trio.fail_after(30):
                answer = await client.answer()
            assert (answer.status, answer.closes) == (413, True)
            assert answer.json["error"]["code"] == "too_large"
        assert numbers(port) == []


async def test_what_cannot_be_journaled_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """P5: 300 KB are not taken in for nothing."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        port.free_bytes = 0
        port.journal.check_disk()
        answer = await client.call(request(HOOK, None, "Content-Length: 300000", method="POST"))
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        assert await client.is_ended()


async def test_a_sender_that_leaves_in_the_middle_stores_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_port(tmp_path) as port:
        client = await port.connect()
        await client.send(request(HOOK, webhook(1, pad=300_000))[:-1])
        await client.stream.aclose()
        async with await port.connect() as other:
            assert (await other.call(post(2))).status == 200
        assert numbers(port) == [2]
    assert not caplog.records


async def test_neighbours_of_a_large_body_are_served(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        async with await port.connect() as neighbour, trio.open_nursery() as nursery:
            large = request(HOOK, webhook(0, pad=20 * MIB))
            nursery.start_soon(client.send, large)
            for number in range(1, 30):
                with trio.fail_after(30):
                    assert (await neighbour.call(post(number))).status == 200
            assert (await client.answer()).status == 200


async def test_other_requests_reach_the_application(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        for method in ("PUT", "DELETE"):
            assert (await client.call(request("/hello", b"{}", method=method))).body == b"hello"
        scope: Any = port.app.scopes[-1]
        assert scope["method"] == "DELETE"
