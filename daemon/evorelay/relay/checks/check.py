"""What one check says, and what all of them come to."""

from typing import Literal

from msgspec import Struct

Status = Literal["pass", "warn", "fail"]


class Check(Struct, frozen=True, kw_only=True):
    name: str
    """``component:measurement``."""
    status: Status = "pass"
    value: float | None = None
    unit: str | None = None
    output: str | None = None
    """For a person: what is wrong and what it means, also without the value beside it."""

    def detailed(self) -> dict[str, object]:
        """With the field names of draft-inadarei-api-health-check."""
        fields = {
            "status": self.status,
            "observedValue": self.value,
            "observedUnit": self.unit,
            "output": self.output,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Report(Struct, frozen=True):
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        found = {check.status for check in self.checks}
        return "fail" if "fail" in found else "warn" if "warn" in found else "pass"
