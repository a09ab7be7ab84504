"""What is observed of the daemon; ``relay/judging.py`` says whether that is well."""

from msgspec import Struct


class Outside(Struct, frozen=True, kw_only=True):
    """How it stands with Evolution and WhatsApp. Texts for a person, without secrets (P7)."""

    unreachable: tuple[str, ...] = ()
    """``host:port: why``, for each Evolution that does not answer."""
    down: tuple[str, ...] = ()
    """Instances that are not connected, by name."""
    suspected: tuple[str, ...] = ()
    unregistered: tuple[str, ...] = ()
    """Those whose webhooks do not come to us."""
    parked: tuple[str, ...] = ()
    """``instance: why nothing is sent``."""
    oldest_reply_s: float = 0.0
    """How long the longest waiting reply has waited."""
    fetches: int = 0
    """Files of messages that are yet to be fetched."""


class Vitals(Struct, frozen=True, kw_only=True):
    """What was observed; durations in seconds."""

    refusal: str | None = None
    commit_waits_s: float = 0.0
    lag: int = 0
    pipeline_stalled_s: float = 0.0
    """0 while it moves, or has nothing to do."""
    oldest_unhandled_s: float = 0.0
    loop_lag_s: float = 0.0
    store_read_s: float = 0.0
    """How long the last probe took, or the one under way has taken so far."""
    store_error: str | None = None
    disk_free: int = 0
    disk_watermark: int = 0
    evolution_configured: bool = True
    key_trouble: str | None = None
    sessions: int = 0
    outside: Outside = Outside()
