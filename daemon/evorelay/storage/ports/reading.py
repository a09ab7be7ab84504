"""Reading the store beside its writer."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from evorelay.model.event import ENDLESS, ChannelEvent
from evorelay.model.records import (
    ContactRecord,
    FetchRecord,
    InstanceRecord,
    MergeRecord,
    MessageRecord,
    OutboxRecord,
    QuarantineSummary,
    SocketRecord,
    TicketRecord,
    UploadRecord,
)
from evorelay.storage.ports.erasing import Erasing

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


class StoreCounts(Struct, frozen=True):
    """How much there is of what should not be there, and how instances are."""

    dead_letters: int
    """Commands that failed and were not retried."""
    quarantine: int
    """Webhooks that are not understood so far."""
    instances: dict[str, int]
    """By state; without those that were removed from Evolution."""


class ToldEvent(NamedTuple):
    """A committed event as one ticket's channel has it."""

    at: int
    id: int
    offset: int
    type: str
    data: bytes


class MessageStory(NamedTuple):
    """All the store knows of a message's way."""

    message: MessageRecord
    commands: list[OutboxRecord]
    """Those that made it, reacted to it, or were answered with it; oldest first."""
    events: list[ToldEvent]
    """Those that show it, oldest first, as far as retention has left them."""


class StoreReader(Protocol):
    """Consistent reads beside the writer; they never block it nor see half a transaction."""

    @property
    def erasing(self) -> Erasing: ...

    def epoch(self) -> str: ...

    def born_at(self) -> int:
        """When this epoch began (Unix ms): the store was new, or restored from a backup."""

    def first_received_at(self) -> int | None:
        """When the oldest message there is arrived (Unix ms)."""

    def position(self) -> int:
        """The id of the last event there was, 0 for none."""

    def events_after(
        self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
    ) -> ChannelPage:
        """The oldest events with an offset above ``offset``; none behind the first whose id is
        above ``until``."""

    def events_before(self, channel: str, offset: int, limit: int) -> ChannelPage:
        """The newest events with an offset below ``offset``, newest first (history, reverse)."""

    def offset_at(self, channel: str, event_id: int, steps: int) -> int | None:
        """The channel's offset as it was right after the event with this id, wherever that was.

        None when more than ``steps`` events of the channel are newer, or when retention may have
        taken some of them.
        """

    def socket(self, pid: str) -> SocketRecord | None: ...

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

    def referred(self, blobs: Sequence[str]) -> set[str]:
        """Those of the blobs that a message, a command, an upload or a quarantined webhook needs.

        What the body of a quarantined webhook names counts once ``note_quarantined_blobs`` has seen
        it; where that body is a blob, what it names does not (``quarantined_bodies``).
        """

    def sent_before(self, moment: int, limit: int) -> list[str]:
        """Ids of messages older than that (Unix ms), and that no command of the outbox has."""

    def quarantined_bodies(self) -> list[str]:
        """Blobs that are the bodies of quarantined webhooks, noted ones."""

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

    def outbox_silent(
        self, now: int, per_instance: int
    ) -> list[tuple[OutboxRecord, MessageRecord]]:
        """Sent ones whose turn it is to be asked about, with their messages."""

    def message(self, message_id: str) -> MessageRecord | None: ...

    def story(self, message_id: str) -> MessageStory | None:
        """Bounded: of a message behind 20,000 later events of its ticket the events are missing."""

    def latest_reply(self, instance: str) -> MessageRecord | None:
        """The reply written here that was sent last."""

    def counts(self) -> StoreCounts: ...

    def upload(self, upload_id: str) -> UploadRecord | None: ...

    def fetches_due(self, now: int, limit: int) -> list[FetchRecord]:
        """By ``due_at``."""

    def quarantined_since(self, since: int) -> int:
        """How many webhooks were set aside since then (Unix ms), 1,000 at most."""

    def failed_since(self, since: int) -> int:
        """How many commands failed since then and still stand so, 1,000 at most."""

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
