"""P9: whatever is done to a backup on the disk, ``verify`` finds it, and nothing else happens."""

import errno
import itertools
import os
import shutil
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import apsw
import msgspec
import pytest
import trio
from backports import zstd

from evorelay.model.backup import BackupFailed, DamagedBackup, FileEntry, Manifest
from evorelay.model.errors import StoreUnavailable
from evorelay.protocol.backup_manifest import CONVERSATIONS, DATABASE, MANIFEST, encode_manifest
from evorelay.relay.backup.checking import check_files
from evorelay.relay.backup.listing import listed, newest_of
from evorelay.relay.backup.pace import Pace
from tests.engine.backing import Backing
from tests.engine.harness import World, message, open_blobs, stored


async def _filled(directory: Path) -> Backing:
    backing = Backing(directory / "state")
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        for number in range(3):
            await world.apply(message(f"A{number}", content="oi " * 20))
            manifest = await backing.make_beside()
            assert backing.check(manifest.id).problem is None
    return backing


@pytest.fixture
def backing(tmp_path: Path) -> Backing:
    """Three backups in a row, all of them checked."""
    return trio.run(_filled, tmp_path)


def found(backing: Backing, backup_id: str) -> str | None:
    """What is wrong, as far as looking at its bytes tells; a restore finds no less."""
    try:
        check_files(backing.shelf, backup_id, Pace())
    except DamagedBackup as error:
        return str(error)
    return None


def middle(backing: Backing) -> str:
    return backing.shelf.ids()[1]


def files_of(backing: Backing, backup_id: str) -> list[Path]:
    files = sorted(backing.shelf.place(backup_id).iterdir())
    assert [path.name for path in files] == [
        CONVERSATIONS,
        MANIFEST,
        "media.jsonl.zst",
        DATABASE,
    ]
    return files


def test_every_flipped_bit_of_every_file_is_found(backing: Backing) -> None:
    backup_id = middle(backing)
    for path in files_of(backing, backup_id):
        data = path.read_bytes()
        # Each byte, one of its bits after the other: a hash knows no better and no worse ones.
        for place in range(len(data)) if len(data) < 4000 else range(0, len(data), 7):
            flipped = bytearray(data)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            assert found(backing, backup_id), (path.name, place)
        path.write_bytes(data)
    assert found(backing, backup_id) is None


