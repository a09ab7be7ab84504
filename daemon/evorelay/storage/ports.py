"""What the engine needs of durable state. Drivers promise what the docstrings say.

Every method here is synchronous and may block on a disk or a network: the engine calls them in
worker threads only. Faults are raised as ``StoreUnavailable`` / ``JournalUnavailable``.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from evorelay.model.change import Change
from evorelay.model.envelope import Entry, Envelope
from evorelay.model.event import ChannelEvent
from evorelay.model.records import (
    AliasRecord,
    ContactRecord,
    EarlyChangesRecord,
    EventRecord,
    FetchRecord,
    InstanceRecord,
    MemberRecord,
    MergeRecord,
    MessageRecord,
    OutboxRecord,
    QuarantineRecord,
    QuarantineSummary,
    SeenRecord,
    TicketRecord,
    UploadRecord,
)

T = TypeVar("T")
MessageKey = tuple[str, str]
"""(instance, WhatsApp id): permanent, the key of promise P2."""
AliasKey = tuple[str, str]
"""(instance, alias)"""
OpKey = tuple[str, str]
"""(instance, op_id)"""


class JournalStore(Protocol):
    """The append-only log of envelopes. One writer, one reader thread at a time each."""

    @property
    def identity(self) -> str:
        """Names this journal; the store keeps one cursor per journal."""

    def append(self, envelopes: Sequence[Envelope]) -> int:
        """Store all or nothing, fsynced on return; return the first one's seq (P1)."""

    def read(self, after: int, limit_bytes: int) -> list[Entry]:
        """Entries with ``seq > after`` in order: at least one if there is any."""

    def last_seq(self) -> int: ...

    def skip_to(self, seq: int) -> None:
        """Number the next entry beyond ``seq``; nothing happens where it would be anyway."""

    def trim(self, up_to_seq: int, older_than_ms: int) -> int:
        """Drop entries with ``seq <= up_to_seq`` that are old enough; return how many.

        The newest commit always stays: the numbering goes on from it, and a reader that is further
        behind than the log reaches is led to the head by it.
        """


class Plan(Struct):
    """Everything one decision wants written. A transaction writes a plan whole or not at all."""

    new_contacts: list[ContactRecord] = []
    changed_contacts: list[ContactRecord] = []
    aliases: list[AliasRecord] = []
    new_tickets: list[TicketRecord] = []
    changed_tickets: list[TicketRecord] = []
    new_messages: list[MessageRecord] = []
    changed_messages: list[MessageRecord] = []
    removed_messages: list[str] = []
    """Ids of rows that turned out to be another one's double."""
    new_outbox: list[OutboxRecord] = []
    changed_outbox: list[OutboxRecord] = []
    uploads: list[UploadRecord] = []
    fetches: list[FetchRecord] = []
    """Written whether or not the row exists."""
    settled_fetches: list[str] = []
    """Message ids whose file is here, or never will be: removed."""
    instances: list[InstanceRecord] = []
    """Written whether or not the row exists."""
    early_changes: list[EarlyChangesRecord] = []
    """Written whether or not the row exists."""
    settled_early: list[MessageKey] = []
    """Early changes that found their message: removed."""
    writers: set[tuple[str, str]] = set()
    """(group, contact): wrote in it. Members with no role, unless they are there already."""
    members: list[MemberRecord] = []
    """Written whether or not the row exists."""
    seen: list[SeenRecord] = []
    """Written whether or not the row exists."""
    adopted: list[tuple[str, str]] = []
    """(contact, ticket): the ticket takes the contact's imported history, which had none."""
    recounted: set[str] = set()
    """Tickets of which what follows from their messages is worked out anew, after the rest."""
    quarantined: list[QuarantineRecord] = []
    """Left out where the same digest is there already."""
    replayed: list[tuple[str, int]] = []
    """(quarantine id, Unix ms): was understood after all."""
    events: list[EventRecord] = []
    cursor: tuple[str, int] | None = None
    """(journal identity, seq): the pipeline has handled everything up to here."""


class Transaction(Protocol):
    """Bulk look-ups and one write. Sees its own transaction's state; nobody else writes."""

    def messages(self, keys: Iterable[MessageKey]) -> dict[MessageKey, MessageRecord]: ...

    def messages_by_id(self, ids: Iterable[str]) -> dict[str, MessageRecord]: ...

    def outbox(self, ids: Iterable[str]) -> dict[str, OutboxRecord]: ...

    def outbox_by_op(self, keys: Iterable[OpKey]) -> dict[OpKey, OutboxRecord]: ...

    def outbox_in_doubt(self, contact_ids: Iterable[str]) -> list[OutboxRecord]:
        """Commands of these conversations that are ``sending`` or ``unknown``."""

    def outbox_of(self, message_ids: Iterable[str]) -> list[OutboxRecord]:
        """Commands that made these messages, or reacted to them."""

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


PAGE_BYTES_MAX = 4 * 1024 * 1024
"""Events in one ``ChannelPage``: as many as fit, at least one."""


class ChannelPage(Struct):
    """A stretch of one channel's log, read in one consistent view."""

    head: int
    """Offset of the channel's newest event, 0 when there never was one."""
    floor: int
    """Offset of the oldest event retention has left, ``head + 1`` when none is left."""
    events: list[ChannelEvent]


