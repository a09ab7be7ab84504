"""What backups need of a store: a copy of it at rest, its rows as lines, and putting them back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from evorelay.model.backup import Mark, Total

Breathe = Callable[[], None]
"""Called often during long work, from its thread: it may sleep, and raise to end the work."""


class Merged(NamedTuple):
    """What a merge did to the store."""

    rows: int
    """New or different ones, of every kind."""
    messages: int
    """New ones."""
    failed_replies: int
    """Replies taken over that were waiting: they count as failed now, for nobody knows."""
    epoch: str


class StoreCopy(Protocol):
    """A store at rest, read by one thread. Rows are read in pages; memory stays flat.

    Everything here raises ``DamagedBackup`` where the file is not a store of ours.
    """

    def mark(self) -> Mark: ...

    def continues(self, mark: Mark) -> bool:
        """Whether its log of changes reaches back to that moment of the same life."""

    def lines(self, since: int | None) -> Iterator[tuple[str, int, bytes]]:
        """Conversations as JSON Lines: (kind, how many, text that ends in a newline).

        ``since``: only what changed after that revision, with the people and tickets it belongs to;
        what is gone comes first, as ``removed``. None: everything. What was deleted on WhatsApp is
        without its words.
        """

    def media(self) -> Iterator[tuple[int, int, bytes]]:
        """Files that messages carry, as JSON Lines: (how many, their bytes, text)."""

    def totals(self) -> dict[str, Total]:
        """What is in it, by table, to be compared with another copy."""

    def problem(self) -> str | None:
        """What SQLite's integrity check and the foreign keys say, None when all is well."""


class BackupStore(Protocol):
    """The store as backups and restores see it, from the side: no writer of it is needed."""

    @property
    def directory(self) -> Path:
        """Where the store is, or will be."""

    def size_bytes(self) -> int:
        """How large a copy may be. Raises ``StoreUnavailable`` when there is no store."""

    def copy_to(self, path: Path, breathe: Breathe) -> Mark:
        """Write a consistent copy, compact and without what is secret; never blocks the writer.

        The copy is a store of its own, with another epoch. Returns the moment it shows.
        """

    def open_copy(self, path: Path, breathe: Breathe) -> AbstractContextManager[StoreCopy]:
        """A copy made by any version; an older one is brought up to date first."""

    def build_copy(
        self,
        path: Path,
        lines: Iterable[bytes],
        cursors: Mapping[str, int],
        breathe: Breathe,
        *,
        has_gaps: bool = False,
    ) -> int:
        """A store made of such lines, in their order; the later one wins. Returns how many rows
        had to be left out, for they belong to others that are in no line.

        ``has_gaps``: days between them are missing, so what contradicts a later line gives way.
        """

    def at(self, path: Path) -> "BackupStore":
        """The same for a store in another place."""

    def restore(
        self,
        copy: Path,
        mark: Mark,
        breathe: Breathe,
        told: Callable[[int], None],
        *,
        settles: bool = True,
    ) -> Merged:
        """Put a copy's rows into the store, which nobody else has open. ``told``: messages done.

        Into an empty place the copy itself is moved. What is there already stays, unless the copy
        is a later state of the same store; twice the same changes nothing. ``settles``: replies
        that waited then count as failed.
        """
