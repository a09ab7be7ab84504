"""Rows of the store. Field order is column order: drivers write and read them as arrays.

Times are Unix milliseconds. What clients see is made from these in ``model/views.py``.
"""

from typing import Any

from msgspec import Struct


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
    last_message_at: int | None
    last_message: str | None
    """The beginning of what that message says, for lists."""
    created_at: int
    closed_at: int | None
    version: int


class MessageRecord(Struct, array_like=True, kw_only=True):
    id: str
    ticket_id: str
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
    edited_at: int | None
    deleted_at: int | None
    media: dict[str, Any] | None
    error: dict[str, Any] | None
    metadata: dict[str, Any]
    journal_seq: int | None


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


class EventRecord(Struct, array_like=True, kw_only=True):
    """A committed event: ``data`` is the JSON clients receive, encoded once.

    ``positions`` are its (channel, offset) pairs, contiguous in each channel (P3).
    """

    at: int
    type: str
    data: str
    positions: list[tuple[str, int]]


class EarlyStatusRecord(Struct, array_like=True, kw_only=True):
    """A delivery state that arrived before its message; applied when the message comes."""

    instance: str
    whatsapp_id: str
    status: str
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


class QuarantineRecord(QuarantineSummary, array_like=True, kw_only=True):
    body: str
    digest: str
    """Of what the webhook says and the reason: a webhook that comes again is kept once (P2)."""
