"""What a change does to a message: the same in the end, whatever the order and however often.

Each kind of change is a small set that only grows, and what shows is worked out from it: the
furthest status, the earliest deletion, everybody's latest reaction and vote, the latest edit. A
set has no order, so neither has the result (P2); the property test shuffles.
"""

from enum import IntEnum
from typing import Any

import msgspec

from evorelay.model.change import Change, Edit, Reaction, Revoke, Status, Vote
from evorelay.model.records import MessageRecord
from evorelay.protocol.delivery import OUTBOUND, RANK, advance

REACTIONS_MAX = 500
VOTES_MAX = 200
EDITS_MAX = 20
"""WhatsApp allows edits for 15 minutes. Beyond each bound the oldest are forgotten."""
EARLY_MAX = 500
"""Reactions, and votes, kept of a message that is not here."""

_UNDELIVERED = {
    "code": "undelivered",
    "message": "WhatsApp says that this message was not delivered; it gives no reason.",
}


class News(IntEnum):
    """What became of a change."""

    NONE = 0
    KEPT = 1
    """The row remembers it, and reads as before."""
    SHOWN = 2


def apply_change(message: MessageRecord, change: Change) -> News:
    """Do the change to the row. Nobody edits or deletes another's message (WhatsApp's own apps
    check that, Evolution does not)."""
    match change:
        case Edit(by_us=bool(by_us)) | Revoke(by_us=bool(by_us)):
            if by_us != (message.direction == "out"):
                return News.NONE
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
    rivals = [known for known in early if _is_rival(known, change)]
    winner = max([*rivals, change], key=_strength)
    if winner in rivals and not isinstance(change, Edit):
        return early
    if isinstance(change, Edit):
        if rivals:
            return early
        edits = sum(isinstance(known, Edit) for known in early)
        return early if edits >= EDITS_MAX else [*early, change]
    kept = [known for known in early if known not in rivals]
    same = sum(type(known) is type(change) for known in kept)
    return early if same >= EARLY_MAX else [*kept, winner]


def _is_rival(known: Change, new: Change) -> bool:
    """Whether only one of the two has to be kept."""
    match known, new:
        case (Status(), Status()) | (Revoke(), Revoke()):
            return True
        case (Reaction(who=one), Reaction(who=other)) | (Vote(who=one), Vote(who=other)):
            return one == other
        case (Edit() as one_edit, Edit() as other_edit):
            return (one_edit.at, one_edit.content) == (other_edit.at, other_edit.content)
    return False


def _strength(change: Change) -> tuple[int, str]:
    """Of rivals the strongest is kept."""
    match change:
        case Status(status):
            return (RANK.get(status, 0), "")
        case Revoke(at):
            return (-at, "")
        case Reaction() | Vote():
            at, *rest = _order(msgspec.to_builtins(change))
            return (at, str(rest))
    return (0, "")


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


def _advance(message: MessageRecord, reported: str) -> News:
    if reported == "pending" and message.is_reply:
        return News.NONE  # Evolution took it, which is known
    if "unconfirmed" in message.metadata and reported in OUTBOUND:
        del message.metadata["unconfirmed"]  # any word of WhatsApp's beats our assumption
        status = reported
    else:
        status = advance(message.status, reported)
        if status == message.status:
            return News.NONE
    message.status = status
    message.error = dict(_UNDELIVERED) if status == "failed" else None
    return News.SHOWN


def _edit(message: MessageRecord, edit: Edit) -> News:
    edits = [msgspec.convert(known, Edit) for known in message.edits]
    if edit.at is None and any(known.content == edit.content for known in edits):
        return News.NONE  # another webhook's shadow of an edit that is here
    if any((known.at, known.content) == (edit.at, edit.content) for known in edits):
        return News.NONE
    if edit.at is not None:  # its shadow came first
        edits = [known for known in edits if known.at or known.content != edit.content]
    before = (message.content, message.edited_at, message.metadata.get("edit_unreadable"))
    kept = sorted([*edits, edit], key=_edit_order)[-EDITS_MAX:]
    message.edits = [msgspec.to_builtins(known) for known in kept]
    settle_content(message)
    after = (message.content, message.edited_at, message.metadata.get("edit_unreadable"))
    return News.KEPT if before == after else News.SHOWN


def _edit_order(edit: Edit) -> tuple[bool, int, str]:
    """Any edit with a time of its own is later than one without."""
    return (edit.at is not None, edit.at or edit.seen_at, edit.content or "")


def _revoke(message: MessageRecord, at: int) -> News:
    if message.deleted_at is not None and message.deleted_at <= at:
        return News.NONE
    is_first = message.deleted_at is None
    message.deleted_at = at
    return News.SHOWN if is_first else News.KEPT


def _react(message: MessageRecord, reaction: Reaction) -> News:
    message.reactions, news = _latest_of_each(message.reactions, reaction, REACTIONS_MAX)
    return news


def _vote(message: MessageRecord, vote: Vote) -> News:
    votes, news = _latest_of_each(message.metadata.get("votes", []), vote, VOTES_MAX)
    if news:
        message.metadata["votes"] = votes
    return news


def _latest_of_each(known: list[Any], new: Reaction | Vote, limit: int) -> tuple[list[Any], News]:
    """The list, one entry per person, with ``new`` in it.

    Evolution 1.8 and 2.2 repeat everybody's vote with a new time whenever somebody votes: that is
    remembered, for the latest counts, and told to nobody.
    """
    entry = msgspec.to_builtins(new)
    entries = {item["who"]: item for item in known}
    old = entries.get(new.who)
    if old is not None and _order(entry) <= _order(old):
        return known, News.NONE
    entries[new.who] = entry
    newest = sorted(entries.values(), key=lambda item: (item["at"], item["who"]))[-limit:]
    news = News.KEPT if _said(old) == _said(entry) else News.SHOWN
    return sorted(newest, key=lambda item: str(item["who"])), news


def _said(entry: dict[str, Any] | None) -> str:
    """What a reader sees of it."""
    return "" if entry is None else str(entry.get("emoji") or entry.get("options") or "")


def _order(entry: dict[str, Any]) -> tuple[int, str, str]:
    emoji = entry.get("emoji", "")
    # In one moment taking it back counts: the phone sends it last.
    return (entry["at"], str(not emoji), emoji + str(entry.get("options", "")))
