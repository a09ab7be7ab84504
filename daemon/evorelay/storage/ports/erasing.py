"""Everything of one person in the store: found, and taken out."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, Protocol

from evorelay.model.erasing import Person, Traces


class Erasing(Protocol):
    """Looking works anywhere; ``erase`` and ``overwrite_events`` in a transaction only."""

    def contacts_named(
        self, *, contact: str | None, aliases: Sequence[str], instance: str | None
    ) -> list[str]:
        """Contacts with this id, or with one of the aliases; in one instance or in all."""

    def everybody(
        self, contacts: Collection[str]
    ) -> list[tuple[str, str, str | None, str | None, str]]:
        """(id, instance, phone, lid, jid) of these and of all who were merged with them."""

    def aliases_of(self, contacts: Collection[str]) -> list[tuple[str, str]]:
        """(instance, alias) of these contacts, and those that merges took from them."""

    def all_aliases(self, after: tuple[str, str], limit: int) -> list[tuple[str, str, str]]:
        """(instance, alias, contact) beyond the first two of another one, in their order."""

    def find(self, person: Person, until: int, since: Traces | None = None) -> Traces:
        """All traces. Messages sent later than ``until`` (Unix ms) are left out, and what they
        need. Where there are such, everything else is found as old as that; else whatever its age.

        ``since``: what an earlier search found; messages and events that it saw are passed over.
        """

    def quarantined_in(self, bodies: Collection[str]) -> list[str]:
        """Ids of quarantined webhooks whose body is one of these blobs."""

    def blobs_of_quarantine(self, ids: Collection[str]) -> list[str]: ...

    def rows(
        self, table: Literal["contacts", "tickets", "quarantine"], ids: Collection[str]
    ) -> list[dict[str, Any]]:
        """Rows by id, as objects; times are RFC 3339."""

    def event_data(self, ids: Collection[int]) -> dict[int, str]: ...

    def erase(self, person: Person, found: Traces) -> None:
        """Take out rows. ``mentions`` and ``events`` are left to the caller; positions and heads
        of channels stay, so that no offset is ever missing (P3).

        What is freed is overwritten with zeros from here on, until ``Maintenance.scrub``.
        """

    def overwrite_events(self, told: Iterable[tuple[int, str, str]]) -> None:
        """(id, type, data): what was told then is this from now on."""
