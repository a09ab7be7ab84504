"""Webhooks that were not understood, kept with the reason until a later version reads them."""

from hashlib import sha256

from evorelay.model.envelope import Entry
from evorelay.model.fact import QuarantineFact
from evorelay.model.records import QuarantineRecord
from evorelay.relay.draft import Draft


class Quarantine:
    """What one batch sets aside."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._kept: set[tuple[int, str]] = set()

    def keep(self, entry: Entry, fact: QuarantineFact) -> None:
        """Keep the webhook once per reason: a row holds all of it, and every element may be odd."""
        if (entry.seq, fact.reason) in self._kept:
            return
        self._kept.add((entry.seq, fact.reason))
        envelope = entry.envelope
        body = envelope.body.decode("utf-8", "replace")
        if envelope.body_blob is not None:
            body = f'{{"blob":"{envelope.body_blob}"}}'
        self._draft.plan.quarantined.append(
            QuarantineRecord(
                id=self._draft.new_id(),
                journal_seq=entry.seq,
                received_at=envelope.received_at,
                event=envelope.event,
                instance=envelope.instance,
                reason=fact.reason,
                detail=fact.detail,
                body=body,
                digest=_digest(envelope.event, envelope.instance, fact.reason, body),
                replayed_at=None,
            )
        )


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
