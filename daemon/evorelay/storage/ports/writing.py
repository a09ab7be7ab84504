"""Changing the store: transactions, and housekeeping."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from evorelay.model.change import Change
from evorelay.model.records import (
    AliasRecord,
    ContactRecord,
    InstanceRecord,
    MemberRecord,
    MergeRecord,
    MessageRecord,
    OutboxRecord,
    SeenRecord,
    TicketRecord,
)
from evorelay.storage.ports.erasing import Erasing
from evorelay.storage.ports.plan import AliasKey, MessageKey, OpKey, Plan

T = TypeVar("T")


class Transaction(Protocol):
    """Bulk look-ups and one write. Sees its own transaction's state; nobody else writes."""

    @property
    def erasing(self) -> Erasing: ...

    def messages(self, keys: Iterable[MessageKey]) -> dict[MessageKey, MessageRecord]: ...

    def messages_by_id(self, ids: Iterable[str]) -> dict[str, MessageRecord]: ...

    def outbox(self, ids: Iterable[str]) -> dict[str, OutboxRecord]: ...

    def outbox_by_op(self, keys: Iterable[OpKey]) -> dict[OpKey, OutboxRecord]: ...

    def outbox_in_doubt(self, contact_ids: Iterable[str]) -> list[OutboxRecord]:
        """Commands of these conversations that WhatsApp may have and that do not count as sent:
        under way, waiting to be repeated, or given up."""

    def outbox_under_way(self, instance: str | None = None) -> list[OutboxRecord]:
        """Commands that are ``sending`` or ``unknown``, of the instance or of all."""

    def outbox_of(self, message_ids: Iterable[str]) -> list[OutboxRecord]:
        """Commands that made these messages, reacted to them, or were answered with them because
        another one had made them already."""

    def outbox_saying(
        self, contact_id: str, content: str, *, since: int, limit: int
    ) -> list[OutboxRecord]:
        """Commands with these words, made later than ``since`` (Unix ms), oldest first; looked for
        among the conversation's latest ``limit``."""

    def contacts_by_alias(self, keys: Iterable[AliasKey]) -> dict[AliasKey, ContactRecord]: ...

    def contacts(self, ids: Iterable[str]) -> dict[str, ContactRecord]: ...

    def latest_tickets(self, contact_ids: Iterable[str]) -> dict[str, TicketRecord]:
        """By contact: the ticket that is not closed, else the one closed last."""

    def tickets(self, ids: Iterable[str]) -> dict[str, TicketRecord]: ...

    def instances(self, names: Iterable[str]) -> dict[str, InstanceRecord]: ...

    def untold_instances(self) -> list[InstanceRecord]: ...

    def early_changes(self, keys: Iterable[MessageKey]) -> dict[MessageKey, list[Change]]: ...

    def aliases(self, contact_ids: Iterable[str]) -> list[AliasRecord]: ...

    def members(self, group_ids: Iterable[str]) -> list[MemberRecord]: ...

    def seen(self, ticket_ids: Iterable[str]) -> list[SeenRecord]: ...

    def first_inbound_after(self, ticket_id: str, after: int) -> int | None:
        """When the ticket's first message came in that is later than ``after`` (Unix ms)."""

    def tickets_of(self, contact_id: str) -> list[TicketRecord]:
        """All of a contact's tickets, merged ones included."""

    def recounted(self, ticket_ids: Iterable[str]) -> dict[str, TicketRecord]:
        """Tickets with what follows from their messages worked out anew: the last one, how many
        came in, who waits."""

    def merge(self, merge: MergeRecord) -> None:
        """Make two contacts one, at once and not with the plan: later look-ups see one person.

        The absorbed contact's aliases, tickets and ticketless history become the kept one's; the
        absorbed ticket is closed and its messages join the kept ticket.
        """

    def unmerge(self, merge: MergeRecord, ticket_id: str | None, at: int) -> None:
        """Undo a merge, at once: what was the absorbed contact's then is its own again.

        ``ticket_id``: where the absorbed ticket's messages are now. That ticket has them back and
        is still closed; nothing is counted anew. The kept contact must not be merged itself.
        """

    def with_strays(self, contact_id: str, ticket_ids: Iterable[str]) -> list[str]:
        """Those of the tickets with messages that came neither under this contact nor under one
        that was merged into it."""

    def move_strays(self, contact_id: str, from_ticket: str, to_ticket: str) -> None:
        """Put such messages on another ticket, at once, and lead there who follows them."""

    def merges(self, ids: Iterable[str]) -> dict[str, MergeRecord]: ...

    def standing_merge(self, absorbed_contact: str) -> MergeRecord | None:
        """The merge of a contact into another one, unless it was undone."""

    def are_kept_apart(self, one: str, other: str) -> bool:
        """Whether a merge of these two people was undone: they are not merged again.

        Contacts that have become one of the two since count as well.
        """

    def heads(self, channels: Iterable[str]) -> dict[str, int]:
        """Last offset of each channel; a channel without events is left out."""

    def cursor(self, journal: str) -> int:
        """The last journal seq handled, 0 for a journal never seen."""

    def write(self, plan: Plan) -> None: ...


class StoreWriter(Protocol):
    """The only way to change the store. Never called from two threads at once."""

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a transaction, durable on return; an exception rolls back."""

    def transact_each(self, works: Sequence[Callable[[Transaction], T]]) -> list[T | Exception]:
        """Run several in one transaction, in order, durable on return.

        An exception rolls back the work that raised it, and takes its place among the results.
        """


class Maintenance(Protocol):
    """Housekeeping of the store, in small transactions of the writer."""

    def touch(self, at_ms: int) -> int:
        """Change something that nobody reads, durably: whether the store can be changed at all."""

    def trim_events(self, older_than_ms: int, limit: int) -> int:
        """Drop up to ``limit`` of the oldest events; every channel keeps its head."""

    def trim_early_changes(self, older_than_ms: int) -> int:
        """Drop changes whose messages never came."""

    def trim_outbox(self, older_than_ms: int, limit: int) -> int:
        """Drop commands that ended long ago; their ``op_id``s are free again."""

    def trim_sockets(self, older_than_ms: int, per_agent: int) -> int:
        """Forget Socket.IO clients nobody has heard of, and of each agent all but the latest ones;
        those must load everything anew."""

    def trim_uploads(self, older_than_ms: int) -> int:
        """Forget files nobody sent. Their bytes go when nothing else has them (``referred``)."""

    def age_media(self, older_than_ms: int, limit: int) -> int:
        """Give up the files of up to ``limit`` messages that arrived before then, oldest first.

        The messages stay and say so (``media.state`` ``removed``).
        """

    def forget_messages(self, ids: Sequence[str]) -> int:
        """Remove messages for good. Their tickets stay, and go on counting what came in."""

    def scrub(self, compact_bytes_max: int) -> bool:
        """After an erasure: have nothing of what was deleted left in the files.

        A store of at most so many bytes is written anew, which takes as long as copying it;
        returns whether it was.
        """

    def trim_quarantine(self, older_than_ms: int, limit: int) -> int:
        """Drop webhooks that were not understood and came before then."""

    def note_quarantined_blobs(self, limit: int) -> int:
        """Find out which blobs quarantined webhooks name, of those not looked at yet; returns how
        many those were. ``StoreReader.referred`` is right about quarantine after a 0."""

    def trim_changes(self, up_to_revision: int, rows_max: int, limit: int) -> int:
        """Forget which rows changed before that revision, which a backup holds, and all but the
        latest ``rows_max`` of them: the next backup then holds everything."""
