"""What a replay is asked and answers (contract §3): the same Structs for REST and RPC."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from evorelay.model.envelope import Envelope
from evorelay.model.views import Timestamp
from evorelay.protocol.webhook import event_name
from evorelay.relay.differences import DIFFERENCES_MAX, Difference
from evorelay.relay.questions import Moment, Text

LeftOut = Annotated[
    int, Meta(description=f"How many more there are: at most {DIFFERENCES_MAX} are shown")
]


class QuarantineReplay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quarantine_id: Text
    dry_run: bool = False
    """Only say what would be different."""


class QuarantineReplayed(Struct, frozen=True, kw_only=True):
    id: str
    outcome: Literal["replayed", "still_quarantined", "already_replayed"]
    reason: Annotated[str | None, Meta(description="A code: why it is still not understood")] = None
    detail: Annotated[str | None, Meta(description="The reason for a person")] = None
    differences: list[Difference] = []
    differences_left_out: LeftOut = 0


class JournalReplay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From ``after_seq`` or ``since`` on, one of them, to ``until`` or the end."""

    after_seq: Moment | None = None
    """``next_seq`` of the previous answer."""
    since: Timestamp | None = None
    """Of the webhook's arrival, like ``until``."""
    until: Timestamp | None = None
    instance: Text | None = None
    event: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    """Entries in one call; it may answer earlier."""
    dry_run: bool = False
    """Only say what would be different."""

    def wants(self, envelope: Envelope) -> bool:
        event = None if self.event is None else event_name(self.event)
        return self.instance in (None, envelope.instance) and event in (None, envelope.event)


class JournalReplayed(Struct, frozen=True, kw_only=True):
    next_seq: Annotated[
        int | None, Meta(description="Send it as `after_seq`; null: everything is done")
    ]
    entries: Annotated[int, Meta(description="Webhooks that were read again")]
    counts: Annotated[
        dict[str, int],
        Meta(description="Differences by kind, and webhooks that are `not_understood` or `failed`"),
    ]
    differences: list[Difference]
    differences_left_out: LeftOut = 0
