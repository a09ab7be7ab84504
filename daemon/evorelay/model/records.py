"""Rows of the store. Field order is column order: drivers write and read them as arrays.

Times are Unix milliseconds. What clients see is made from these in ``model/views.py``.
"""

from typing import Any

from msgspec import Struct

from evorelay.model.change import Change


class ContactRecord(Struct, array_like=True, kw_only=True):
    id: str
    instance: str
    name: str
    phone: str | None
    jid: str
    lid: str | None
    avatar_url: str | None
    is_group: bool
    created_at: int
    name_rank: int = 0
    """``NameRank``, and when the name was true: they decide whether another one replaces it."""
    name_at: int = 0
    address_at: int = 0
    """When the message was sent that says where this person writes from now."""
    merged_into: str | None = None
    """The contact that turned out to be the same person; this one has no alias any more."""


class AliasRecord(Struct, array_like=True, kw_only=True):
    """One key under which a contact is known in one instance (``Chat.aliases``)."""

    instance: str
    alias: str
    contact_id: str


class TicketRecord(Struct, array_like=True, kw_only=True):
    id: str
    instance: str
    contact_id: str
    status: str
    """``open``, ``pending`` or ``closed``. At most one per contact is not ``closed``."""
    assignee: str | None
    subject: str | None
    unread: int
    """Messages that came in since anybody read it; each agent's own count is ``SeenRecord``'s."""
    last_message_at: int | None
    last_message: str | None
    """The beginning of what that message says, for lists."""
    created_at: int
    closed_at: int | None
    version: int
    last_message_id: str | None = None
    inbound: int = 0
    """Messages that came in, history not counted; only an undone merge takes some away."""
    waiting_since: int | None = None
    """When the first message came in that is later than ``last_reply_at``."""
    last_reply_at: int | None = None
    last_inbound_at: int | None = None
    merged_into: str | None = None
    """The ticket that took over its messages; this one is closed and empty."""


class SeenRecord(Struct, array_like=True, kw_only=True):
    """How far an agent has read a ticket: what ``TicketRecord.inbound`` was then."""

    ticket_id: str
    agent: str
    inbound: int


class MemberRecord(Struct, array_like=True, kw_only=True):
    """A contact's place in a group, which is a contact too."""

    group_id: str
    contact_id: str
    role: str | None
    """``member``, ``admin``, ``superadmin``; ``left``; None: wrote there, we were told no more."""


class MergeRecord(Struct, array_like=True, kw_only=True):
    """Two contacts that turned out to be one person, and all that it takes to undo it."""

    id: str
    instance: str
    at: int
    kept_contact: str
    absorbed_contact: str
    kept_ticket: str | None
    """Both None unless both contacts had a ticket that was not closed."""
    absorbed_ticket: str | None
    absorbed_status: str | None
    """What the absorbed ticket's status was."""
    aliases: list[str]
    """Of the absorbed contact, then."""
    tickets: list[str]
    """Likewise, the absorbed ticket included."""
    undone_at: int | None


class MessageRecord(Struct, array_like=True, kw_only=True):
    id: str
    ticket_id: str | None
    """None: imported history of a person who has no ticket."""
    contact_id: str
    """Who it came under when it arrived, whatever that contact was merged into since."""
    instance: str
    direction: str
    sender: str
    sender_id: str | None
    sender_name: str | None
    type: str
    content: str
    status: str
    is_internal: bool
    created_at: int
    received_at: int
    whatsapp_id: str | None
    reply_to: str | None
    """WhatsApp id of the quoted message."""
    reactions: list[Any]
    """``model.change.Reaction`` as JSON, those taken back included; sorted by ``who``."""
    edited_at: int | None
    deleted_at: int | None
    media: dict[str, Any] | None
    error: dict[str, Any] | None
    metadata: dict[str, Any]
    journal_seq: int | None
    edits: list[Any] = []
    """``model.change.Edit`` as JSON, every one: which of them shows does not depend on order."""

    @property
    def is_reply(self) -> bool:
        """Whether it was written here: every webhook of ours says where it comes from."""
        return self.direction == "out" and "origin" not in self.metadata


