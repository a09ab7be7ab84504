"""Webhooks that were not understood, kept with the reason until a later version reads them."""

import re
from hashlib import sha256

from evorelay.model.envelope import Entry
from evorelay.model.fact import QuarantineFact
from evorelay.model.records import QuarantineRecord
from evorelay.relay.draft import Draft

_SPILLED = '{"blob":"%s"}'
_SPILLED_BODY = re.compile(re.escape(_SPILLED).replace("%s", "([0-9a-f]{64})"))


def blob_of(body: str) -> str | None:
    """The blob that holds the body of a quarantined webhook; None when it is ``body`` itself."""
    spilled = _SPILLED_BODY.fullmatch(body)
    return spilled.group(1) if spilled else None


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
            body = _SPILLED % envelope.body_blob
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
