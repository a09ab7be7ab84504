"""What a second webhook about the same message adds to the first, whichever came first (P2).

The echo of ``send.message`` joins the message it echoes; a message that could not be decrypted,
or came empty, is replaced by itself when it comes whole; a call goes from ringing to its end.
"""

from typing import Any

from evorelay.model.records import MessageRecord
from evorelay.protocol.changes import settle_content
from evorelay.protocol.normalise.calls import call_label
from evorelay.protocol.normalise.kinds import EMPTY_KIND

_CALL_STATES = ("offer", "ringing", "terminate", "timeout", "reject", "accept")
"""As far as a call got: each one outranks those before it."""
_OF_ITS_OWN = {
    *("origin", "late", "recovered", "history"),
    *("votes", "unconfirmed", "edit_unreadable"),
}
"""Metadata about the row, not about what one of its webhooks says."""
_SAID = ("type", "content", "reply_to", "media", "sender_id", "sender_name")


def absorb(known: MessageRecord, again: MessageRecord) -> bool:
    """Take over what ``again`` knows better; return whether anything is different now."""
    before = _state(known)
    if not known.is_reply:  # its moment is when it was written; WhatsApp knows only the second
        # Of two moments the earlier: a call's is its beginning, and nonsense is the arrival's.
        known.created_at = min(known.created_at, again.created_at)
    if _worth(again) > _worth(known):
        _rewrite(known, again)
        known.journal_seq = again.journal_seq
    elif known.type == again.type and _worth(again) == _worth(known):
        if known.type == "call":
            _go_on(known, again)
        for name in again.metadata.keys() - known.metadata.keys() - _OF_ITS_OWN:
            known.metadata[name] = again.metadata[name]
    _fill_media(known, again.media)
    known.sender_name = known.sender_name or again.sender_name
    known.reply_to = known.reply_to or again.reply_to
    if again.metadata.get("origin") == "api" and "origin" in known.metadata:
        known.metadata["origin"] = "api"
    return before != _state(known)


def rewrite(known: MessageRecord, again: MessageRecord) -> bool:
    """Have the row say what ``again`` says: a better reading of the same webhook.

    Edits, reactions, votes, the status and where it stands stay. Returns whether it changed.
    """
    before = _state(known)
    if _worth(again) >= _worth(known) and not known.type == "call" == again.type:
        media, name, reply_to = known.media, known.sender_name, known.reply_to
        of_other_deliveries = known.metadata if known.type == again.type else {}
        _rewrite(known, again)
        _fill_media(known, media)
        known.sender_name = known.sender_name or name
        known.reply_to = known.reply_to or reply_to
        known.metadata = {**of_other_deliveries, **known.metadata}
        settle_content(known)
    return before != _state(known)


def _state(row: MessageRecord) -> tuple[Any, ...]:
    media = None if row.media is None else dict(row.media)
    said = (getattr(row, name) for name in _SAID if name != "media")
    return (*said, media, dict(row.metadata), row.created_at)


def _worth(row: MessageRecord) -> int:
    """How much of what was sent is in the row."""
    if row.type != "unsupported":
        return 2
    return 0 if row.metadata.get("placeholder") or row.content == EMPTY_KIND.label else 1


def _rewrite(known: MessageRecord, again: MessageRecord) -> None:
    for name in _SAID:
        setattr(known, name, getattr(again, name))
    kept = {name: known.metadata[name] for name in _OF_ITS_OWN if name in known.metadata}
    said = {name: again.metadata[name] for name in again.metadata.keys() - _OF_ITS_OWN}
    known.metadata = {**said, **kept}
    settle_content(known)


def _go_on(known: MessageRecord, again: MessageRecord) -> None:
    said = again.metadata.get("call")
    if _call_rank(said) > _call_rank(known.metadata.get("call")):
        known.metadata["call"] = said
        known.content = call_label(str(said), video=bool(known.metadata.get("video")))


def _call_rank(state: Any) -> int:
    return _CALL_STATES.index(state) if state in _CALL_STATES else -1


def _fill_media(known: MessageRecord, media: dict[str, Any] | None) -> None:
    """A file that came with another delivery of the message."""
    if media is None or known.type == "unsupported":
        return
    if known.media is None:
        known.media = dict(media)
        return
    for name, value in media.items():
        if known.media.get(name) is None:
            known.media[name] = value
