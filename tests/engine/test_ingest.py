"""Taking webhooks in: the answers of contract §3, on a real journal and real blobs (P1, P7)."""

import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.config import WebhookConfig
from evorelay.model.envelope import Envelope
from evorelay.model.errors import RETRY_AFTER_S
from evorelay.protocol.webhook import WebhookPath
from evorelay.relay.blobs import BlobStore
from evorelay.relay.bulky import INLINE_MAX
from evorelay.relay.ingest import Answer, Ingest
from evorelay.relay.journal import Journal
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import GIB, T0

SECRET = "the-secret-of-the-webhook"
KEY = "THE-KEY-OF-AN-INSTANCE"
PATH = WebhookPath(SECRET, "messages.upsert")
MAX_BODY = 8 * 1024 * 1024
TEXT = json.dumps(
    {
        "event": "MESSAGES_UPSERT",
        "instance": "loja",
        "data": {"key": {"id": "W"}, "message": {"conversation": "olá 😀"}},
        "destination": f"https://relay.example/hook/{SECRET}",
        "apikey": KEY,
    }
).encode()


class Counts(NopMetrics):
    def __init__(self) -> None:
        self.refused: list[str] = []

    def webhook_refused(self, reason: str) -> None:
        self.refused.append(reason)


class World:
    def __init__(self, directory: Path, store: SqliteJournal, blobs: BlobStore) -> None:
        self.directory = directory
        self.store = store
        self.blobs = blobs
        self.metrics = Counts()
        self.free_bytes = 100 * GIB
        self.journal = Journal(
            store, NopMetrics(), free_bytes=lambda: self.free_bytes, free_bytes_min=GIB
        )
        config = WebhookConfig(secret=SECRET, max_body_bytes=MAX_BODY, allow_from=("10.0.0.0/8",))
        self.ingest = Ingest(config, self.journal, blobs, self.metrics, now=lambda: T0)

    def refuse(self, path: WebhookPath = PATH, **changes: Any) -> Answer | None:
        seen: dict[str, Any] = {"headers": [], "peer": "1.2.3.4", "forwarded": False, "length": 9}
        return self.ingest.refuse(path, **{**seen, **changes})

    def stored(self) -> list[Envelope]:
        return [entry.envelope for entry in self.store.read(0, 1 << 60)]

    def files(self) -> bytes:
        """Every byte under the state directory."""
        return b"".join(path.read_bytes() for path in self.directory.rglob("*") if path.is_file())


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[World]:
    store = SqliteJournal(tmp_path / "journal.db")
    try:
        world = World(tmp_path, store, await BlobStore.open(tmp_path / "blobs"))
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            yield world
            nursery.cancel_scope.cancel()
    finally:
        store.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


async def stream(body: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def taken(world: World, body: bytes, *, streamed: bool) -> Answer:
    if streamed:
        return await world.ingest.take_streamed(PATH, stream(body))
    return await world.ingest.take(PATH, body)


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@both_ways
async def test_a_webhook_is_stored_before_it_is_answered(world: World, streamed: bool) -> None:
    """P1: answered 200 is fsynced, with its number."""
    answer = await taken(world, TEXT, streamed=streamed)
    assert (answer.status, answer.retry_after_s, answer.close) == (200, None, False)
    assert said(answer) == {
        "received": True,
        "seq": 1,
        "event": "messages.upsert",
        "instance": "loja",
    }
    (envelope,) = world.stored()
    assert (envelope.received_at, envelope.event, envelope.instance) == (
        T0,
        "messages.upsert",
        "loja",
    )
    data = json.loads(envelope.body)["data"]
    assert data == json.loads(TEXT)["data"]
    assert said(await taken(world, TEXT, streamed=streamed))["seq"] == 2  # also a duplicate


@both_ways
@pytest.mark.parametrize(
    "body", [b"{}", b'{"event":"no.such","data":[]}', b'{"event":7,"instance":null}', b' {"a":1} ']
)
async def test_odd_objects_are_stored_too(world: World, body: bytes, streamed: bool) -> None:
    """Contract §3: an unknown event or an odd object goes to quarantine, not back."""
    answer = await taken(world, body, streamed=streamed)
    assert answer.status == 200
    assert json.loads(world.stored()[0].body) == json.loads(body)


@both_ways
@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'[{"a":1}]', b"null", b'{"a":', b"\xff"]
)
async def test_what_is_no_json_object_is_400(world: World, body: bytes, streamed: bool) -> None:
    answer = await taken(world, body, streamed=streamed)
    assert (answer.status, said(answer)["error"]["code"]) == (400, "not_json")
    assert (world.stored(), world.metrics.refused) == ([], ["not_json"])


