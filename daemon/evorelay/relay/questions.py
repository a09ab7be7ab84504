"""What the desk is asked and answers (contract §3, §5): the same Structs for REST and RPC."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from evorelay.model.views import Instance, Message, Ticket, Timestamp

Limit = Annotated[int, Meta(ge=1, le=200)]
Text = Annotated[str, Meta(max_length=200)]
Moment = Annotated[int, Meta(ge=0, le=1 << 53)]
"""Unix ms in a cursor, which a client may have made up; what SQLite can compare with."""


class TicketsParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Literal["open", "pending", "closed"] | None = None
    instance: Text | None = None
    assignee: Text | None = None
    q: Text | None = None
    cursor: Text | None = None
    """``next_cursor`` of the previous page."""
    limit: Limit = 50


class TicketRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket_id: Text


class TicketParams(TicketRef, frozen=True, kw_only=True):
    version: int | None = None
    """The ticket's version the decision was made on; another one is answered with a conflict."""


class TicketChange(TicketParams, frozen=True, kw_only=True):
    """What is absent stays as it is; ``assignee`` null gives the ticket back."""

    status: Literal["open", "pending", "closed"] | UnsetType = UNSET
    assignee: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET


class MessagesParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket_id: Text
    before: Text | None = None
    after: Text | None = None
    limit: Limit = 50


class QuarantineParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cursor: Text | None = None
    limit: Limit = 50


class QuarantineRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quarantine_id: Text


class TicketsPage(Struct, frozen=True):
    tickets: list[Ticket]
    next_cursor: str | None


class MessagesPage(Struct, frozen=True):
    messages: list[Message]
    next_cursor: str | None
    """Pass as ``before`` (or as ``after``, when that was given) for the next page."""


class InstancesPage(Struct, frozen=True):
    instances: list[Instance]
    next_cursor: str | None = None


class QuarantinedView(Struct, frozen=True, kw_only=True):
    """A webhook that was not understood."""

    id: str
    seq: Annotated[int, Meta(description="Its place in the journal, as answered to its sender")]
    received_at: Timestamp
    event: str
    instance: str
    reason: Annotated[str, Meta(description="A code: `unknown_event`, `bad_data`, `no_key`, …")]
    detail: Annotated[str, Meta(description="The reason for a person")]


class QuarantinedBody(QuarantinedView, frozen=True, kw_only=True):
    """A webhook that was not understood, with what it says."""

    body: Annotated[
        str,
        Meta(description="The JSON as received, without its secrets; at most the first MiB of it"),
    ]
    body_truncated: bool
    body_blob: Annotated[
        str | None,
        Meta(
            description="SHA-256 of the file under `blobs/` of the state directory that holds "
            "the body when it was too large for the journal; `body` is empty then"
        ),
    ]


class QuarantinePage(Struct, frozen=True):
    quarantine: list[QuarantinedView]
    next_cursor: str | None
