"""What a reconciliation is asked and answers (contract §3)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from evorelay.model.views import Failure, Timestamp
from evorelay.relay.questions import Text

Trigger = Literal["start", "open", "silence", "command"]


class ReconcileParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[Timestamp, Meta(description="Compare what WhatsApp dates from then on")]
    instance: Annotated[
        Text | None, Meta(description="Null: every instance of the caller's that Evolution has")
    ] = None


class ReconcileRun(Struct, frozen=True, kw_only=True):
    """Evolution's own list of an instance's messages compared with ours, once."""

    id: str
    instance: str
    trigger: Annotated[
        Trigger,
        Meta(description="Our start, the instance opened, it was silent, or somebody asked"),
    ]
    state: Literal["waiting", "running", "done", "failed"]
    since: Timestamp
    until: Annotated[Timestamp | None, Meta(description="Null until it runs")]
    looked_at: Annotated[int, Meta(description="Of Evolution's messages")]
    recovered: Annotated[int, Meta(description="Messages that were missing and are here now")]
    changes: Annotated[
        int, Meta(description="Edits, deletions, reactions and statuses that were missing")
    ]
    not_understood: Annotated[int, Meta(description="Rows that say nothing we can read")]
    cut: Annotated[
        bool,
        Meta(description="It did not look at all of it: older messages than its bounds allow"),
    ]
    error: Annotated[Failure | None, Meta(description="Why Evolution could not be asked")]


class ReconcileRuns(Struct, frozen=True):
    runs: list[ReconcileRun]
