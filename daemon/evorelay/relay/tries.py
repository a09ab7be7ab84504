"""What was tried with a command, for the trace of its message: each attempt's begin and end.

Kept in the command's row, which an attempt writes anyway. Nothing is decided by it.
"""

from typing import Any, Literal

from evorelay.model.records import OutboxRecord

TRIES_KEPT = 20
"""The latest; parked over and over, an instance may try without end."""
DETAIL_CHARS_MAX = 200
Outcome = Literal["accepted", "refused", "unknown"]


def begun(row: OutboxRecord, now: int) -> None:
    row.tries = [*row.tries, {"at": now}][-TRIES_KEPT:]


def ended(row: OutboxRecord, now: int, outcome: Outcome, detail: str | None = None) -> None:
    """The latest attempt did; what was known of it before gives way, unless that is for good."""
    if not row.tries or row.tries[-1].get("outcome") in ("accepted", "refused"):
        return
    end: dict[str, Any] = {"end": now, "outcome": outcome}
    if detail:
        end["detail"] = detail[:DETAIL_CHARS_MAX]
    row.tries = [*row.tries[:-1], {**row.tries[-1], **end}]
