"""One message's way from webhook to ticks, from what is durable.

Nothing is written for it but the record of attempts (relay/tries.py). Moments come from the rows,
the log of events and the journal, each as long as retention keeps it; a step whose moment nobody
wrote down is left out.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from evorelay.model.change import OURSELVES
from evorelay.model.clock import utc
from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import moment_of
from evorelay.model.principal import Principal
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.relay.commands import MessageRef
from evorelay.relay.journal import Journal
from evorelay.relay.reads import Reads
from evorelay.relay.trace_questions import PHASES, TraceStep, TraceView
from evorelay.storage.ports import Journaled, ToldEvent

_PHASE = {step: number for number, phase in enumerate(PHASES) for step in phase}
STATUSES = ("sent", "delivered", "read", "played", "failed")
"""Without ``pending``: that an agent had it sent again is a step of its own."""
Step = tuple[int, str, str | None]
"""Unix ms, step, detail."""


class _Media(Struct):
    id: str | None = None
    state: str = ""


class _Told(Struct):
    """What one event said of the message; the rest of it is not even read."""

    status: str
    media: _Media | None = None
    error: dict[str, Any] | None = None


class _Event(Struct):
    message: _Told


_event = msgspec.json.Decoder(_Event).decode


class Traces:
    def __init__(self, reads: Reads, journal: Journal) -> None:
        self._reads = reads
        self._journal = journal

    async def of(self, who: Principal, params: MessageRef) -> TraceView:
        """Whoever may read the message may ask. Raises ``Refusal`` and ``StoreUnavailable``; a
        foreign message and an unknown one are alike."""
        story = await self._reads(lambda reader: reader.story(params.message_id))
        message = None if story is None else story.message
        if story is None or message is None or message.ticket_id is None:
            raise _no_such_message()
        if not who.may_see(message.instance):
            raise _no_such_message()
        journaled = None
        if message.journal_seq is not None:
            journaled = await self._journal.find(message.journal_seq)
        steps = steps_of(message, story.commands, story.events, journaled)
        return TraceView(
            message_id=message.id,
            ticket_id=message.ticket_id,
            instance=message.instance,
            steps=[TraceStep(at=utc(at), step=step, detail=detail) for at, step, detail in steps],
        )


def steps_of(
    message: MessageRecord,
    commands: Sequence[OutboxRecord],
    events: Sequence[ToldEvent],
    journaled: Journaled | None,
) -> list[Step]:
    """Every step that has a moment, oldest first. ``journaled``: what is at its ``journal_seq``."""
    steps = [
        *_arrival(message, journaled),
        *_life(message, events),
        *(step for command in commands for step in _command(command)),
        *_changes(message),
    ]
    known = {(at, step) for at, step, detail in steps if detail is not None}
    told = dict.fromkeys(one for one in steps if one[2] is not None or one[:2] not in known)
    return sorted(told, key=lambda one: (one[0], _PHASE[one[1]]))


def _arrival(message: MessageRecord, journaled: Journaled | None) -> Iterator[Step]:
    if not message.is_reply:
        yield message.created_at, "whatsapp", None
        if "recovered" not in message.metadata:
            yield message.received_at, "webhook", None
    if journaled is None or not _is_about(journaled, message):
        return
    envelope = journaled.entry.envelope
    named = envelope.event or "no event named"
    if "recovered" not in message.metadata:
        yield envelope.received_at, "webhook", named
    yield journaled.committed_at, "journaled", f"as number {journaled.entry.seq}"


def _is_about(journaled: Journaled, message: MessageRecord) -> bool:
    """A journal that was put back from a copy, or lost, may have another webhook there."""
    envelope = journaled.entry.envelope
    if envelope.instance != message.instance:
        return False
    if envelope.body_blob is not None or message.whatsapp_id is None:
        return envelope.received_at == message.received_at
    return message.whatsapp_id.encode() in envelope.body


def _life(message: MessageRecord, events: Sequence[ToldEvent]) -> Iterator[Step]:
    created = next((event for event in events if event.type == "message.created"), None)
    stored_at = moment_of(message.id) if created is None else created.at
    if stored_at is not None:
        if "recovered" in message.metadata:
            yield stored_at, "recovered", "Evolution never posted it; its own list has it"
        notes = [text for name, text in _NOTES.items() if name in message.metadata]
        yield stored_at, "stored", "; ".join(notes) or None
    if created is not None:
        where = f"event {created.id}, number {created.offset} of its ticket"
        yield created.at, "published", where
    before: _Told | None = None
    for event in events:
        now = _event(event.data).message
        if before is not None:
            yield from _differences(event.at, before, now)
        before = now


_NOTES = {
    "late": "later messages were here already",
    "history": "imported history",
    "chat_corrected": "Evolution named another customer's chat",
}
"""By what the row's ``metadata`` has."""


def _differences(at: int, before: _Told, now: _Told) -> Iterator[Step]:
    if now.status != before.status and now.status in STATUSES:
        error = now.error if now.status == "failed" else None
        yield at, now.status, _said(error)
    media = now.media
    if media is not None and before.media is not None and media.state != before.media.state:
        yield at, "file", media.state


def _command(row: OutboxRecord) -> Iterator[Step]:
    what = "a reaction" if row.outgoing["type"] == "reaction" else None
    by = f"by {row.agent}" + (f" over {row.path}" if row.path else "")
    if row.state == "kept" and row.id != row.message_id:
        yield row.created_at, "repeated", by
        return
    yield row.created_at, "queued", f"{what}, {by}" if what else by
    is_retry = row.queued_at > row.created_at
    for tried in row.tries:
        if is_retry and tried["at"] >= row.queued_at:
            yield row.queued_at, "retried", what
            is_retry = False
        yield tried["at"], "attempted", what
        for end in tried["ends"]:
            yield end["at"], end["outcome"], end.get("detail") or what
    if is_retry:
        yield row.queued_at, "retried", what
    if not row.tries and row.attempted_at is not None:  # from before they were written down
        yield row.attempted_at, "attempted", f"{row.attempts} attempts, the latest"
    if row.state == "failed" and row.ended_at is not None:
        yield row.ended_at, "failed", _said(row.error)


def _changes(message: MessageRecord) -> Iterator[Step]:
    for edit in message.edits:
        yield edit["at"] or edit["seen_at"], "edited", None
    if message.deleted_at is not None:
        yield message.deleted_at, "deleted", "for everyone"
        return  # whoever reads sees nothing of what there was
    for reaction in message.reactions:
        who = "ours" if reaction["who"] == OURSELVES else None
        said = reaction["emoji"] or "taken back"
        yield reaction["at"], "reaction", f"{said} ({who})" if who else said


def _said(error: dict[str, Any] | None) -> str | None:
    return None if error is None else f"{error['code']}: {error['message']}"


def _no_such_message() -> Refusal:
    return Refusal(Code.NOT_FOUND, "there is no such message")
