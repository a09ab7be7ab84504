"""The blob store on a real file system: durable when it says so, and nothing left of the rest."""

import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.relay.blobs import BlobStore

DATA = b"some bytes " * 1000
NAME = sha256(DATA).hexdigest()


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await BlobStore.open(tmp_path / "blobs")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 KiB: the same error path as a disk without room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 1024, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_what_was_put_is_read_back_under_its_hash(blobs: BlobStore, tmp_path: Path) -> None:
    assert await blobs.put(DATA) == NAME
    assert files(tmp_path / "blobs") == [f"{NAME[:2]}/{NAME[2:4]}/{NAME}"]
    assert blobs.path(NAME).read_bytes() == DATA
    assert await blobs.size(NAME) == len(DATA)
    assert await blobs.read(NAME, limit=10**9) == DATA
    assert await blobs.read(NAME, limit=4) == b"some"


async def test_a_sink_takes_its_bytes_in_any_pieces(blobs: BlobStore) -> None:
    data = os.urandom(1_000_000)
    async with blobs.open_sink() as sink:
        for size in (1, 300_000, 0, 65_536):
            await sink.write(data[:size])
            data = data[size:] + data[:size]
        await sink.write(data)
        name = await sink.commit()
    content = blobs.path(name).read_bytes()
    assert sha256(content).hexdigest() == name
    assert len(content) == 1_365_537
    assert content.endswith(data)


async def test_the_same_bytes_are_stored_once(blobs: BlobStore, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(blobs.put, DATA)
    assert len(files(tmp_path / "blobs")) == 1


async def test_a_blob_damaged_on_disk_is_mended_by_storing_it_again(blobs: BlobStore) -> None:
    blobs.path(await blobs.put(DATA)).write_bytes(b"damaged")
    await blobs.put(DATA)
    assert blobs.path(NAME).read_bytes() == DATA


async def test_file_then_name_then_directories_reach_the_disk(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: the order that survives a power cut at any point."""
    steps: list[str] = []

    def spy(module: object, name: str, note: Callable[..., str]) -> None:
        real = getattr(module, name)

        def noted(*args: object) -> object:
            steps.append(note(*args))
            return real(*args)

        monkeypatch.setattr(module, name, noted)

    root = tmp_path / "blobs"
    place = f"{NAME[:2]}/{NAME[2:4]}"
    spy(os, "replace", lambda source, target: f"rename to {Path(target).relative_to(root)}")
    spy(os, "fsync", lambda fd: f"fsync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")
    await blobs.put(DATA)
    assert len(steps.pop(0)) == len("fsync ") + 32  # the temporary name
    assert steps == [
        f"rename to {place}/{NAME}",
        f"fsync {NAME[2:4]}",
        f"fsync {NAME[:2]}",
        "fsync blobs",
    ]


async def test_only_the_owner_may_read(blobs: BlobStore, tmp_path: Path) -> None:
    """P7"""
    await blobs.put(DATA)
    root = tmp_path / "blobs"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_dir()}
    assert modes | {stat.S_IMODE(root.stat().st_mode)} == {0o700}
    assert stat.S_IMODE(blobs.path(NAME).stat().st_mode) == 0o600


async def test_a_sink_that_was_not_committed_leaves_nothing(
    blobs: BlobStore, tmp_path: Path
) -> None:
    async with blobs.open_sink() as sink:
        await sink.write(os.urandom(300_000))
        assert len(files(tmp_path / "blobs")) == 1
    assert files(tmp_path / "blobs") == []


async def test_a_cancelled_sink_leaves_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    writing = trio.Event()

    async def write() -> None:
        async with blobs.open_sink() as sink:
            await sink.write(os.urandom(300_000))
            writing.set()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await writing.wait()
        nursery.cancel_scope.cancel()
    assert files(tmp_path / "blobs") == []


async def test_a_commit_cancelled_before_it_began_stores_nothing(
    blobs: BlobStore, tmp_path: Path
) -> None:
    with trio.CancelScope() as scope:
        async with blobs.open_sink() as sink:
            await sink.write(DATA)
            scope.cancel()
            await sink.commit()
    assert scope.cancelled_caught
    assert files(tmp_path / "blobs") == []


@pytest.mark.parametrize("size", [100 * 1024 + 1, 400 * 1024])
async def test_a_full_disk_is_journal_unavailable_and_leaves_nothing(
    blobs: BlobStore, tmp_path: Path, size: int
) -> None:
    with full_disk(), pytest.raises(JournalUnavailable, match="blob store") as caught:
        await blobs.put(bytes(size))
    assert caught.value.retryable
    assert files(tmp_path / "blobs") == []
    await blobs.put(DATA)
    assert await blobs.size(NAME) == len(DATA)


async def test_opening_removes_what_a_crash_left_and_keeps_the_blobs(
    blobs: BlobStore, tmp_path: Path
) -> None:
    await blobs.put(DATA)
    (tmp_path / "blobs" / "tmp" / "0123").write_bytes(b"half")
    again = await BlobStore.open(tmp_path / "blobs")
    assert files(tmp_path / "blobs") == [f"{NAME[:2]}/{NAME[2:4]}/{NAME}"]
    assert await again.read(NAME, limit=10**9) == DATA


async def test_a_directory_that_cannot_be_made_is_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file in the way")
    with pytest.raises(StoreUnavailable, match="blob store"):
        await BlobStore.open(tmp_path / "blobs")


async def test_a_missing_blob_is_none(blobs: BlobStore) -> None:
    assert await blobs.size(NAME) is None
    assert await blobs.read(NAME, limit=1) is None
    assert await blobs.examine(NAME, bytes) is None


async def test_a_disk_that_fails_to_read_is_store_unavailable(blobs: BlobStore) -> None:
    blobs.path(NAME).mkdir(parents=True)
    with pytest.raises(StoreUnavailable):
        await blobs.read(NAME, limit=1)


@pytest.mark.parametrize(
    "name",
    ["", "../" * 20 + "etc/passwd", NAME.upper(), NAME[:-1], NAME + "0", NAME + "\n", "/" * 64],
)
async def test_only_a_hash_names_a_blob(blobs: BlobStore, name: str) -> None:
    """P7: a name from a URL reaches no other file."""
    with pytest.raises(ValueError, match="64 lower-case hexadecimal"):
        blobs.path(name)
    with pytest.raises(ValueError, match="64 lower-case hexadecimal"):
        await blobs.read(name, limit=1)


@pytest.mark.parametrize("data", [b"", DATA])
async def test_a_whole_blob_can_be_examined_in_place(blobs: BlobStore, data: bytes) -> None:
    assert await blobs.examine(await blobs.put(data), bytes) == data


async def test_what_examining_raises_comes_through(blobs: BlobStore) -> None:
    def refuse(view: memoryview) -> None:
        raise ValueError(f"{len(view)} bytes of nonsense")

    name = await blobs.put(DATA)
    with pytest.raises(ValueError, match="11000 bytes of nonsense"):
        await blobs.examine(name, refuse)
