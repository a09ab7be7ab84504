"""Backups of a store that a test fills: made, checked, restored, and read back as text."""

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trio

from evorelay.model.backup import CheckResult, Manifest, Restored
from evorelay.protocol.backup_manifest import CONVERSATIONS
from evorelay.relay.backup.checking import check_backup
from evorelay.relay.backup.making import make_backup
from evorelay.relay.backup.pace import Pace
from evorelay.relay.backup.packing import unpacked
from evorelay.relay.backup.restoring import Told, restore_backup
from evorelay.relay.backup.shelf import Shelf
from evorelay.storage.open import backup_store, store_for_restore

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""


class Backing:
    """The backups of ``state``, whether or not a daemon has it open."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.shelf = Shelf(state.with_name(state.name + "-backups"))
        self.now = NOON
        self.keep = 30

    def make(self) -> Manifest:
        self.now += timedelta(days=1)
        with self.shelf.locked():
            return make_backup(
                backup_store(self.state, None),
                self.shelf,
                self.now,
                Pace(),
                keep=self.keep,
                spare_bytes=0,
            )

    async def make_beside(self) -> Manifest:
        """While the test's own loop goes on."""
        return await trio.to_thread.run_sync(self.make)

    def check(self, backup_id: str) -> CheckResult:
        with self.shelf.locked():
            return check_backup(
                backup_store(self.state, None), self.shelf, backup_id, self.now, Pace()
            )

    def restore(
        self,
        backup_id: str,
        target: Path,
        *,
        from_conversations: bool = False,
        is_partial: bool = False,
        told: Told = silent,
    ) -> Restored:
        with (
            store_for_restore(target, None) as store,
            tempfile.TemporaryDirectory(dir=target) as scratch,
        ):
            return restore_backup(
                store,
                self.shelf,
                backup_id,
                Path(scratch),
                Pace(),
                told,
                from_conversations=from_conversations,
                is_partial=is_partial,
            )

    def lines(self, manifest: Manifest) -> list[dict[str, Any]]:
        """Its conversations."""
        path = self.shelf.place(manifest.id) / CONVERSATIONS
        text = b"".join(unpacked(path, manifest.files[CONVERSATIONS], Pace()))
        return [json.loads(line) for line in text.splitlines()]


def rows(state: Path) -> list[dict[str, Any]]:
    """Everything that a store holds of conversations; what was deleted is without its words."""
    return list(_rows(state))


def _rows(state: Path) -> Iterator[dict[str, Any]]:
    store = backup_store(state, None)
    with tempfile.TemporaryDirectory() as directory:
        copy_path = Path(directory) / "copy.db"
        store.copy_to(copy_path, Pace())
        with store.open_copy(copy_path, Pace()) as copy:
            for _, _, text in copy.lines(None):
                yield from map(json.loads, text.splitlines())


def said(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Messages among them, by id."""
    return {line["id"]: line for line in lines if line["kind"] == "message"}
