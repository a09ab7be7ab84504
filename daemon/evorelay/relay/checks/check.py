"""What one check says, and what all of them come to."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Status = Literal["pass", "warn", "fail"]
NAMED_MAX = 5
"""Instances in one sentence; how many more there are is said."""
_BADNESS: dict[Status, int] = {"fail": 0, "warn": 1, "pass": 2}


class Check(Struct, frozen=True, kw_only=True):
    name: str
    """``component:measurement``."""
    component: str | None = None
    """Which one, where there are several of a kind."""
    status: Status = "pass"
    value: float | None = None
    unit: str | None = None
    state: str | None = None
    """What it is in, in a word, where that is worth telling beside the value."""
    output: str | None = None
    """For a person: what is wrong, what that means and what to do, also without the value."""

    def detailed(self) -> dict[str, object]:
        """With the field names of draft-inadarei-api-health-check; ``state`` is ours."""
        fields = {
            "componentId": self.component,
            "status": self.status,
            "observedValue": self.value,
            "observedUnit": self.unit,
            "state": self.state,
            "output": self.output,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Report(Struct, frozen=True):
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        return worst(self.checks)

    def by_name(self) -> dict[str, list[Check]]:
        found: dict[str, list[Check]] = {}
        for check in self.checks:
            found.setdefault(check.name, []).append(check)
        return found

    @property
    def summary(self) -> str:
        """One line: the worst trouble first, and how many there are."""
        troubled = sorted(
            (check for check in self.checks if check.status != "pass"),
            key=lambda check: _BADNESS[check.status],
        )
        if not troubled:
            return "all is well"
        first = troubled[0]
        more = f" (and {len(troubled) - 1} more: evorelay status)" if len(troubled) > 1 else ""
        return f"{first.status}: {first.output or first.name}{more}"


def worst(checks: Sequence[Check]) -> Status:
    return min((check.status for check in checks), key=_BADNESS.__getitem__, default="pass")


def grade(value: float, *, warn: float, fail: float | None = None) -> Status:
    """A value at its threshold still passes."""
    if fail is not None and value > fail:
        return "fail"
    return "warn" if value > warn else "pass"


def counted(name: str, found: Sequence[str], what: str, advice: str) -> Check:
    """One of a list that should be empty."""
    if not found:
        return Check(name=name, value=0, unit="found")
    named = ", ".join(found[:NAMED_MAX])
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return Check(
        name=name,
        status="warn",
        value=len(found),
        unit="found",
        output=f"{what}: {named}{more}{advice}",
    )