SECRETIVE = [
    TEXT,
    f'{{"api_key":"{KEY}"}}'.encode(),
    f'{{"\\u0061pikey":"{KEY}"}}'.encode(),
    f'{{"data":[{{"deep":{{"apikey":"{KEY}","x":"\\ud83d"}}}}]}}'.encode(),
    f'{{"data":{{"api\\u005fkey":"{KEY}"}}}}'.encode(),
    f'{{"apikey":"{KEY}","data":"\\ud83d"}}'.encode(),
    f'{{"apikey":"{KEY}","destination":"{SECRET}","data":'.encode()
    + b"[" * 50_000
    + b"]" * 50_000
    + b"}",
    json.dumps(
        {"apikey": KEY, "destination": SECRET, "data": {"base64": "A" * 300_000, "api_key": KEY}}
    ).encode(),
    json.dumps({"apikey": KEY, "destination": SECRET, "data": "x" * (INLINE_MAX + 1)}).encode(),
]


@both_ways
@pytest.mark.parametrize("body", SECRETIVE, ids=range(len(SECRETIVE)))
async def test_no_secret_reaches_the_disk(world: World, body: bytes, streamed: bool) -> None:
    """P7: not the journal, not a blob, not the answer; nested, escaped, beside half an emoji."""
    answer = await taken(world, body, streamed=streamed)
    assert answer.status == 200
    written = world.files() + answer.body
    assert KEY.encode() not in written
    assert SECRET.encode() not in written


@both_ways
async def test_half_an_emoji_costs_no_message(world: World, streamed: bool) -> None:
    """Evolution drops what is answered 400; JavaScript writes such halves every day."""
    body = b'{"event":"messages.upsert","instance":"loja","data":{"text":"\\ud83d oi"}}'
    assert (await taken(world, body, streamed=streamed)).status == 200
    assert json.loads(world.stored()[0].body)["data"]["text"] == "\ufffd oi"


async def test_half_an_emoji_in_a_huge_body_costs_it_only_its_labels(world: World) -> None:
    body = b'{"event":"a","data":"\\ud83d' + b"x" * (INLINE_MAX + 1) + b'"}'
    answer = await taken(world, body, streamed=True)
    assert (answer.status, said(answer)["event"]) == (200, "messages.upsert")  # the path's
    assert world.stored()[0].body_blob is not None


@both_ways
@pytest.mark.parametrize("depth", [500, 5_000, 200_000])
async def test_deep_nesting_is_stored_for_quarantine(
    world: World, depth: int, streamed: bool
) -> None:
    """A bomb costs neither the stack nor the message."""
    body = b'{"event":"messages.upsert","data":' + b"[" * depth + b"]" * depth + b"}"
    assert (await taken(world, body, streamed=streamed)).status == 200
    (envelope,) = world.stored()
    assert envelope.event == "messages.upsert"
    assert b"[" * depth in envelope.body


async def test_media_goes_to_a_blob_and_the_journal_names_it(world: World) -> None:
    pixels = bytes(range(256)) * 2000
    body = json.dumps({"data": {"message": {"base64": base64.b64encode(pixels).decode()}}})
    assert (await taken(world, body.encode(), streamed=True)).status == 200
    (envelope,) = world.stored()
    reference = json.loads(envelope.body)["data"]["message"]["base64"]
    assert len(envelope.body) < 1000
    assert world.blobs.path(reference.removeprefix("blob:")).read_bytes() == pixels


