"""What a client says of itself when it connects: a token, and where it was before."""

from typing import Any, Self

from msgspec import Struct

from evorelay.model.errors import Code, Refusal
from evorelay.protocol.socketio import read_offset
from evorelay.relay.session import Position

_PID_CHARS_MAX = 64


class Credentials(Struct, frozen=True):
    """All that is kept of the ``auth`` of a CONNECT: the rest may be large, and we may wait."""

    token: str | None
    """Empty when it sent none; None when what it sent is no token."""
    pid: str = ""
    since: Position | None = None
    """Where it says it was, when it says it was here before; ``pid`` says as whom."""

    @classmethod
    def of(cls, auth: dict[str, Any]) -> Self:
        token = auth.get("token") or ""
        if not isinstance(token, str):
            return cls(None)
        pid, offset = auth.get("pid"), auth.get("offset")
        if not isinstance(pid, str) or not isinstance(offset, str):
            return cls(token)
        found = read_offset(offset)
        if found is None or not 0 < len(pid) <= _PID_CHARS_MAX:
            return cls(token)
        return cls(token, pid, Position(*found))

    def token_or(self, header: str | None) -> str:
        """Its token, else the one in ``Authorization: Bearer``, empty where there is neither.

        Another scheme's header is not for us: a proxy in front may ask for a password of its own.
        Raises ``Refusal`` when what it sent is no token.
        """
        if self.token is None:
            raise Refusal(Code.UNAUTHORIZED, "auth.token must be a string")
        return _of_bearer(self.token) or self.token or _of_bearer(header or "")

    def __repr__(self) -> str:
        """Without what they are (P7)."""
        return "Credentials()"


def _of_bearer(value: str) -> str:
    """The token in ``Bearer <token>``, empty for anything else."""
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""
