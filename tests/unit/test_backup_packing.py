"""P9: compressed files: what was written is read, what was not is refused, memory stays flat."""

import itertools
import random
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.backup import DamagedBackup, FileEntry
from evorelay.relay.backup import packing
from evorelay.relay.backup.pace import Pace
from evorelay.relay.backup.packing import lines, packed, unpack_file, unpacked

PACE = Pace()


def entry_of(compressed: bytes, raw: bytes, **fields: int) -> FileEntry:
    return FileEntry(
        bytes=len(compressed),
        sha256=sha256(compressed).hexdigest(),
        raw_bytes=fields.get("raw_bytes", len(raw)),
        raw_sha256=sha256(raw).hexdigest(),
    )


@pytest.mark.parametrize("size", [0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 3_000_000])
def test_what_was_written_is_read_and_by_zstd_alone(tmp_path: Path, size: int) -> None:
    data = bytes(i * i % 251 for i in range(size))
    path = tmp_path / "x.zst"
    with packed(path) as packer:
        for start in range(0, size, 70_000):
            packer.write(data[start : start + 70_000])
    assert b"".join(unpacked(path, packer.entry, PACE)) == data
    assert zstd.decompress(path.read_bytes()) == data
    assert packer.entry == entry_of(path.read_bytes(), data)
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_come_whole_however_they_are_cut(texts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(text + b"\n" for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(edges)]
    assert list(lines(iter(pieces), "x")) == texts


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LINE_BYTES_MAX", 1000)
    with pytest.raises(DamagedBackup, match="more than 1000 bytes"):
        list(lines((b"x" * 100 for _ in range(100_000)), "x"))
    with pytest.raises(DamagedBackup, match="middle of a line"):
        list(lines(iter([b"a\nb"]), "x"))


def test_a_bomb_stops_at_what_was_promised(tmp_path: Path) -> None:
    raw = bytes(100 << 20)
    compressed = zstd.compress(raw)
    path = tmp_path / "x.zst"
    path.write_bytes(compressed)
    pieces = unpacked(path, entry_of(compressed, raw, raw_bytes=1 << 20), PACE)
    taken: list[int] = []
    with pytest.raises(DamagedBackup, match="more than it should"):
        taken.extend(map(len, pieces))
    assert sum(taken) <= 1 << 20


def test_what_hangs_on_behind_is_refused(tmp_path: Path) -> None:
    compressed = zstd.compress(b"one") + zstd.compress(b"two")
    path = tmp_path / "x.zst"
    path.write_bytes(compressed)
    with pytest.raises(DamagedBackup):
        list(unpacked(path, entry_of(compressed, b"one"), PACE))


def test_stopping_ends_it_between_two_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.zst"
    with packed(path) as packer:
        packer.write(random.Random(1).randbytes(2_000_000))
    breaths = itertools.count()

    def check() -> None:
        if next(breaths) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack_file(path, packer.entry, tmp_path / "y", Pace(check=check))
    assert 0 < (tmp_path / "y").stat().st_size < 2_000_000


def test_a_pace_keeps_to_its_share() -> None:
    """By a clock of its own: it rests as long as it takes."""
    now = 0.0
    rests: list[float] = []
    pace = Pace(0.25, clock=lambda: now, rest=rests.append)
    for _ in range(5):
        now += 0.025
        pace()
    assert rests == [pytest.approx(0.075)] * 5
