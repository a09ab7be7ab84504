"""What the ledger records of an attempt to send: before the call, and whatever came of it (P4).

Each function is one work for ``Ledger.change``. A command that was settled in the meantime, by its
echo for instance, is left as it is.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from evorelay.model.change import OURSELVES, Reaction
from evorelay.model.outcome import Accepted, FaultKind, GatewayFault
from evorelay.model.outgoing import Delivery, Outgoing, Target
from evorelay.model.records import ContactRecord, MessageRecord, OutboxRecord
from evorelay.protocol.changes import apply_change
from evorelay.relay import tries
from evorelay.relay.draft import Draft
from evorelay.relay.joining import carried_out, join_by_answer

MEANWHILE_OVER = ("sent", "failed", "kept")
EXPIRED = ("expired", "It could not be sent in time. If it still matters, retry it.")
IN_DOUBT = (
    "outcome_unknown",
    "Nobody can say whether it was sent: look at the phone before you retry it.",
)


class Rules(Struct, frozen=True, kw_only=True):
    """When to give up (config ``outbox``)."""

    max_attempts: int
    max_age_ms: int


def new_own_id() -> str:
    """A WhatsApp id as WhatsApp Web makes them; Evolution 2.4 uses it for the message."""
    return "3EB0" + secrets.token_hex(9).upper()


def begin(draft: Draft, outbox_id: str, rules: Rules) -> Delivery | None:
    """Record that an attempt begins; None when there is nothing to send any more."""
    row = draft.tx.outbox([outbox_id]).get(outbox_id)
    if row is None or row.state != "queued":  # None: the person it was for was erased
        return None
    if draft.now - row.queued_at > rules.max_age_ms:
        _expire(draft, row)
        return None
    outgoing = msgspec.convert(row.outgoing, Outgoing)
    contact = draft.tx.contacts([row.contact_id])[row.contact_id]
    target = _target(draft, outgoing, contact)
    if outgoing.type == "reaction" and target is None:
        _give_up(draft, row, "no_target", "The message it is a reaction to was never sent.")
        return None
    row.state, row.attempted_at, row.ended_at = "sending", draft.now, None
    if row.doubt_since is None:
        row.doubt_since = draft.now
    row.attempts += 1
    tries.begun(row, draft.now)
    draft.plan.changed_outbox.append(row)
    return Delivery(number=_number(contact), outgoing=outgoing, target=target, own_id=row.own_id)


def succeed(draft: Draft, outbox_id: str, accepted: Accepted) -> None:
    """Evolution took the message."""
    row = draft.tx.outbox([outbox_id])[outbox_id]
    if row.outgoing["type"] == "reaction":
        carried_out(draft, row, "answered")
        return
    join_by_answer(draft, outbox_id, accepted.whatsapp_id, accepted.jid, known="answered")


Next = Literal["sent", "over", "retry", "park", "look"]
"""``sent``: it turned out to be, meanwhile; ``over``: it was given up."""


def fail(draft: Draft, outbox_id: str, fault: GatewayFault, rules: Rules, due_at: int) -> Next:
    """The call did not succeed; what to do with the command. ``due_at``: of a next attempt."""
    row = draft.tx.outbox([outbox_id])[outbox_id]
    if row.state in MEANWHILE_OVER:
        return _ended(row)
    row.error = {"code": fault.code, "message": fault.message}
    kind = fault.kind
    if kind is FaultKind.UNKNOWN and row.outgoing["type"] == "reaction":
        kind = FaultKind.RETRY  # the same reaction twice is one reaction
    is_unknown = kind is FaultKind.UNKNOWN
    said = f"{fault.code}: {fault.message}"
    tries.ended(row, draft.now, "unknown" if is_unknown else "refused", said)
    if is_unknown:
        row.state, row.ended_at = "unknown", draft.now
        draft.plan.changed_outbox.append(row)
        return "look"
    if row.doubt_since == row.attempted_at:
        row.doubt_since = None  # this attempt surely sent nothing, and it was the first
    row.state = "queued"
    if kind in (FaultKind.INSTANCE_DOWN, FaultKind.GATEWAY_DOWN, FaultKind.LICENCE):
        row.attempts -= 1  # it was not this message's fault
        draft.plan.changed_outbox.append(row)
        return "park"
    if kind is FaultKind.PERMANENT or row.attempts >= rules.max_attempts:
        _give_up(draft, row, fault.code, fault.message)
        return "over"
    row.due_at = due_at
    draft.plan.changed_outbox.append(row)
    return "retry"


def repeat(draft: Draft, outbox_id: str, rules: Rules) -> Next:
    """Evolution knows of no such message: it was not sent, so it may be sent again."""
    row = draft.tx.outbox([outbox_id])[outbox_id]
    if row.state != "unknown":
        return "over"
    if row.attempts >= rules.max_attempts:
        error = row.error or {"code": IN_DOUBT[0], "message": IN_DOUBT[1]}
        _give_up(draft, row, error["code"], error["message"])
        return "over"
    row.state, row.due_at = "queued", draft.now
    draft.plan.changed_outbox.append(row)
    return "retry"


def expire(draft: Draft, outbox_ids: Sequence[str]) -> None:
    """They have waited for too long."""
    for row in draft.tx.outbox(outbox_ids).values():
        if row.state == "queued":
            _expire(draft, row)


def give_up_in_doubt(draft: Draft, outbox_id: str) -> None:
    """Nobody can say what became of it, and it is not sent twice in doubt."""
    row = draft.tx.outbox([outbox_id])[outbox_id]
    if row.state == "unknown":
        _give_up(draft, row, *IN_DOUBT)


def after_a_bug(draft: Draft, outbox_id: str) -> Next:
    """A bug of ours met it. If it may have been sent it is in doubt, else given up."""
    row = draft.tx.outbox([outbox_id])[outbox_id]
    if row.state in MEANWHILE_OVER:
        return _ended(row)
    tries.ended(row, draft.now, "unknown", "internal: a bug here, see the log")
    if row.state in ("sending", "unknown") and row.outgoing["type"] != "reaction":
        row.state, row.ended_at = "unknown", row.ended_at or draft.now
        draft.plan.changed_outbox.append(row)
        return "look"
    _give_up(
        draft, row, "internal", "Something went wrong here; it has been logged. Retry it later."
    )
    return "over"


def doubt_what_was_cut(draft: Draft) -> int:
    """We crashed in the middle of these attempts; returns how many there are."""
    cut = [row for row in draft.tx.outbox_under_way() if row.state == "sending"]
    for row in cut:
        # The same reaction twice is one reaction: it needs no finding out.
        is_harmless = row.outgoing["type"] == "reaction"
        row.state, row.ended_at = "queued" if is_harmless else "unknown", draft.now
        tries.ended(row, draft.now, "unknown", "cut off: the relay ended during the call")
    draft.plan.changed_outbox.extend(cut)
    return len(cut)


def _ended(row: OutboxRecord) -> Next:
    return "sent" if row.state == "sent" else "over"


def _expire(draft: Draft, row: OutboxRecord) -> None:
    code, text = (row.error["code"], row.error["message"]) if row.error else EXPIRED
    _give_up(draft, row, code, text)


def _give_up(draft: Draft, row: OutboxRecord, code: str, text: str) -> None:
    error: dict[str, Any] = {"code": code, "message": text}
    row.state, row.error, row.ended_at, row.due_at = "failed", error, draft.now, 0
    draft.plan.changed_outbox.append(row)
    message = draft.tx.messages_by_id([row.message_id]).get(row.message_id)
    if message is None:
        return
    if row.outgoing["type"] == "reaction":
        ours = next((r["emoji"] for r in message.reactions if r["who"] == OURSELVES), "")
        if ours == row.outgoing["content"]:  # else a later one stands there
            before = row.outgoing.get("previous", "")
            apply_change(message, Reaction(who=OURSELVES, emoji=before, at=draft.now))
        message.metadata["reaction_error"] = error
    else:
        message.status, message.error = "failed", error
    draft.change_message(message)
    draft.tell_message("message.updated", message)


def _number(contact: ContactRecord) -> str:
    """Whom to write to: digits where it is a phone, the whole JID of groups and privacy ids."""
    user, _, domain = contact.jid.partition("@")
    return user if domain == "s.whatsapp.net" else contact.jid


def _target(draft: Draft, outgoing: Outgoing, contact: ContactRecord) -> Target | None:
    message = draft.tx.messages_by_id([outgoing.target] if outgoing.target else [])
    quoted: MessageRecord | None = message.get(outgoing.target or "")
    if quoted is None or quoted.whatsapp_id is None:
        return None
    return Target(
        whatsapp_id=quoted.whatsapp_id,
        jid=contact.jid,
        from_me=quoted.direction == "out",
        participant=quoted.sender_id if contact.is_group and quoted.direction == "in" else None,
        content="" if quoted.deleted_at is not None else quoted.content,
    )