def test_a_cut_or_grown_file_is_found(backing: Backing) -> None:
    backup_id = middle(backing)
    for path in files_of(backing, backup_id):
        data = path.read_bytes()
        for other in (b"", data[:-1], data[: len(data) // 2], data + b"\0", data + data):
            path.write_bytes(other)
            assert found(backing, backup_id), (path.name, len(other))
        path.write_bytes(data)


def test_a_missing_and_a_strange_file_are_found(backing: Backing) -> None:
    backup_id = middle(backing)
    for path in files_of(backing, backup_id):
        aside = path.read_bytes()
        path.unlink()
        assert "missing" in (found(backing, backup_id) or "")
        os.symlink("/etc/passwd", path)
        assert found(backing, backup_id)
        path.unlink()
        os.mkfifo(path)
        assert found(backing, backup_id)  # and nobody waits for somebody to write into it
        path.unlink()
        path.mkdir()
        assert found(backing, backup_id)
        path.rmdir()
        path.write_bytes(aside)
    (backing.shelf.place(backup_id) / "notes.txt").write_text("x")
    assert "notes.txt" in (found(backing, backup_id) or "")


def test_files_swapped_between_backups_are_found(backing: Backing) -> None:
    first, second, _ = backing.shelf.ids()
    for path in files_of(backing, first):
        other = backing.shelf.place(second) / path.name
        if path.read_bytes() == other.read_bytes():
            continue  # the list of media, empty in both
        one, two = path.read_bytes(), other.read_bytes()
        path.write_bytes(two)
        other.write_bytes(one)
        assert found(backing, first), path.name
        assert found(backing, second), path.name
        path.write_bytes(one)
        other.write_bytes(two)


def test_whole_backups_that_changed_places_are_found(backing: Backing) -> None:
    first, second, third = backing.shelf.ids()
    place = backing.shelf.place
    place(first).rename(place(first).with_name("aside"))
    place(second).rename(place(first))
    place(first).with_name("aside").rename(place(second))
    assert "swapped" in (found(backing, first) or "")
    assert "swapped" in (found(backing, second) or "")
    assert found(backing, third) is None  # it is where it was, and all there


def reseal(backing: Backing, backup_id: str, **fields: object) -> None:
    """What a forger does who knows how manifests are hashed."""
    manifest, _ = backing.shelf.manifest(backup_id)
    data, _ = encode_manifest(msgspec.structs.replace(manifest, **fields))
    (backing.shelf.place(backup_id) / MANIFEST).write_bytes(data)


def test_a_forged_manifest_breaks_the_chain(backing: Backing) -> None:
    first, second, third = backing.shelf.ids()
    reseal(backing, second, evorelay="9.9.9")
    assert found(backing, second)  # another one than was checked, and than the third continues
    assert "continues another" in (found(backing, third) or "")
    (backing.shelf.path / f"{second}.check.json").unlink()
    assert "continues another" in (found(backing, second) or "")
    assert found(backing, first) is None


def test_a_damaged_neighbour_makes_no_other_backup_a_damaged_one(
    backing: Backing, tmp_path: Path
) -> None:
    """P9: one manifest that is gone must not take the backups before and behind it along."""
    first, second, third = backing.shelf.ids()
    (backing.shelf.place(second) / MANIFEST).write_bytes(b"")
    assert found(backing, second) is not None
    for whole in (first, third):
        assert backing.check(whole).problem is None
        assert backing.restore(whole, tmp_path / whole).source == "database"


def test_a_changed_result_of_a_check_is_found(backing: Backing) -> None:
    backup_id = middle(backing)
    path = backing.shelf.path / f"{backup_id}.check.json"
    data = path.read_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert found(backing, backup_id), place
    views = {view.id: view for view in listed(backing.shelf)}
    assert views[backup_id].state == "damaged"
    assert backing.check(backup_id).problem is not None
    assert backing.check(backup_id).problem is None  # told once, it is written anew


def test_damage_is_shown_in_lists_and_the_newest_whole_one_counts(backing: Backing) -> None:
    newest = backing.shelf.ids()[-1]
    manifest = backing.shelf.place(newest) / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert [view.state for view in listed(backing.shelf)] == ["damaged", "verified", "verified"]
    found_newest = newest_of(backing.shelf)
    assert found_newest is not None
    assert found_newest.manifest.id == middle(backing)


def forged(backing: Backing, backup_id: str, name: str, raw: bytes, **claims: int) -> Manifest:
    """Another file in a backup, with a manifest that vouches for it."""
    packed = zstd.compress(raw)
    entry = FileEntry(
        bytes=len(packed),
        sha256=sha256(packed).hexdigest(),
        raw_bytes=claims.get("raw_bytes", len(raw)),
        raw_sha256=sha256(raw).hexdigest(),
    )
    place = backing.shelf.place(backup_id)
    (place / name).write_bytes(packed)
    (backing.shelf.path / f"{backup_id}.check.json").unlink(missing_ok=True)
    manifest, _ = backing.shelf.manifest(backup_id)
    reseal(backing, backup_id, files={**manifest.files, name: entry})
    return backing.shelf.manifest(backup_id)[0]


def test_a_bomb_is_refused_before_it_fills_anything(backing: Backing) -> None:
    """64 MiB in a few kilobytes, of which the manifest says that they are a hundred."""
    newest = backing.shelf.ids()[-1]
    forged(backing, newest, DATABASE, bytes(64 << 20), raw_bytes=100)
    result = backing.check(newest)
    assert result.problem is not None
    assert "more than it should" in result.problem
    assert [path.name for path in backing.shelf.path.glob(".tmp*")] == []


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b'{"kind":"message"}',
        b'{"kind":"nothing"}',
        b'{"kind":"removed","of":"sqlite_schema","key":"x"}',
        b'{"kind":"contact","id":{"a":1},"instance":"loja","name":"x"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_none_of_ours_is_refused(
    backing: Backing, tmp_path: Path, line: bytes
) -> None:
    newest = backing.shelf.ids()[-1]
    forged(backing, newest, CONVERSATIONS, line + b"\n")
    target = tmp_path / "target"
    with pytest.raises(DamagedBackup):
        backing.restore(newest, target, from_conversations=True)
    assert not (target / "store.db").exists()


def test_a_database_that_brings_sql_of_its_own_is_refused(backing: Backing, tmp_path: Path) -> None:
    """A trigger in it would run in our hands."""
    newest = backing.shelf.ids()[-1]
    packed = (backing.shelf.place(newest) / DATABASE).read_bytes()
    path = tmp_path / "evil.db"
    path.write_bytes(zstd.decompress(packed))
    db = apsw.Connection(str(path))
    db.execute(
        "CREATE TRIGGER evil AFTER UPDATE ON contacts BEGIN DELETE FROM messages; END;"
        "UPDATE meta SET value = value"
    )
    db.close()
    forged(backing, newest, DATABASE, path.read_bytes())
    problem = backing.check(newest).problem
    assert problem is not None
    assert "evil" in problem
    with pytest.raises(DamagedBackup):
        backing.restore(newest, tmp_path / "target")


def test_a_damaged_backup_is_not_restored(backing: Backing, tmp_path: Path) -> None:
    newest = backing.shelf.ids()[-1]
    path = backing.shelf.place(newest) / DATABASE
    path.write_bytes(path.read_bytes()[:-1])
    target = tmp_path / "target"
    with pytest.raises(DamagedBackup, match="cut short"):
        backing.restore(newest, target)
    assert not (target / "store.db").exists()
    assert backing.restore(newest, target, from_conversations=True).messages == 3


def test_nothing_continues_a_backup_that_was_found_damaged(backing: Backing) -> None:
    newest = backing.shelf.ids()[-1]
    path = backing.shelf.place(newest) / CONVERSATIONS
    path.write_bytes(path.read_bytes()[:-1])
    assert backing.check(newest).problem is not None
    following = backing.make()
    assert (following.since, following.counts["message"]) == (None, 3)


def test_what_is_written_is_for_its_owner_alone(backing: Backing) -> None:
    """P7: conversations are nobody else's business."""
    for path in (backing.shelf.path, *backing.shelf.path.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_no_secret_of_a_session_or_a_pairing_is_in_a_backup(
    backing: Backing, tmp_path: Path
) -> None:
    """P7: a pid lets who has it have what the session missed; a QR code pairs a phone."""
    store = backing.state / "store.db"
    db = apsw.Connection(str(store))
    db.execute(
        "INSERT INTO sockets VALUES ('pid-of-somebody', 'ana', '{}', 1);"
        "UPDATE events SET origin = 'pid-of-somebody';"
        "INSERT INTO instances (name, state, state_since, last_event_at, created_at, qrcode)"
        " VALUES ('outra', 'connecting', 1, 1, 1, '{\"code\": \"code-to-pair-with\"}')"
    )
    db.close()
    manifest = backing.make()
    copy = tmp_path / "copy.db"
    packed = backing.shelf.place(manifest.id) / DATABASE
    copy.write_bytes(zstd.decompress(packed.read_bytes()))
    everything = copy.read_bytes() + repr(backing.lines(manifest)).encode()
    assert b"outra" in everything
    assert b"pid-of-somebody" not in everything
    assert b"code-to-pair-with" not in everything


@pytest.mark.parametrize("failing_at", range(1, 9))
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    backing: Backing, monkeypatch: pytest.MonkeyPatch, failing_at: int
) -> None:
    """At each of the moments in which something is made durable, the last rename among them."""
    before = sorted(backing.shelf.path.iterdir())
    calls = itertools.count(1)

    def full(descriptor: int) -> None:
        if next(calls) == failing_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    if failing_at > 5:  # four files, the directory, and the directory it is put into
        made = None
        with suppress(BackupFailed):
            made = backing.make()
        monkeypatch.undo()
        assert all(found(backing, backup_id) is None for backup_id in backing.shelf.ids())
        assert made is None or found(backing, made.id) is None
        return
    with pytest.raises(BackupFailed, match="No space left"):
        backing.make()
    assert sorted(backing.shelf.path.iterdir()) == before


@pytest.mark.parametrize("failing_at", range(1, 5))
def test_a_disk_that_fills_up_fails_a_check_in_one_line(
    backing: Backing, monkeypatch: pytest.MonkeyPatch, failing_at: int
) -> None:
    """It is not known then whether the backup is whole, so nothing is said of it."""
    backup_id = middle(backing)
    calls = itertools.count(1)

    def full(descriptor: int) -> None:
        if next(calls) == failing_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    # Its scratch store, and that one's directory; then what is kept of the result, and its name.
    with pytest.raises((BackupFailed, StoreUnavailable), match=r"^[^N]+: No space left"):
        backing.check(backup_id)
    monkeypatch.undo()
    assert not list(backing.shelf.path.glob(".tmp-*-check"))
    assert found(backing, backup_id) is None


def test_what_a_crash_left_is_never_taken_for_a_backup(backing: Backing) -> None:
    before = backing.shelf.ids()
    shutil.copytree(backing.shelf.place(before[0]), backing.shelf.path / ".tmp-20991231T000000Z")
    assert backing.shelf.ids() == before
    with backing.shelf.locked():
        assert list(backing.shelf.path.glob(".tmp*")) == []
