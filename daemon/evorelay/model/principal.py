"""Who a client is and what it may do (P7). Made from verified claims only."""

from typing import Literal

from msgspec import Struct

Role = Literal["agent", "supervisor", "admin"]
_RANK: dict[str, int] = {"agent": 1, "supervisor": 2, "admin": 3}


class Principal(Struct, frozen=True, kw_only=True):
    sub: str
    name: str | None = None
    role: Role | None = None
    """None: a valid token that grants nothing here."""
    instances: frozenset[str] | Literal["*"] = frozenset()
    expires_at: int | None = None
    """Unix seconds; None never expires (``auth.mode = "open"``)."""

    def may_see(self, instance: str) -> bool:
        """Whether tickets of this instance exist for this principal."""
        if self.role is None:
            return False
        if self.role == "admin" or self.instances == "*":
            return True
        return instance in self.instances

    def is_at_least(self, role: Role) -> bool:
        return self.role is not None and _RANK[self.role] >= _RANK[role]

    @property
    def sees_all(self) -> bool:
        return self.role == "admin" or (self.role is not None and self.instances == "*")
