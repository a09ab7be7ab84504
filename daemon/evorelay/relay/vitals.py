"""What is observed of the daemon; ``relay/checks`` says whether that is well.

Durations are seconds, moments Unix milliseconds. Texts are for a person and hold no secrets (P7).
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from evorelay.model.principal import Principal

Stage = Literal["journal", "pipeline", "delivery"]


class CanaryFacts(Struct, frozen=True, kw_only=True):
    """How the test message fares that goes the way of a webhook again and again."""

    round_trip_s: float | None = None
    """Of the last one that came back; None: none did yet."""
    missing_s: float = 0.0
    """Since the oldest one was sent that did not come back, where none came back since."""
    stage: Stage | None = None
    """Where that one is, or was given up: before its fsync, its commit, or its client."""


class InstanceSeen(Struct, frozen=True, kw_only=True):
    """A WhatsApp instance as the store has it."""

    name: str
    state: str
    state_s: float
    """How long it has been in it."""
    silent_s: float
    """Since its last webhook."""


class Outside(Struct, frozen=True, kw_only=True):
    """How it stands with Evolution and WhatsApp."""

    unreachable: tuple[str, ...] = ()
    """``host:port: why``, for each Evolution that does not answer."""
    suspected: tuple[str, ...] = ()
    """Dead though they say they are open."""
    missing: tuple[str, ...] = ()
    """Those their Evolution does not have."""
    unasked: tuple[tuple[str, str], ...] = ()
    """(instance, why its Evolution does not say how it is)."""
    unregistered: tuple[str, ...] = ()
    """Those whose webhooks do not come to us."""
    parked: tuple[tuple[str, str], ...] = ()
    """(instance, why nothing is sent)."""
    oldest_reply_s: float = 0.0
    """How long the longest waiting reply has waited."""
    fetches: int = 0
    """Files of messages that are yet to be fetched."""
    unreconciled: tuple[tuple[str, float, str], ...] = ()
    """(instance, for how long, why): what they missed cannot be looked for."""
    certificates: tuple[tuple[str, int], ...] = ()
    """(``host:port``, until when) of each Evolution whose certificate has an end that matters."""


class KeyFacts(Struct, frozen=True, kw_only=True):
    """The public keys at ``auth.jwks_url``."""

    fetched_at: int | None = None
    """None: never."""
    failure: str | None = None
    """Why the last fetch failed; None: it did not."""


class BackupFacts(Struct, frozen=True, kw_only=True):
    """How it stands with backups. None: there is no such moment."""

    last_at: int | None = None
    """When the newest whole backup was made."""
    verified_at: int | None = None
    """When it was last restored and found whole; earlier than ``last_at``: not yet."""
    due_at: int | None = None
    """When the next one is due. It stays in the past while a backup that was due is missing."""
    trouble: str | None = None
    """What is wrong and what to do, a sentence: that the last run failed, or that a backup is
    damaged."""


class Vitals(Struct, frozen=True, kw_only=True):
    at: int = 0
    """When."""
    refusal: str | None = None
    """Why webhooks are not accepted."""
    commit_error: str | None = None
    """Why the journal's last commit failed; None: it did not."""
    commit_error_s: float = 0.0
    """How long ago. None was tried since."""
    commit_waits_s: float = 0.0
    """How long the oldest webhook has waited for its commit."""
    fsync_s: float = 0.0
    """What a commit of the journal takes."""
    lag: int = 0
    pipeline_stalled_s: float = 0.0
    """0 while it moves, or has nothing to do."""
    oldest_unhandled_s: float = 0.0
    canary: CanaryFacts | None = None
    """None: none is sent."""
    loop_lag_s: float = 0.0
    store_read_s: float = 0.0
    """How long the last probe took, or the one under way has taken so far."""
    read_error: str | None = None
    store_write_s: float = 0.0
    write_error: str | None = None
    disk_free: int = 0
    disk_watermark: int = 0
    evolution_configured: bool = True
    instances: tuple[InstanceSeen, ...] = ()
    outside: Outside = Outside()
    keys: KeyFacts | None = None
    """None: tokens are not verified by keys from elsewhere."""
    certificate_until: int | None = None
    """Of ``server.tls_cert``; None: there is none."""
    quarantined: int = 0
    """Webhooks within the last hour that were not understood."""
    failed: int = 0
    """Replies given up within the last hour."""
    log_dropped: int = 0
    """Lines of the log within the last ten minutes."""
    backup: BackupFacts | None = None
    """None where no backups are made."""
    sessions: int = 0

    def seen_by(self, who: Principal) -> "Vitals":
        """Without the instances they may not see."""
        found, may_see = self.outside, who.may_see
        return replace(
            self,
            instances=tuple([one for one in self.instances if may_see(one.name)]),
            outside=replace(
                found,
                suspected=tuple(filter(may_see, found.suspected)),
                missing=tuple(filter(may_see, found.missing)),
                unasked=tuple([one for one in found.unasked if may_see(one[0])]),
                unregistered=tuple(filter(may_see, found.unregistered)),
                parked=tuple([one for one in found.parked if may_see(one[0])]),
                unreconciled=tuple([one for one in found.unreconciled if may_see(one[0])]),
            ),
        )
