"""The log of webhooks as received."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from evorelay.model.envelope import Entry, Envelope


class Journaled(NamedTuple):
    """An entry, and when its commit began (Unix ms)."""

    entry: Entry
    committed_at: int


class JournalStore(Protocol):
    """The append-only log of envelopes. One writer, one reader thread at a time each."""

    @property
    def identity(self) -> str:
        """Names this journal; the store keeps one cursor per journal."""

    def append(self, envelopes: Sequence[Envelope]) -> int:
        """Store all or nothing, fsynced on return; return the first one's seq (P1)."""

    def read(self, after: int, limit_bytes: int) -> list[Entry]:
        """Entries with ``seq > after`` in order: at least one if there is any."""

    def find(self, seq: int) -> Journaled | None:
        """One entry, None when it was trimmed or never there."""

    def last_seq(self) -> int: ...

    def oldest_at(self) -> int | None:
        """When the oldest entry that is left was committed (Unix ms); None for an empty log."""

    def skip_to(self, seq: int) -> None:
        """Number the next entry beyond ``seq``; nothing happens where it would be anyway."""

    def replace(self, envelopes: Mapping[int, Envelope]) -> None:
        """Give entries (by seq) another content: an erasure. Those that are gone are left out."""

    def scrub(self, compact_bytes_max: int) -> bool:
        """``Maintenance.scrub``"""

    def trim(self, up_to_seq: int, older_than_ms: int) -> int:
        """Drop entries with ``seq <= up_to_seq`` that are old enough; return how many.

        The newest commit always stays: the numbering goes on from it, and a reader that is further
        behind than the log reaches is led to the head by it.
        """
