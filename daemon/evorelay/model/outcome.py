"""What became of a call to Evolution.

A fault says what it means for a message, because that decides everything that follows: whether the
message may be sent again, now, later, or never.
"""

from enum import StrEnum

from msgspec import Struct

from evorelay.model.errors import RelayError


class FaultKind(StrEnum):
    PERMANENT = "permanent"
    """This message will never be taken; others may be."""
    RETRY = "retry"
    """Nothing was sent; the same call may succeed in a while."""
    INSTANCE_DOWN = "instance_down"
    """Nothing was sent; nothing will be until the instance is connected again."""
    GATEWAY_DOWN = "gateway_down"
    """Nothing was sent; Evolution itself cannot be reached, or not be trusted (TLS)."""
    LICENCE = "licence"
    """Nothing was sent; Evolution refuses everything until it is activated."""
    UNKNOWN = "unknown"
    """It may have been sent, or not. Settled before anything is sent again (P4)."""


class GatewayFault(RelayError):
    """A call to Evolution did not succeed. The text is for a person and holds no secret (P7)."""

    def __init__(
        self, kind: FaultKind, code: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        """Short and stable, as clients read it in ``Message.error``."""
        self.message = message
        self.retry_after_s = retry_after_s
        """What Evolution, or a proxy before it, asked for."""
        self.retryable = kind is not FaultKind.PERMANENT


class Accepted(Struct, frozen=True, kw_only=True):
    """Evolution took a message: its answer has a ``key.id``."""

    whatsapp_id: str
    jid: str | None
    """Whom Evolution says it went to: maybe another spelling of the number, or a privacy id."""


class MessageWindow(Struct, frozen=True, kw_only=True):
    """Which of Evolution's stored messages are asked for (``chat/findMessages``)."""

    since_ms: int | None = None
    until_ms: int | None = None
    from_me: bool | None = None
    whatsapp_id: str | None = None


class FoundPage(Struct, frozen=True):
    """One page of them: rows as in ``messages.upsert``'s ``data``."""

    records: list[dict[str, object]]
    pages: int
    """How many there are in all; 1 where Evolution does not page (1.x)."""


class FetchedMedia(Struct, frozen=True, kw_only=True):
    """A file from ``chat/getBase64FromMediaMessage``, in the blob store already."""

    blob: str
    size: int
    mimetype: str | None
    filename: str | None
    width: int | None = None
    height: int | None = None


class Pairing(Struct, frozen=True, kw_only=True):
    """What ``instance/connect`` answers: a code to scan, or that nothing has to be scanned."""

    state: str | None = None
    code: str | None = None
    pairing_code: str | None = None
    image: str | None = None


class Registration(Struct, frozen=True, kw_only=True):
    """Evolution's webhook setting of one instance (``webhook/find``)."""

    is_enabled: bool
    url: str
    by_events: bool
    base64: bool
    events: tuple[str, ...]
    """Subscription names; empty means all (research/evolution.md §1.1)."""
    headers: dict[str, str] = {}

    def __repr__(self) -> str:  # the URL and the headers hold secrets (P7)
        return f"Registration(is_enabled={self.is_enabled}, events={len(self.events)})"
