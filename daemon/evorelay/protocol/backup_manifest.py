"""The manifest as bytes. It carries its own SHA-256, and every byte of it counts.

There is exactly one way to write a manifest, so a file that differs from it in any bit, were it in
the white space, is not one. What is read here may come from anybody: names of files are compared
with those we know, and nothing is opened by a name that a manifest made up.
"""

import hashlib
import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from evorelay.model.backup import FORMAT, CheckResult, DamagedBackup, Manifest

MANIFEST = "manifest.json"
CONVERSATIONS = "conversations.jsonl.zst"
DATABASE = "store.db.zst"
MEDIA = "media.jsonl.zst"
_KNOWN = (CONVERSATIONS, DATABASE, MEDIA)
MANIFEST_BYTES_MAX = 1024 * 1024
_ID = re.compile(r"\d{8}T\d{6}Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")

S = TypeVar("S", bound=Struct)


def is_backup_id(text: str) -> bool:
    """Whether it could name a backup; what could not is never part of a path."""
    return _ID.fullmatch(text) is not None


def encode_manifest(manifest: Manifest) -> tuple[bytes, str]:
    """The file, and the SHA-256 that it carries."""
    return _sealed(msgspec.to_builtins(manifest))


def decode_manifest(data: bytes, backup_id: str) -> tuple[Manifest, str]:
    """Raises ``DamagedBackup``. ``backup_id``: the directory it lay in."""
    manifest, sha256 = _opened(data, Manifest, MANIFEST)
    if manifest.id != backup_id:
        raise DamagedBackup(f"{MANIFEST} is that of {manifest.id[:40]}: it was swapped")
    if manifest.format > FORMAT:
        raise DamagedBackup(
            f"it was made by a newer evorelay ({manifest.evorelay[:40]}); restore it with that one"
        )
    for name, entry in manifest.files.items():
        if name not in _KNOWN:
            raise DamagedBackup(f"{MANIFEST} names a file that no backup has: {name[:80]!r}")
        sums = (entry.sha256, entry.raw_sha256)
        if not all(map(_SHA256.fullmatch, sums)) or min(entry.bytes, entry.raw_bytes) < 0:
            raise DamagedBackup(f"{MANIFEST} says nothing sensible about {name}")
    if CONVERSATIONS not in manifest.files:
        raise DamagedBackup(f"{MANIFEST} names no conversations")
    if manifest.previous is not None and not is_backup_id(manifest.previous.id):
        raise DamagedBackup(f"{MANIFEST} names no backup as the previous one")
    if (manifest.since is None) != (manifest.from_ is None) or (
        manifest.since is not None and manifest.previous is None
    ):
        raise DamagedBackup(f"{MANIFEST} says nothing sensible about what it continues")
    return manifest, sha256


def encode_check(result: CheckResult) -> bytes:
    return _sealed(msgspec.to_builtins(result))[0]


def decode_check(data: bytes) -> CheckResult:
    """Raises ``DamagedBackup``."""
    return _opened(data, CheckResult, "the result of the last check")[0]


def _sealed(fields: dict[str, Any]) -> tuple[bytes, str]:
    sha256 = hashlib.sha256(_text(fields)).hexdigest()
    return _text(fields | {"sha256": sha256}), sha256


def _opened(data: bytes, struct: type[S], what: str) -> tuple[S, str]:
    damaged = DamagedBackup(f"{what} was changed")
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
        sha256 = fields.pop("sha256")
        value = msgspec.convert(fields, struct)
    except (msgspec.MsgspecError, KeyError, RecursionError, UnicodeError):
        raise damaged from None
    written, expected = _sealed(msgspec.to_builtins(value))
    if written != data or expected != sha256:
        raise damaged
    return value, expected


def _text(fields: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(fields, order="sorted"), indent=2) + b"\n"
