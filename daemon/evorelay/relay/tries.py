"""What was tried with a command, for the trace of its message: each attempt's begin and end.

Kept in the command's row, which an attempt writes anyway. Nothing is decided by it.
"""

from typing import Any, Literal

from evorelay.model.records import OutboxRecord

TRIES_KEPT = 20
"""The latest; parked over and over, an instance may try without end."""
ENDS_KEPT = 4
DETAIL_CHARS_MAX = 200
Outcome = Literal["accepted", "refused", "unknown"]


def begun(row: OutboxRecord, now: int) -> None:
    row.tries = [*row.tries, {"at": now, "ends": []}][-TRIES_KEPT:]


def ended(row: OutboxRecord, now: int, outcome: Outcome, detail: str | None = None) -> None:
    """The latest attempt did, as far as is known now. What was unclear becomes clear later, and
    what was refused may turn out to have been sent; the former word stays beside the latter.
    """
    if not row.tries:
        return
    *before, latest = row.tries
    ends = latest["ends"]
    if ends and ends[-1]["outcome"] in ("accepted", outcome):
        return
    end: dict[str, Any] = {"at": now, "outcome": outcome}
    if detail:
        end["detail"] = detail[:DETAIL_CHARS_MAX]
    row.tries = [*before, {**latest, "ends": [*ends, end][-ENDS_KEPT:]}]
