"""What a change does to a message: the same in the end, whatever the order and however often.

Each kind of change is a small set that only grows, and what shows is worked out from it: the
furthest status, the earliest deletion, everybody's latest reaction and vote, the latest edit. A
set has no order, so neither has the result (P2); the property test shuffles.
"""

from typing import Any

import msgspec

from evorelay.model.change import Change, Edit, Reaction, Revoke, Status, Vote
from evorelay.model.records import MessageRecord
from evorelay.protocol.delivery import OUTBOUND, advance

REACTIONS_MAX = 500
VOTES_MAX = 200
EDITS_MAX = 20
"""WhatsApp allows edits for 15 minutes. Beyond each bound the oldest are forgotten."""
EARLY_MAX = 500
"""Changes kept of a message that is not here."""

_UNDELIVERED = {
    "code": "undelivered",
    "message": "WhatsApp says that this message was not delivered; it gives no reason.",
}


def apply_change(message: MessageRecord, change: Change) -> bool:
    """Do the change to the row; return whether anything is different now."""
    match change:
        case Status(status):
            return _advance(message, status)
        case Edit():
            return _edit(message, change)
        case Revoke(at):
            return _revoke(message, at)
        case Reaction():
            return _react(message, change)
        case Vote():
            return _vote(message, change)


def gather(early: list[Change], change: Change) -> list[Change]:
    """Add a change to those of a message that is not here yet; none is kept twice."""
    if change in early:
        return early
    if isinstance(change, Status):
        reached = [known.status for known in early if isinstance(known, Status)]
        if reached:
            furthest = advance(reached[0], change.status)
            others: list[Change] = [known for known in early if not isinstance(known, Status)]
            return [Status(furthest), *others]
    return [*early, change][-EARLY_MAX:]


def settle_content(message: MessageRecord) -> None:
    """Have the row show its latest edit, if it has any."""
    edits = [msgspec.convert(edit, Edit) for edit in message.edits]
    timed = [edit for edit in edits if edit.at is not None]
    if not edits:
        return
    if timed:
        message.edited_at = max(edit.at or 0 for edit in timed)
    else:
        message.edited_at = min(edit.seen_at for edit in edits)
    shown = [edit for edit in timed or edits if edit.content is not None]
    if shown:
        message.content = max(shown, key=_edit_order).content or ""
    latest = max(timed or edits, key=_edit_order)
    message.metadata.pop("edit_unreadable", None)
    if latest.content is None:
        message.metadata["edit_unreadable"] = True


def _advance(message: MessageRecord, reported: str) -> bool:
    if "unconfirmed" in message.metadata and reported in OUTBOUND:
        del message.metadata["unconfirmed"]  # any word of WhatsApp's beats our assumption
        status = reported
    else:
        status = advance(message.status, reported)
        if status == message.status:
            return False
    message.status = status
    message.error = dict(_UNDELIVERED) if status == "failed" else None
    return True


def _edit(message: MessageRecord, edit: Edit) -> bool:
    edits = [msgspec.convert(known, Edit) for known in message.edits]
    if edit.at is None and any(known.content == edit.content for known in edits):
        return False  # another webhook's shadow of an edit that is here
    if any((known.at, known.content) == (edit.at, edit.content) for known in edits):
        return False
    if edit.at is not None:  # its shadow came first
        edits = [known for known in edits if known.at or known.content != edit.content]
    before = (message.content, message.edited_at, message.metadata.get("edit_unreadable"))
    kept = sorted([*edits, edit], key=_edit_order)[-EDITS_MAX:]
    message.edits = [msgspec.to_builtins(known) for known in kept]
    settle_content(message)
    after = (message.content, message.edited_at, message.metadata.get("edit_unreadable"))
    return before != after


def _edit_order(edit: Edit) -> tuple[bool, int, str]:
    """Any edit with a time of its own is later than one without."""
    return (edit.at is not None, edit.at or edit.seen_at, edit.content or "")


def _revoke(message: MessageRecord, at: int) -> bool:
    if message.deleted_at is not None and message.deleted_at <= at:
        return False
    message.deleted_at = at
    return True


def _react(message: MessageRecord, reaction: Reaction) -> bool:
    changed = _latest_of_each(message.reactions, reaction, REACTIONS_MAX)
    if changed is None:
        return False
    message.reactions = changed
    return True


def _vote(message: MessageRecord, vote: Vote) -> bool:
    changed = _latest_of_each(message.metadata.get("votes", []), vote, VOTES_MAX)
    if changed is None:
        return False
    message.metadata["votes"] = changed
    return True


def _latest_of_each(known: list[Any], new: Reaction | Vote, limit: int) -> list[Any] | None:
    """The list, one entry per person, with ``new`` in it; None when it is no news."""
    entry = msgspec.to_builtins(new)
    entries = {item["who"]: item for item in known}
    old = entries.get(new.who)
    if old is not None and _order(entry) <= _order(old):
        return None
    entries[new.who] = entry
    newest = sorted(entries.values(), key=lambda item: (item["at"], item["who"]))[-limit:]
    return sorted(newest, key=lambda item: str(item["who"]))


def _order(entry: dict[str, Any]) -> tuple[int, str, str]:
    return (entry["at"], entry.get("emoji", ""), str(entry.get("options", "")))
