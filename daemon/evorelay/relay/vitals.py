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


class BackupFacts(Struct, frozen=True, kw_only=True):
    """How it stands with backups. Moments are Unix milliseconds; None: there is none."""

    last_at: int | None = None
    """When the newest whole backup was made."""
    verified_at: int | None = None
    """When it was last restored and found whole; earlier than ``last_at``: not yet."""
    due_at: int | None = None
    """When the next one is due. It stays in the past while a backup that was due is missing."""
    trouble: str | None = None
    """What is wrong and what to do, a sentence for a person without secrets (P7): that the last run
    failed, or that a backup is damaged."""


class Vitals(Struct, frozen=True, kw_only=True):
    """What was observed; durations in seconds."""

    at: int = 0
    """When: Unix milliseconds."""
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
    backup: BackupFacts | None = None
    """None where no backups are made."""
