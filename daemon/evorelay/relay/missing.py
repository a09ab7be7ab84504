"""What of Evolution's list is not here yet: messages, and what happened to messages."""

from collections.abc import Sequence
from typing import Any

import trio
from msgspec import Struct

from evorelay.model.change import Change, Status
from evorelay.model.envelope import Envelope
from evorelay.model.fact import ChangeFact, Fact, MessageFact, QuarantineFact
from evorelay.protocol.changes import apply_change, gather
from evorelay.protocol.delivery import OUTBOUND
from evorelay.protocol.normalise import normalise
from evorelay.protocol.recovery import moment_of_row, recovered_envelope
from evorelay.relay.bygone import Bygone
from evorelay.relay.draft import Draft
from evorelay.storage.ports import MessageKey

_SLICE = 32
"""Rows read between two looks at the clock of everybody else: about 1 ms."""


class Candidate(Struct, frozen=True):
    """A row as the webhook it should have come by, and what that says."""

    at: int
    """Unix ms, 0 where the row does not say."""
    envelope: Envelope
    facts: list[Fact]


class Lacking(Struct, frozen=True):
    candidate: Candidate
    kind: str
    """The message's type, or which kind of change is not known here."""
    is_message: bool


async def candidates_of(
    instance: str, rows: Sequence[dict[str, Any]], *, received_at: int, store_status_posts: bool
) -> tuple[list[Candidate], int]:
    """(what may be missing, how many rows say nothing we can read)"""
    found: list[Candidate] = []
    unread = 0
    for number, row in enumerate(rows, 1):
        if number % _SLICE == 0:
            await trio.lowlevel.checkpoint()
        try:
            envelope = recovered_envelope(instance, row, received_at=received_at)
        except ValueError:
            unread += 1
            continue
        facts = normalise(envelope, store_status_posts=store_status_posts)
        if any(isinstance(fact, QuarantineFact) for fact in facts):
            unread += 1
        else:
            found.append(Candidate(moment_of_row(row) or 0, envelope, facts))
    return found, unread


def missing(
    draft: Draft, candidates: Sequence[Candidate], bygone: Bygone | None = None
) -> list[Lacking]:
    """Those from which the pipeline would learn something; nothing is written.

    A message that is not taken in any more (``bygone``) is not missing, nor what happened to it.

    A message that is here may still lack a status, so a row of it is looked through for changes.
    They are tried on rows that are thrown away.
    """
    if bygone is not None:
        candidates = [one for one in candidates if all(map(bygone.left, one.facts))]
    known = draft.tx.messages(
        {key for candidate in candidates for fact in candidate.facts if (key := _key(fact))}
    )
    early = draft.tx.early_changes(
        {
            key
            for candidate in candidates
            for fact in candidate.facts
            if (key := _key(fact)) and key not in known
        }
    )

    def is_news(key: MessageKey, change: Change) -> bool:
        if key in known:
            return bool(apply_change(known[key], change))
        if isinstance(change, Status) and change.status not in OUTBOUND:
            return False
        before = early.get(key, [])
        early[key] = gather(before, change)
        return early[key] != before

    def judged(candidate: Candidate) -> Lacking | None:
        for fact in candidate.facts:
            key = _key(fact)
            if isinstance(fact, MessageFact) and key not in known:
                return Lacking(candidate, fact.type, is_message=True)
            if key and isinstance(fact, ChangeFact) and is_news(key, fact.change):
                return Lacking(candidate, type(fact.change).__name__.lower(), is_message=False)
        return None

    return [lacking for candidate in candidates if (lacking := judged(candidate))]


def _key(fact: Fact) -> MessageKey | None:
    if isinstance(fact, MessageFact | ChangeFact):
        return fact.instance, fact.whatsapp_id
    return None