async def test_a_body_too_large_for_memory_is_a_blob_with_its_labels(world: World) -> None:
    body = json.dumps({"data": "x" * (INLINE_MAX + 1), "event": "CHATS_SET", "instance": "loja"})
    answer = await taken(world, body.encode(), streamed=True)
    assert (said(answer)["event"], said(answer)["instance"]) == ("chats.set", "loja")
    (envelope,) = world.stored()
    assert envelope.body == b""
    assert envelope.body_blob is not None
    assert json.loads(world.blobs.path(envelope.body_blob).read_bytes()) == json.loads(body)


@pytest.mark.parametrize("ending", ["", '"', '"}}', '"]'])
async def test_a_large_body_that_is_no_json_is_400(world: World, ending: str) -> None:
    body = '{"data":"' + "x" * (INLINE_MAX + 1) + ending
    answer = await taken(world, body.encode(), streamed=True)
    assert (answer.status, world.stored()) == (400, [])


async def test_a_large_array_is_400(world: World) -> None:
    body = '["' + "x" * (INLINE_MAX + 1) + '"]'
    assert (await taken(world, body.encode(), streamed=True)).status == 400


async def test_too_large_is_413_before_and_while_reading(world: World) -> None:
    early = world.refuse(length=MAX_BODY + 1)
    late = await taken(world, b'{"a":"' + b"x" * MAX_BODY + b'"}', streamed=True)
    for answer in (early, late):
        assert answer is not None
        assert (answer.status, answer.close, said(answer)["error"]["code"]) == (
            413,
            True,
            "too_large",
        )
    assert world.refuse(length=MAX_BODY) is None
    assert world.metrics.refused == ["too_large"] * 2


async def test_a_full_disk_is_503_and_evolution_comes_back(world: World) -> None:
    """P1, P5: never a status that Evolution takes for the end."""
    world.free_bytes = 0
    world.journal.check_disk()
    answers = [world.refuse(), await taken(world, TEXT, streamed=False)]
    world.free_bytes = 100 * GIB
    world.journal.check_disk()
    assert (await taken(world, TEXT, streamed=False)).status == 200
    world.journal.close_asap()
    answers += [world.refuse(), await taken(world, TEXT, streamed=True)]
    for answer in answers:
        assert answer is not None
        assert (answer.status, answer.retry_after_s, answer.close) == (503, RETRY_AFTER_S, False)
    assert len(world.stored()) == 1


@pytest.mark.parametrize(
    ("path", "seen", "status"),
    [
        (WebhookPath(SECRET, ""), {}, None),
        (WebhookPath("wrong", ""), {}, 401),
        (WebhookPath(None, ""), {}, 401),
        (WebhookPath(None, ""), {"headers": [(b"x-webhook-secret", SECRET.encode())]}, None),
        (WebhookPath(None, ""), {"headers": [(b"authorization", b"Bearer wrong")]}, 401),
        (WebhookPath(None, ""), {"peer": "10.1.2.3"}, None),
        (WebhookPath(None, ""), {"peer": "10.1.2.3", "forwarded": True}, 401),
        (WebhookPath("wrong", ""), {"peer": "10.1.2.3"}, 401),
        (WebhookPath(None, ""), {"length": MAX_BODY + 1}, 401),
    ],
)
async def test_only_who_knows_the_secret_may_post(
    world: World, path: WebhookPath, seen: dict[str, Any], status: int | None
) -> None:
    """P7: a wrong secret shows itself wherever it comes from."""
    answer = world.refuse(path, **seen)
    assert (answer.status if answer else None) == status
    if answer is not None:
        assert (answer.close, said(answer)["error"]["code"]) == (True, "unauthorized")


async def test_a_flood_of_wrong_secrets_is_counted_and_logged_sparingly(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """P7, P8: loud enough to be seen, without the secret that was tried."""
    with caplog.at_level(logging.ERROR):
        for _ in range(500):
            world.refuse(WebhookPath("tried-secret", ""))
    assert world.metrics.refused == ["unauthorized"] * 500
    assert len(caplog.records) == 1
    assert "evorelay urls" in caplog.text
    assert "tried-secret" not in caplog.text


async def test_a_sender_that_breaks_off_is_acknowledged_nothing(world: World) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"data":"' + b"x" * 100_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await world.ingest.take_streamed(PATH, broken())
    assert world.stored() == []
    assert not [path for path in (world.directory / "blobs").rglob("*") if path.is_file()]
