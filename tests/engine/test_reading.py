"""Reading envelopes: in one part, or in many where the body was too large for the journal."""

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.model.envelope import Envelope
from evorelay.model.fact import Fact, MessageFact, QuarantineFact
from evorelay.protocol import elements
from evorelay.protocol.normalise import normalise
from evorelay.relay import reading
from evorelay.relay.blobs import BlobStore
from evorelay.relay.reading import Reader
from tests.engine.harness import envelope, open_blobs, webhook

MIB = 1024 * 1024


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await open_blobs(tmp_path)


def row(number: int, **message: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(webhook(f"W{number:05d}").body)["data"]
    return data | ({"message": message} if message else {})


def history(rows: list[Any]) -> bytes:
    body = {"sender": "5511900001234@s.whatsapp.net", "data": rows, "date_time": "{[\"'"}
    return json.dumps(body).encode()


async def spilled(blobs: BlobStore, body: bytes) -> Envelope:
    inside = envelope(b"", event="messages.set")
    return msgspec.structs.replace(inside, body_blob=await blobs.put(body))


async def read(blobs: BlobStore, body: bytes) -> list[list[Fact]]:
    """The facts of each part of a spilled body."""
    parts = await Reader(blobs).parts(await spilled(blobs, body))
    return [await part() for part in parts]


def reasons(parts: list[list[Fact]]) -> list[str]:
    return [fact.reason for facts in parts for fact in facts if isinstance(fact, QuarantineFact)]


async def test_a_body_in_the_envelope_is_one_part(blobs: BlobStore) -> None:
    small = webhook("A")
    (part,) = await Reader(blobs).parts(small)
    assert await part() == await part() == normalise(small)


async def test_a_large_body_in_the_envelope_is_read_all_the_same(blobs: BlobStore) -> None:
    """In a thread: nobody else waits for it."""
    rows = [row(number) for number in range(1000)]
    large = envelope(history(rows), event="messages.set")
    assert len(large.body) > reading.THREAD_BYTES
    assert await Reader(blobs).facts(large) == normalise(large)


@pytest.mark.parametrize("count", [0, 1, 3, 2000])
async def test_parts_say_together_what_the_whole_says(blobs: BlobStore, count: int) -> None:
    rows = [row(number) if number % 7 else [number, "odd"] for number in range(count)]
    body = history(rows)
    parts = await read(blobs, body)
    expected = normalise(envelope(body, event="messages.set")) if count else []
    assert expected == [fact for facts in parts for fact in facts]
    assert len(parts) == 1 + len(body) // elements.GROUP_BYTES


async def test_a_part_may_be_read_again(blobs: BlobStore) -> None:
    """After a disk that failed for a moment."""
    parts = await Reader(blobs).parts(await spilled(blobs, history([row(1), row(2)])))
    assert [await part() for part in parts] == [await part() for part in parts]


async def test_media_of_a_part_are_kept(blobs: BlobStore) -> None:
    data = base64.b64encode(b"px").decode()
    picture = row(2, imageMessage={"mimetype": "image/png"}, base64=data)
    body = history([row(1), picture])
    ((_, fact),) = await read(blobs, body)
    assert isinstance(fact, MessageFact)
    assert fact.media is not None
    assert fact.media.blob is not None
    assert await blobs.read(fact.media.blob, 9) == b"px"


async def test_an_element_that_is_no_json_is_set_aside_alone(blobs: BlobStore) -> None:
    body = history([row(1), "ODD", row(2)]).replace(b'"ODD"', b'{"key" 1}')
    (facts,) = await read(blobs, body)
    assert [type(fact) for fact in facts] == [MessageFact, QuarantineFact, MessageFact]
    assert reasons([facts]) == ["not_json"]


async def test_an_element_too_large_is_set_aside_alone(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: it is not even read."""
    monkeypatch.setattr(reading, "HELD_BYTES_MAX", 2 * elements.GROUP_BYTES)
    large = row(2, conversation="x" * 2 * elements.GROUP_BYTES)
    first, second, third = await read(blobs, history([row(1), large, row(3)]))
    assert [isinstance(fact, MessageFact) for fact in (*first, *third)] == [True, True]
    assert reasons([second]) == ["too_large"]


async def test_a_large_body_that_is_no_list_is_read_at_once(blobs: BlobStore) -> None:
    body = webhook("A", "x" * MIB).body
    assert await read(blobs, body) == [normalise(envelope(body, event="messages.set"))]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"data":{"x":"' + b"x" * 1000 + b'"}}', "too_large"),
        (b'{"data":[],"x":"' + b"x" * (elements.OUTER_BYTES_MAX) + b'"}', "too_large"),
        (b'{"data":[1] "x"}', "not_json"),
        (b'{"data":[1],"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "not_json"),
    ],
)
async def test_what_cannot_be_taken_apart_is_set_aside_whole(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, body: bytes, reason: str
) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES_MAX", 1000)
    assert reasons(await read(blobs, body)) == [reason]


async def test_a_body_that_is_gone_is_set_aside(blobs: BlobStore) -> None:
    gone = msgspec.structs.replace(webhook("A"), body=b"", body_blob="0" * 64)
    (part,) = await Reader(blobs).parts(gone)
    assert reasons([await part()]) == ["not_json"]


async def test_a_huge_history_costs_little_memory(blobs: BlobStore) -> None:
    """P5: 12 MB here. 150 MB with 102,000 messages were in the store after 8 s, with 25 MiB more of
    resident memory than before, while the slowest of 300 requests for /livez took 14 ms."""
    huge = await spilled(blobs, history([row(n, conversation="oi " * 300) for n in range(10_000)]))
    found = 0
    tracemalloc.start()
    try:
        for part in await Reader(blobs).parts(huge):
            found += len(await part())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == 10_000
    assert peak < 5 * MIB


@pytest.mark.parametrize("stores", [False, True])
async def test_status_posts_are_history_where_that_is_configured(
    blobs: BlobStore, stores: bool
) -> None:
    post = row(1)
    post["key"] |= {
        "remoteJid": "status@broadcast",
        "participant": "5531988887777@s.whatsapp.net",
    }
    reader = Reader(blobs, store_status_posts=stores)
    body = json.dumps({"data": [post]}).encode()
    (part,) = await reader.parts(await spilled(blobs, body))
    (dry_part,) = await reader.dry().parts(envelope(body))
    for facts in (await part(), await dry_part()):
        assert any(isinstance(fact, MessageFact) for fact in facts) == stores
