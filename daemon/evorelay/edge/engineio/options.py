"""What an Engine.IO server can be told, and what is known of whoever opened a session."""

from msgspec import Struct

from evorelay.edge.ws_connection import STRANGER_BYTES_MAX
from evorelay.model.principal import Principal
from evorelay.protocol.peers import Headers


class EngineOptions(Struct, frozen=True, kw_only=True):
    """The first five are the protocol's own, at the reference server's defaults."""

    path: str = "/socket.io/"
    """Served with and without its last slash."""
    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    upgrade_timeout_s: float = 10.0
    max_payload: int = 1_000_000
    """Bytes of one POST's body from who has signed in."""
    stranger_payload: int = STRANGER_BYTES_MAX
    """The same from who has not."""
    sockets_max: int = 20_000
    strangers_max: int = 2_000
    stranger_grace_s: float = 1.0
    """Where there is no room for one more stranger, one who has had this long gives way. So a flood
    must be of 2,000 handshakes a second to keep honest newcomers out."""
    patience_s: float = 30.0
    """How long a client's message waits for a handler that takes none."""
    farewell_s: float = 10.0
    """How long the last words to a polling client are kept for it to fetch."""


class EngineRequest(Struct, frozen=True):
    """The request that opened a session."""

    peer: str | None
    """The direct peer's address (protocol/peers.py)."""
    headers: Headers
    trusted: Principal | None
    """Who a client without a credential is (``auth.mode = "open"``), if anybody."""

    def header(self, name: bytes) -> str | None:
        """The first value of a header, its name in lower case; None without one."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def __repr__(self) -> str:
        """Without headers: one of them may be a credential (P7)."""
        return f"EngineRequest(peer={self.peer!r})"
