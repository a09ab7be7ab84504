"""P9: a manifest is what was written, to the bit, and whoever wrote it opens no file of ours."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from evorelay.model.backup import DamagedBackup, FileEntry, Link, Manifest, Mark, Media, Total
from evorelay.protocol.backup_manifest import (
    CONVERSATIONS,
    decode_manifest,
    encode_manifest,
    is_backup_id,
)

ID = "20261130T050000Z"
ENTRY = FileEntry(bytes=3, sha256="a" * 64, raw_bytes=9, raw_sha256="b" * 64)


def manifest(**fields: Any) -> Manifest:
    values: dict[str, Any] = {
        "format": 1,
        "evorelay": "1.2.3",
        "id": ID,
        "created_at": datetime(2026, 11, 30, 5, tzinfo=UTC),
        "from_": datetime(2026, 11, 29, 5, tzinfo=UTC),
        "since": 4,
        "mark": Mark(
            epoch="e",
            schema=5,
            revision=9,
            change="message m1",
            event_id=3,
            arrival=2,
            cursors={"j": 7},
        ),
        "previous": Link("20261129T050000Z", "c" * 64),
        "counts": {"message": 2},
        "totals": {"messages": Total(2, "d" * 64)},
        "media": Media(files=0, bytes=0),
        "files": {CONVERSATIONS: ENTRY},
    }
    return Manifest(**values | fields)


def test_what_was_written_is_read() -> None:
    data, sha256 = encode_manifest(manifest())
    assert decode_manifest(data, ID) == (manifest(), sha256)
    assert msgspec.json.decode(data)["sha256"] == sha256


def test_any_flipped_bit_is_found() -> None:
    data, _ = encode_manifest(manifest())
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(DamagedBackup):
                decode_manifest(bytes(flipped), ID)


def test_any_cut_and_any_addition_is_found() -> None:
    data, _ = encode_manifest(manifest())
    for cut in (*(data[:end] for end in range(len(data))), data + b" ", data + data, b" " + data):
        with pytest.raises(DamagedBackup):
            decode_manifest(cut, ID)


def test_the_manifest_of_another_backup_is_no_manifest_of_this_one() -> None:
    data, _ = encode_manifest(manifest())
    with pytest.raises(DamagedBackup, match="swapped"):
        decode_manifest(data, "20261130T050001Z")


@pytest.mark.parametrize(
    "fields",
    [
        {"files": {CONVERSATIONS: ENTRY, "../../secrets.json": ENTRY}},
        {"files": {CONVERSATIONS: ENTRY, "/etc/passwd": ENTRY}},
        {"files": {CONVERSATIONS: ENTRY, "manifest.json": ENTRY}},
        {"files": {}},
        {"files": {CONVERSATIONS: msgspec.structs.replace(ENTRY, bytes=-1)}},
        {"files": {CONVERSATIONS: msgspec.structs.replace(ENTRY, sha256="../x")}},
        {"previous": Link("../../etc", "c" * 64)},
        {"format": 99},
    ],
)
def test_a_hostile_manifest_with_a_right_hash_is_refused(fields: dict[str, Any]) -> None:
    data, _ = encode_manifest(manifest(**fields))
    with pytest.raises(DamagedBackup):
        decode_manifest(data, ID)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"[" * 100_000, b'{"sha256": 1}', b"\xff"])
def test_what_is_no_manifest_is_damage_and_no_crash(data: bytes) -> None:
    with pytest.raises(DamagedBackup):
        decode_manifest(data, ID)


@pytest.mark.parametrize("name", ["..", "", "x/20261130T050000Z", "20261130T050000Z/..", ".tmp-x"])
def test_what_is_no_name_of_a_backup_is_part_of_no_path(name: str) -> None:
    assert not is_backup_id(name)
