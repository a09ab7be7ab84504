"""What an operator asks of the daemon at a glance, and the answer (``GET /v1/overview``)."""

from typing import Annotated

from msgspec import Meta, Struct

from evorelay.model.views import Timestamp

PerMinute = list[float | None]
Milliseconds = list[float | None]


class OverviewParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    minutes: Annotated[
        int,
        Meta(
            ge=1,
            le=1440,
            description="How far back `series` goes: in steps of 10 s up to an hour, of 5 minutes "
            "beyond",
        ),
    ] = 60


class InstanceStates(Struct, frozen=True, kw_only=True):
    """How many instances are in which state."""

    open: int = 0
    connecting: int = 0
    close: int = 0
    unknown: int = 0


class Now(Struct, frozen=True, kw_only=True):
    """How things stand. Totals count since the start of the daemon."""

    received_per_minute: Annotated[
        float, Meta(description="Messages that came in during the last minute")
    ]
    sent_per_minute: Annotated[
        float, Meta(description="Messages that went out, whoever wrote them")
    ]
    p50_ms: Annotated[
        float | None,
        Meta(
            description="In the last minute, from a webhook's arrival to its events being written "
            "to every connected client that reads; where nobody was connected, to their "
            "publication. null: there was nothing"
        ),
    ]
    p99_ms: float | None
    connections: int
    journal_lag: Annotated[int, Meta(description="Webhooks stored and not handled yet")]
    journal_age_seconds: Annotated[float, Meta(description="How long the oldest of them waits")]
    replies_waiting: int
    oldest_reply_seconds: float
    dead_letters: Annotated[
        int | None, Meta(description="Replies that failed and were not retried; null: not read yet")
    ]
    quarantine: Annotated[
        int | None, Meta(description="Webhooks not understood so far; null: not read yet")
    ]
    recovered_total: Annotated[int, Meta(description="Found though Evolution never posted it")]
    gaps_total: Annotated[int, Meta(description="Holes in the log: always 0, or a bug")]
    unknown_outcomes_total: Annotated[
        int, Meta(description="Replies of which it was unclear at first whether they were sent")
    ]
    instances: InstanceStates


class OverviewSeries(Struct, frozen=True, kw_only=True):
    """Arrays of equal length, oldest first; null where the daemon was down."""

    start: Annotated[Timestamp, Meta(description="When the first step begins")]
    step_seconds: int
    received: Annotated[PerMinute, Meta(description="Per minute")]
    sent: Annotated[PerMinute, Meta(description="Per minute")]
    p50_ms: Annotated[Milliseconds, Meta(description="null also where nothing came")]
    p99_ms: Annotated[Milliseconds, Meta(description="null also where nothing came")]
    connections: Annotated[
        list[int | None], Meta(description="As the next three: the most there were in the step")
    ]
    journal_lag: list[int | None]
    replies_waiting: list[int | None]
    oldest_reply_seconds: list[float | None]
    recovered: Annotated[list[int | None], Meta(description="How many in the step")]


class OverviewView(Struct, frozen=True, kw_only=True):
    at: Timestamp
    now: Now
    series: OverviewSeries