NOT_WAITING = 1 << 53
"""Later than any moment (Unix ms): where tickets without a waiting customer stand."""


class TicketQuery(Struct, frozen=True, kw_only=True):
    """Filters of a ticket list. Tickets merged into another one are in none."""

    instances: tuple[str, ...] | None = None
    """None means all."""
    status: str | None = None
    assignee: str | None = None
    q: str | None = None
    """Matches the contact's name or phone number, the subject, or what was said."""
    agent: str | None = None
    """Whose ``unread`` the rows carry, all of it for who never looked; None: the team's."""
    is_unread: bool = False
    """Only what that agent has something unread in."""
    order: Literal["activity", "waiting"] = "activity"
    """Newest activity first, or who has waited longest first and who does not wait last."""
    after: tuple[int, str] | None = None
    """``TicketQuery.place`` of the last ticket already seen."""
    limit: int = 50

    def place(self, ticket: TicketRecord) -> tuple[int, str]:
        """Where a ticket stands in this order."""
        if self.order == "waiting":
            is_over = ticket.status == "closed"
            moment, otherwise = None if is_over else ticket.waiting_since, NOT_WAITING
        else:
            moment, otherwise = ticket.last_message_at, ticket.created_at
        return (otherwise if moment is None else moment, ticket.id)


class StoreReader(Protocol):
    """Consistent reads beside the writer; they never block it nor see half a transaction."""

    def epoch(self) -> str: ...

    def events_after(self, channel: str, offset: int, limit: int) -> ChannelPage: ...

    def events_before(self, channel: str, offset: int, limit: int) -> ChannelPage:
        """The newest events with an offset below ``offset``, newest first (history, reverse)."""

    def tickets(self, query: TicketQuery) -> list[tuple[TicketRecord, ContactRecord]]: ...

    def ticket(
        self, ticket_id: str, *, agent: str | None = None
    ) -> tuple[TicketRecord, ContactRecord] | None:
        """``agent`` as in ``TicketQuery``."""

    def participants(self, ticket_id: str, limit: int) -> list[tuple[ContactRecord, str | None]]:
        """With their roles, admins first: who is in the ticket's group, else its one person."""

    def messages(
        self, ticket_id: str, *, before: str | None, after: str | None, limit: int
    ) -> list[MessageRecord] | None:
        """In reading order: WhatsApp's time, then arrival. The newest when neither is given.

        None when ``before`` / ``after`` is not a message of this ticket.
        """

    def media(self, media_id: str) -> list[MessageRecord]:
        """One message of each instance whose messages carry this file; deleted ones do not."""

    def outbox_unfinished(self, *, after: tuple[int, str], limit: int) -> list[OutboxRecord]:
        """``queued``, ``sending`` and ``unknown`` ones by (queued_at, id), beyond ``after``."""

    def outbox_page(
        self,
        instances: tuple[str, ...] | None,
        *,
        states: tuple[str, ...],
        before: str | None,
        limit: int,
    ) -> list[OutboxRecord]:
        """Commands in one of these states, newest first; ``before`` is the last id seen."""

    def sent_since(self, instance: str, since: int) -> tuple[int, int]:
        """How many commands were sent since then (Unix ms), and how many of them to somebody who
        had never written."""

    def outbox_silent(self, now: int, limit: int) -> list[tuple[OutboxRecord, MessageRecord]]:
        """Sent ones whose turn it is to be asked about, with their messages."""

    def message(self, message_id: str) -> MessageRecord | None: ...

    def latest_reply(self, instance: str) -> MessageRecord | None:
        """The reply written here that was sent last."""

    def upload(self, upload_id: str) -> UploadRecord | None: ...

    def fetches_due(self, now: int, limit: int) -> list[FetchRecord]:
        """By ``due_at``."""

    def instances(self) -> list[InstanceRecord]: ...

    def instance(self, name: str) -> InstanceRecord | None: ...

    def merges(
        self, instances: tuple[str, ...] | None, *, before: str | None, limit: int
    ) -> list[tuple[MergeRecord, ContactRecord, ContactRecord]]:
        """With the kept and the absorbed contact, newest first, undone ones included.

        ``before`` is the id of the last one already seen.
        """

    def quarantine(
        self, *, before: str | None, limit: int, with_replayed: bool = False
    ) -> list[QuarantineSummary]:
        """Newest first; ``before`` is the id of the last one already seen."""

    def quarantined(
        self, quarantine_id: str, *, body_bytes: int
    ) -> tuple[QuarantineSummary, str, bool] | None:
        """One of them, the first ``body_bytes`` of its body, and whether there is more of it."""


class Maintenance(Protocol):
    """Housekeeping of the store, in small transactions of the writer."""

    def trim_events(self, older_than_ms: int, limit: int) -> int:
        """Drop up to ``limit`` of the oldest events; every channel keeps its head."""

    def trim_early_changes(self, older_than_ms: int) -> int:
        """Drop changes whose messages never came."""

    def trim_outbox(self, older_than_ms: int, limit: int) -> int:
        """Drop commands that ended long ago; their ``op_id``s are free again."""

    def trim_uploads(self, older_than_ms: int) -> int:
        """Forget files nobody sent. Their bytes stay, other messages may carry the same."""
