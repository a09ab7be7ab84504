"""Large webhook bodies: where their bytes go, what they cost, and how many are read at once."""

import json
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.model.errors import Code, JournalUnavailable, Refusal
from evorelay.relay.blobs import BlobStore
from evorelay.relay.bulky import INLINE_MAX, Bulky, bulky_turns, take_bulky

MIB = 1024 * 1024
MEDIA = bytes(range(256)) * 1024


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await BlobStore.open(tmp_path / "blobs")


async def stream(body: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def take(
    chunks: AsyncIterator[bytes], blobs: BlobStore, *, max_bytes: int = 160 * MIB
) -> Bulky:
    return await take_bulky(chunks, blobs, max_bytes=max_bytes, turns=bulky_turns())


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_media_becomes_a_blob_and_the_rest_stays_in_memory(blobs: BlobStore) -> None:
    document = {"event": "messages.upsert", "data": {"message": {"base64": None}}}
    encoded = b64encode(MEDIA).decode()
    body = json.dumps(document).replace("null", f'"{encoded}"').encode()
    bulky = await take(stream(body), blobs)
    name = sha256(MEDIA).hexdigest()
    assert json.loads(bulky.body) == json.loads(
        json.dumps(document).replace("null", f'"blob:{name}"')
    )
    assert bulky.body_blob is None
    assert bulky.blobs == (name,)
    assert bulky.received_bytes == len(body)
    assert blobs.path(name).read_bytes() == MEDIA


async def test_a_body_without_media_comes_back_unchanged(blobs: BlobStore, tmp_path: Path) -> None:
    body = json.dumps({"data": ["x" * 1000] * 1000}).encode()
    bulky = await take(stream(body), blobs)
    assert bulky == Bulky(body=body, body_blob=None, blobs=(), received_bytes=len(body))
    assert files(tmp_path) == []


@pytest.mark.parametrize("size", [INLINE_MAX, INLINE_MAX + 1])
async def test_a_rest_too_large_for_memory_is_a_blob_itself(blobs: BlobStore, size: int) -> None:
    body = b'{"data":"' + b"x" * (size - 11) + b'"}'
    bulky = await take(stream(body), blobs)
    if size <= INLINE_MAX:
        assert (bulky.body, bulky.body_blob) == (body, None)
    else:
        assert bulky.body == b""
        assert bulky.body_blob is not None
        assert blobs.path(bulky.body_blob).read_bytes() == body


async def test_secrets_reach_no_file(blobs: BlobStore, tmp_path: Path) -> None:
    """P7: Evolution's key and our own URL are gone before anything is written."""
    secrets = '"apikey":"SECRET","api_key":"SECRET","destination":"http://relay/hook/SECRET"'
    rest = "x" * (INLINE_MAX + 1)
    bulky = await take(stream(f'{{{secrets},"data":"{rest}",{secrets}}}'.encode()), blobs)
    assert bulky.body_blob is not None
    assert [b"SECRET" in path.read_bytes() for path in files(tmp_path)] == [False]


async def test_a_body_over_the_limit_is_refused_and_leaves_nothing(
    blobs: BlobStore, tmp_path: Path
) -> None:
    body = b'{"base64":"' + b"QUJD" * 200_000
    with pytest.raises(Refusal, match="max_body_bytes") as refused:
        await take(stream(body), blobs, max_bytes=700_000)
    assert refused.value.code is Code.TOO_LARGE
    assert files(tmp_path) == []


async def test_a_body_of_exactly_the_limit_is_taken(blobs: BlobStore) -> None:
    assert (await take(stream(b" " * 700_000), blobs, max_bytes=700_000)).received_bytes == 700_000


async def test_a_sender_that_breaks_off_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"x":"' + b"x" * (INLINE_MAX + 1) + b'","base64":"' + b"QUJD" * 200_000
        raise trio.BrokenResourceError

    with pytest.raises(trio.BrokenResourceError):
        await take(broken(), blobs)
    assert files(tmp_path) == []


async def test_a_disk_that_fails_is_journal_unavailable(blobs: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "tmp").rmdir()
    with pytest.raises(JournalUnavailable):
        await take(stream(b'{"base64":"' + b"QUJD" * 200_000), blobs)


async def test_a_hundred_megabytes_cost_a_few(blobs: BlobStore) -> None:
    """P5: memory stays flat whatever arrives."""
    media_bytes = 75 * 1024 * 1024
    encoded = b64encode(bytes(range(256)) * 192)

    async def body() -> AsyncIterator[bytes]:
        yield b'{"data":{"message":{"base64":"'
        for _ in range(media_bytes // 49_152):
            yield bytes(encoded)
        yield b'"}}}'

    tracemalloc.start()
    try:
        bulky = await take(body(), blobs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert bulky.received_bytes > 100 * MIB
    assert await blobs.size(bulky.blobs[0]) == media_bytes
    assert peak < 2 * MIB


@pytest.mark.parametrize("chunks", [63, 400])
async def test_a_large_rest_is_held_once(blobs: BlobStore, chunks: int) -> None:
    """P5: up to INLINE_MAX in memory, and never two copies of it."""

    async def body() -> AsyncIterator[bytes]:
        yield b'["'
        for _ in range(chunks):
            yield b"x" * 65_536
        yield b'"]'

    tracemalloc.start()
    try:
        bulky = await take(body(), blobs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (bulky.body_blob is None) == (chunks == 63)
    assert peak < 6 * MIB


async def test_large_bodies_take_turns_and_small_ones_need_none(blobs: BlobStore) -> None:
    """P5: those without a turn are not read beyond 64 KiB."""
    turns = trio.CapacityLimiter(2)
    asked = [0, 0, 0]
    go_on = trio.Event()

    async def large(index: int) -> AsyncIterator[bytes]:
        for _ in range(2):
            asked[index] += 1
            yield b" " * 50_000
        asked[index] += 1
        await go_on.wait()

    done = []

    async def take_large(index: int) -> None:
        await take_bulky(large(index), blobs, max_bytes=MIB, turns=turns)
        done.append(index)

    async with trio.open_nursery() as nursery:
        for index in range(3):
            nursery.start_soon(take_large, index)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(asked) == [2, 3, 3]
        small = await take_bulky(stream(b"{}"), blobs, max_bytes=MIB, turns=turns)
        assert small.body == b"{}"
        assert done == []
        go_on.set()
    assert sorted(done) == [0, 1, 2]
    assert turns.borrowed_tokens == 0
