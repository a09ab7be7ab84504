"""What the desk is asked and answers (contract §3, §5): the same Structs for REST and RPC."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from evorelay.model.records import ContactRecord
from evorelay.model.views import Instance, Message, QrCode, Ticket, Timestamp

Limit = Annotated[int, Meta(ge=1, le=200)]
Text = Annotated[str, Meta(max_length=200)]
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^(?!.*[\x00-\x1f\x7f])")]
"""What a person calls something: no control characters."""
Moment = Annotated[int, Meta(ge=0, le=1 << 53)]
"""Unix ms in a cursor, which a client may have made up; what SQLite can compare with."""


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TicketsParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Literal["open", "pending", "closed"] | None = None
    instance: Text | None = None
    assignee: Text | None = None
    q: Annotated[
        Text | None,
        Meta(
            description="The contact's name or phone number, the subject, or words that were said "
            "in one message, the last one perhaps only begun; accents and capitals do not matter"
        ),
    ] = None
    unread: Annotated[bool, Meta(description="Only with something the caller has not read")] = False
    sort: Annotated[
        Literal["activity", "waiting"],
        Meta(description="`activity`: the newest first. `waiting`: who waits longest first"),
    ] = "activity"
    cursor: Annotated[
        Text | None,
        Meta(description="`next_cursor` of the previous page, everything else the same"),
    ] = None
    limit: Limit = 50


class TicketRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket_id: Text


class TicketParams(TicketRef, frozen=True, kw_only=True):
    version: int | None = None
    """The ticket's version the decision was made on; another one is answered with a conflict."""


class TicketChange(TicketParams, frozen=True, kw_only=True):
    """What is absent stays as it is; null gives the ticket back, or takes the subject away."""

    status: Literal["open", "pending", "closed"] | UnsetType = UNSET
    assignee: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    subject: Line | UnsetType | None = UNSET


class MessagesParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket_id: Text
    before: Text | None = None
    after: Text | None = None
    limit: Limit = 50


class InstanceRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Text


class MergesParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    instance: Text | None = None
    cursor: Text | None = None
    limit: Limit = 50


class MergeRef(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    merge_id: Text


class QuarantineParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    replayed: Annotated[bool, Meta(description="Also what was understood after all")] = False
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


class PersonView(Struct, frozen=True, kw_only=True):
    contact_id: str
    name: str
    phone: Annotated[str | None, Meta(description="Digits with country code; null where hidden")]
    jid: str
    lid: Annotated[str | None, Meta(description="WhatsApp's privacy id, `…@lid`")]


def person_fields(row: ContactRecord) -> dict[str, Any]:
    """Of a ``PersonView`` and what extends it."""
    return {
        "contact_id": row.id,
        "name": row.name,
        "phone": row.phone,
        "jid": row.jid,
        "lid": row.lid,
    }


class Participant(PersonView, frozen=True, kw_only=True):
    role: Annotated[
        Literal["member", "admin", "superadmin"] | None,
        Meta(description="In the group, as far as WhatsApp has said; null for a chat of two"),
    ]


class Participants(Struct, frozen=True):
    participants: list[Participant]
    """Admins first, then by name."""


class InstancesPage(Struct, frozen=True):
    instances: list[Instance]
    next_cursor: str | None = None


class InstanceQrCode(Struct, frozen=True):
    """What it takes to pair an instance with a phone, if it can be paired now."""

    instance: str
    state: Literal["open", "connecting", "close", "unknown"]
    qrcode: QrCode | None


class MergeView(Struct, frozen=True, kw_only=True):
    """Two contacts that turned out to be one person, or were taken for it."""

    id: str
    instance: str
    at: Timestamp
    kept: Annotated[PersonView, Meta(description="As known now")]
    absorbed: Annotated[PersonView, Meta(description="As known when it was absorbed")]
    kept_ticket: Annotated[
        str | None, Meta(description="Took over the other's messages; null: one had no open ticket")
    ]
    absorbed_ticket: str | None
    undone_at: Annotated[
        Timestamp | None, Meta(description="Since then two people, who are not merged again")
    ]


class MergesPage(Struct, frozen=True):
    merges: list[MergeView]
    next_cursor: str | None


class QuarantinedView(Struct, frozen=True, kw_only=True):
    """A webhook that was not understood."""

    id: str
    seq: Annotated[int, Meta(description="Its place in the journal, as answered to its sender")]
    received_at: Timestamp
    event: str
    instance: str
    reason: Annotated[str, Meta(description="A code: `unknown_event`, `bad_data`, `no_key`, …")]
    detail: Annotated[str, Meta(description="The reason for a person")]
    replayed_at: Annotated[
        Timestamp | None, Meta(description="When it was understood after all; null: not yet")
    ]


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
