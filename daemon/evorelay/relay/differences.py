"""What a draft would change in the store, for a person who asks before or after it is done."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from evorelay.model.rendering import preview
from evorelay.relay.draft import Draft

VALUE_CHARS = 300
"""Of a value that is shown; the rest is cut off."""
DIFFERENCES_MAX = 200
"""In one answer; what is beyond it is only counted."""

_MESSAGE_FIELDS = (
    *("type", "content", "status", "sender_name", "reply_to", "edited_at", "deleted_at"),
    *("media", "metadata", "reactions", "ticket_id"),
)
_CONTACT_FIELDS = ("name", "phone", "lid", "jid", "avatar_url")
_TICKET_FIELDS = ("status", "contact_id")

What = Literal[
    "message.created",
    "message.changed",
    "ticket.created",
    "ticket.changed",
    "ticket.merged",
    "contact.created",
    "contact.changed",
    "ignored",
]
Value = str | int | float | bool | None


class FieldChange(Struct, frozen=True):
    """One field before and after; long values are cut, lists and objects are JSON."""

    field: Annotated[str, Meta(description="`content`, or `media.filename` for what is inside")]
    before: Value
    after: Value


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that is other than it was."""

    what: What
    id: Annotated[str, Meta(description="The message's WhatsApp id, else the row's id")]
    seq: Annotated[int | None, Meta(description="The journal entry a message came with")] = None
    who: Annotated[str | None, Meta(description="Name of the person or group")] = None
    text: Annotated[str | None, Meta(description="What a new message says")] = None
    fields: list[FieldChange] = []


class Found:
    """Differences of one answer: the first ones in full, all of them counted by kind."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.counts: Counter[str] = Counter()
        self.left_out = 0

    def add(self, differences: Iterable[Difference]) -> None:
        for difference in differences:
            self.counts[difference.what] += 1
            if len(self.differences) < DIFFERENCES_MAX:
                self.differences.append(difference)
            else:
                self.left_out += 1


def differences(draft: Draft) -> list[Difference]:
    """What the draft changes, instances left out. Called before it is finished."""
    return [
        *_created(draft),
        *_merged(draft),
        *_changed_tickets(draft),
        *_changed_contacts(draft),
        *_changed_messages(draft),
    ]


def _created(draft: Draft) -> Iterator[Difference]:
    plan = draft.plan
    names = _names(draft)
    for contact in plan.new_contacts:
        yield Difference(what="contact.created", id=contact.id, who=contact.name)
    for ticket in plan.new_tickets:
        who = names.get(ticket.contact_id)
        yield Difference(what="ticket.created", id=ticket.id, who=who)
    for message in plan.new_messages:
        yield Difference(
            what="message.created",
            id=message.whatsapp_id or message.id,
            seq=message.journal_seq,
            who=names.get(message.contact_id),
            text=_cut(preview(message)),
        )


def _merged(draft: Draft) -> Iterator[Difference]:
    for event in draft.merged:
        change = FieldChange("merged_into", None, event.into)
        who = event.ticket.contact.name
        yield Difference(what="ticket.merged", id=event.ticket_id, who=who, fields=[change])


def _changed_tickets(draft: Draft) -> Iterator[Difference]:
    after = {row.id: row for row in draft.changed_tickets}
    for id_, row in draft.tx.tickets(after).items():
        fields = _fields(row, after[id_], _TICKET_FIELDS)
        if fields:
            yield Difference(what="ticket.changed", id=id_, fields=fields)


def _changed_contacts(draft: Draft) -> Iterator[Difference]:
    after = {row.id: row for row in draft.changed_contacts}
    for id_, row in draft.tx.contacts(after).items():
        fields = _fields(row, after[id_], _CONTACT_FIELDS)
        if fields:
            yield Difference(what="contact.changed", id=id_, who=after[id_].name, fields=fields)


def _changed_messages(draft: Draft) -> Iterator[Difference]:
    after = {
        (row.instance, row.whatsapp_id): row
        for row in draft.changed_messages
        if row.whatsapp_id is not None
    }
    contacts = draft.tx.contacts({row.contact_id for row in after.values()})
    for key, row in draft.tx.messages(after).items():
        fields = _fields(row, after[key], _MESSAGE_FIELDS)
        if fields:
            contact = contacts.get(row.contact_id)
            yield Difference(
                what="message.changed",
                id=key[1],
                seq=row.journal_seq,
                who=contact.name if contact else None,
                fields=fields,
            )


def _names(draft: Draft) -> dict[str, str]:
    """Contact id -> name, of whom a new row is about."""
    plan = draft.plan
    new = {row.id: row.name for row in plan.new_contacts}
    ids = {row.contact_id for row in plan.new_tickets}
    ids |= {row.contact_id for row in plan.new_messages}
    known = draft.tx.contacts(ids - new.keys())
    return new | {id_: row.name for id_, row in known.items()}


def _fields(before: Struct, after: Struct, names: Iterable[str]) -> list[FieldChange]:
    found: list[FieldChange] = []
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, dict | None) and isinstance(new, dict | None):
            found += _inner_fields(name, old or {}, new or {})
        else:
            found.append(FieldChange(name, _shown(old), _shown(new)))
    return found


def _inner_fields(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[FieldChange]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield FieldChange(f"{name}.{key}", _shown(old.get(key)), _shown(new.get(key)))


def _shown(value: Any) -> Value:
    if isinstance(value, str):
        return _cut(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return _cut(msgspec.json.encode(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 1] + "…"
