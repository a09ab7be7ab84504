"""Failures of sending that a test asks for: the next N sends go wrong in a chosen way."""

from collections import deque
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Kind = Literal["hang", "500", "connection-closed", "timed-out", "not-on-whatsapp"]


class Misbehaviour(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Kind
    count: Annotated[int, Meta(ge=0, le=1000)] = 1
    """So many sends; 0 calls off everything asked for so far."""
    sent: bool = False
    """Whether the message goes out all the same: the answer tells the client nothing of it."""


class Trouble:
    """The failures still to come, one for each send, in the order they were asked for."""

    def __init__(self) -> None:
        self._ahead: deque[Misbehaviour] = deque(maxlen=10_000)

    def ask_for(self, misbehaviour: Misbehaviour) -> None:
        if misbehaviour.count == 0:
            self._ahead.clear()
        self._ahead.extend([misbehaviour] * misbehaviour.count)

    def next(self) -> Misbehaviour | None:
        """What happens to this send; None: it goes well."""
        return self._ahead.popleft() if self._ahead else None


def answer(kind: Kind, number: str, jid: str) -> tuple[int, Any]:
    """(status, message) as captured from a running Evolution; not for ``hang``."""
    if kind == "not-on-whatsapp":
        return 400, [{"jid": jid, "exists": False, "number": number}]
    if kind == "connection-closed":
        return 400, ["Error: Connection Closed"]
    if kind == "timed-out":
        return 400, ["Error: Timed Out"]
    return 500, "Internal server error"
