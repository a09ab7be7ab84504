"""Looking through everything that is kept, read only (``evorelay fsck``)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from evorelay.model.envelope import Envelope
from evorelay.model.fsck import Fault


class StoreCheck(Protocol):
    def faults(self, looking: Callable[[str], None]) -> Iterator[Fault]:
        """Everything that does not hold, in one view; ``looking`` is told what comes next."""

    def counts(self) -> dict[str, int]:
        """How many rows there are; -1 where a table cannot be read."""

    def cursor(self, journal: str) -> int:
        """Up to which seq a journal is handled, now."""

    def unneeded(self, blobs: Sequence[str]) -> set[str]:
        """Those that no row refers to now, but for what quarantined bodies name."""

    def born_at(self) -> int:
        """As ``StoreReader.born_at``."""

    def quarantined(self) -> Iterator[str]:
        """The bodies of quarantined webhooks."""

    def files(self) -> Iterator[tuple[str, str]]:
        """(blob, what needs it) of each file that is said to be here."""


class JournalCheck(Protocol):
    is_there: bool
    entries: int
    """Read so far; ``first`` and ``last`` seq likewise, 0 for none."""
    first: int
    last: int

    @property
    def identity(self) -> str: ...

    def newest(self) -> int:
        """The last number given by now, also since this look began."""

    def faults(self, seen: Callable[[int, Envelope], None]) -> Iterator[Fault]:
        """Read it whole; ``seen`` is given each entry."""


class Names(Protocol):
    """A set of blob names of any size, outside of memory."""

    def add(self, names: set[str]) -> None: ...

    def add_in(self, text: bytes) -> None:
        """Those that are named in a webhook's body."""

    def __iter__(self) -> Iterator[str]: ...

    def missing(self, names: Sequence[str]) -> set[str]:
        """Those of them that are not in it."""
