"""The journal on SQLite: one row is one group commit.

A batch is stored as one MessagePack value, so a commit costs one insert however many webhooks
share it, and bodies stay opaque bytes. ``seq`` numbers entries across batches without holes.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from evorelay.model.envelope import Entry, Envelope
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.storage.ports import Journaled
from evorelay.storage.sqlite.connection import (
    DamagedFile,
    open_reader,
    open_writer,
    scrub,
    transaction,
    translated_errors,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    last_seq INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, committed_at INTEGER NOT NULL,
    envelopes BLOB NOT NULL
);
"""
_TRIM_BATCHES = 500
"""Batches dropped in one transaction: a few ms, so that commits hardly wait behind it."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Envelope]).decode


class SqliteJournal:
    """``JournalStore`` in one file. ``append`` and ``read`` use connections of their own."""

    def __init__(self, path: Path) -> None:
        self._writer = open_writer(path)
        with translated_errors(path):
            with transaction(self._writer):
                self._writer.execute(_SCHEMA)
                self._writer.execute(
                    "INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (uuid.uuid4().hex,)
                )
            self.identity: str = self._writer.execute(
                "SELECT value FROM meta WHERE key = 'identity'"
            ).get
            self._last_seq: int = self._writer.execute(
                "SELECT coalesce(max(last_seq), 0) FROM batches"
            ).get
        self._reader = open_reader(path)

    def append(self, envelopes: Sequence[Envelope]) -> int:
        first = self._last_seq + 1
        last = self._last_seq + len(envelopes)
        try:
            with translated_errors(self._writer.filename):
                self._writer.execute(
                    "INSERT INTO batches VALUES (?, ?, ?, ?)",
                    (last, first, time.time_ns() // 1_000_000, _encode(envelopes)),
                )
        except (StoreUnavailable, apsw.Error) as error:
            raise JournalUnavailable(f"the journal cannot be written: {error}") from error
        self._last_seq = last
        return first

    def read(self, after: int, limit_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        with translated_errors(self._reader.filename):
            rows = self._reader.execute(
                "SELECT first_seq, envelopes FROM batches WHERE last_seq > ? ORDER BY last_seq",
                (after,),
            )
            for first_seq, envelopes in rows:
                for seq, envelope in enumerate(self._decoded(envelopes), first_seq):
                    if seq > after:
                        entries.append(Entry(seq, envelope))
                size += len(envelopes)
                if size >= limit_bytes:
                    break
            rows.close()
        return entries

    def find(self, seq: int) -> Journaled | None:
        with translated_errors(self._reader.filename):
            row = self._reader.execute(
                "SELECT first_seq, committed_at, envelopes FROM batches WHERE last_seq >= ?"
                " ORDER BY last_seq LIMIT 1",
                (seq,),
            ).fetchone()
        if row is None or row[0] > seq:
            return None
        first_seq, committed_at, envelopes = row
        return Journaled(Entry(seq, self._decoded(envelopes)[seq - first_seq]), committed_at)

    def _decoded(self, envelopes: bytes) -> list[Envelope]:
        try:
            return _decode(envelopes)
        except msgspec.DecodeError as error:  # SQLite has no checksums: it gives back what is there
            raise DamagedFile(self._reader.filename, str(error)) from error

    def last_seq(self) -> int:
        return self._last_seq

    def oldest_at(self) -> int | None:
        with translated_errors(self._reader.filename):
            at: int | None = self._reader.execute(
                "SELECT committed_at FROM batches ORDER BY last_seq LIMIT 1"
            ).get
            return at

    def skip_to(self, seq: int) -> None:
        self._last_seq = max(self._last_seq, seq)

    def replace(self, envelopes: Mapping[int, Envelope]) -> None:
        self._writer.pragma("secure_delete", True)
        with transaction(self._writer):
            for seq, envelope in envelopes.items():
                row = self._writer.execute(
                    "SELECT last_seq, first_seq, envelopes FROM batches WHERE last_seq >= ?"
                    " AND first_seq <= ? ORDER BY last_seq LIMIT 1",
                    (seq, seq),
                ).fetchone()
                if row is None:
                    continue
                last, first, packed = row
                batch = self._decoded(packed)
                batch[seq - first] = envelope
                self._writer.execute(
                    "UPDATE batches SET envelopes = ? WHERE last_seq = ?", (_encode(batch), last)
                )

    def scrub(self, compact_bytes_max: int) -> bool:
        return scrub(self._writer, compact_bytes_max)

    def trim(self, up_to_seq: int, older_than_ms: int) -> int:
        with transaction(self._writer):
            doomed: list[Any] = self._writer.execute(
                "SELECT last_seq, last_seq - first_seq + 1 FROM batches"
                " WHERE last_seq <= min(?, ?) AND committed_at < ? ORDER BY last_seq LIMIT ?",
                (up_to_seq, self._last_seq - 1, older_than_ms, _TRIM_BATCHES),
            ).fetchall()
            if not doomed:
                return 0
            last = doomed[-1][0]
            self._writer.execute("DELETE FROM batches WHERE last_seq <= ?", (last,))
        return sum(count for _, count in doomed)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