class InstanceRecord(Struct, array_like=True, kw_only=True):
    name: str
    state: str
    """``open``, ``connecting``, ``close``, or ``unknown`` until a webhook says."""
    state_since: int
    reason: int | None
    phone: str | None
    profile_name: str | None
    last_event_at: int
    created_at: int
    cause: str | None = None
    """Why it is not open, in a word (protocol/connection.py)."""
    qrcode: dict[str, Any] | None = None
    """``{"code", "pairing_code", "image", "at"}`` while it can be paired."""
    told_at: int = 0
    """Unix ms: when clients were last told; ``is_untold`` while they do not know the latest."""
    is_untold: bool = False
    polled_at: int = 0
    """Unix ms: when Evolution was last asked for the state."""
    suspicion: str | None = None
    """Why an instance that says it is open is doubted; None: it is not."""
    registration: dict[str, Any] | None = None
    """``{"state": "ok" | "missing" | "wrong", "detail", "at"}``: our webhook at Evolution. With
    ``since``, when it was first seen gone, and ``is_lost``, whether it was right before."""
    reconciled_at: int = 0
    """Unix ms: up to then nothing is missing here that Evolution's own list has."""
    reconnected_at: int = 0
    """Unix ms: when somebody last had it connect again."""


class OutboxRecord(Struct, array_like=True, kw_only=True):
    """A command: what an agent wanted sent, and how far that got (P4)."""

    id: str
    instance: str
    contact_id: str
    """The conversation: sent in order, one at a time."""
    ticket_id: str
    message_id: str
    """The message it made; a reaction's target."""
    op_id: str
    digest: str
    """Of what was asked: the same ``op_id`` with another one is a conflict."""
    agent: str
    outgoing: dict[str, Any]
    """``model.outgoing.Outgoing`` as JSON."""
    state: str
    """``queued``; ``sending``: an attempt was begun; ``unknown``: nobody knows yet whether it was
    sent; and for good ``sent``, ``failed``, ``kept``: an internal note, or a command that was
    answered with ``message_id``, which the same command by another path had made."""
    attempts: int
    created_at: int
    queued_at: int
    """Its place in the conversation: a retry of what failed goes to the end."""
    due_at: int
    """Unix ms: not before then. For ``sent`` when to ask what became of it, 0 for never."""
    attempted_at: int | None = None
    """When the latest attempt was begun."""
    ended_at: int | None = None
    """When that attempt ended without a clear answer; for good states, when they were reached."""
    own_id: str | None = None
    """The WhatsApp id the attempt asked Evolution to use."""
    error: dict[str, Any] | None = None
    """``{"code", "message"}`` of the latest attempt that did not succeed."""
    is_first: bool = False
    """To somebody who never wrote to us."""
    path: str = ""
    """By which kind of connection it came (``relay.commands.Path``)."""
    doubt_since: int | None = None
    """Unix ms: WhatsApp may have the message since then, as far as anybody has told us. None: no
    attempt was begun, or each one surely sent nothing."""
    tries: list[Any] = []
    """The latest attempts, oldest first: ``{"at", "ends": [{"at", "outcome", "detail"}]}``, times
    in Unix ms (relay/tries.py)."""


class UploadRecord(Struct, array_like=True, kw_only=True):
    """A file an agent has handed in and may send; nobody else sees it before that."""

    id: str
    agent: str
    at: int
    media: dict[str, Any]
    """``model.outgoing.OutgoingMedia`` as JSON."""


class FetchRecord(Struct, array_like=True, kw_only=True):
    """A file that was not in its message's webhook and is being fetched."""

    message_id: str
    instance: str
    attempts: int
    due_at: int
    at: int
    """Unix ms: when the message came."""


class EventRecord(Struct, array_like=True, kw_only=True):
    """A committed event: ``data`` is the JSON clients receive, encoded once.

    ``positions`` are its (channel, offset) pairs, contiguous in each channel (P3).
    """

    at: int
    type: str
    data: str
    positions: list[tuple[str, int]]
    origin: str | None = None
    """The client session whose command it is, where that one must not be told."""
    id: int = 0
    """Its place among all events; given when it is written, never twice."""
    arrived: float | None = None
    """When the webhook it comes from did (Trio's clock), for whoever measures. Not stored."""


class SocketRecord(Struct, array_like=True, kw_only=True):
    """What a Socket.IO client is in, so that it gets what it missed whatever happened to us."""

    pid: str
    """Its private session id: who has it may have what the session missed."""
    agent: str
    rooms: dict[str, int]
    """Channel -> its offset when the client joined: what is older is not missed."""
    at: int


class EarlyChangesRecord(Struct, array_like=True, kw_only=True):
    """What happened to a message that is not here yet; it is done to it when it comes."""

    instance: str
    whatsapp_id: str
    changes: list[Change]
    at: int


class QuarantineSummary(Struct, array_like=True, kw_only=True):
    """What a list needs of a webhook that was not understood; the body may be megabytes."""

    id: str
    journal_seq: int
    received_at: int
    event: str
    instance: str
    reason: str
    detail: str
    replayed_at: int | None
    """Unix ms: when it was understood after all; None as long as it is not."""


class QuarantineRecord(QuarantineSummary, array_like=True, kw_only=True):
    body: str
    digest: str
    """Of what the webhook says and the reason: a webhook that comes again is kept once (P2)."""
