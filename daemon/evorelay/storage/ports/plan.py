"""What one decision wants written."""

from msgspec import Struct

from evorelay.model.records import (
    AliasRecord,
    ContactRecord,
    EarlyChangesRecord,
    EventRecord,
    FetchRecord,
    InstanceRecord,
    MemberRecord,
    MessageRecord,
    OutboxRecord,
    QuarantineRecord,
    SeenRecord,
    SocketRecord,
    TicketRecord,
    UploadRecord,
)

MessageKey = tuple[str, str]
"""(instance, WhatsApp id): permanent, the key of promise P2."""
AliasKey = tuple[str, str]
"""(instance, alias)"""
OpKey = tuple[str, str]
"""(instance, op_id)"""


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
    sockets: list[SocketRecord] = []
    """Written whether or not the row exists."""
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
