"""Configuration as frozen Structs (contract §2). Loading and overlays are in ``config_load.py``.

Each part of the daemon receives its own section and nothing else. Types carry their bounds, and
in ``extra`` the unit by which the loader reads text; what needs more than one key is checked in
``settings/checks.py``.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from evorelay.model.principal import Role

KIB = 1024
MIB = 1024 * KIB
LONGEST_S = 100 * 366 * 86400.0
"""Keeps every duration, in milliseconds too, far inside SQLite's 64-bit integers."""

Span = Annotated[float, Meta(ge=0, le=LONGEST_S, extra={"unit": "seconds"})]
Timeout = Annotated[float, Meta(gt=0, le=LONGEST_S, extra={"unit": "seconds"})]
Size = Annotated[int, Meta(ge=0, le=1 << 53, extra={"unit": "bytes"})]
BodySize = Annotated[int, Meta(ge=KIB, le=1 << 40, extra={"unit": "bytes"})]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Number = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Rate = Annotated[float, Meta(gt=0, le=1_000_000)]
Path = Annotated[str, Meta(extra={"unit": "path"})]
Fingerprint = Annotated[str, Meta(extra={"unit": "sha256"})]
"""Kept as 64 lower-case hex digits without colons."""

_NEVER_SHOWN = frozenset(
    {"secret", "previous_secret", "jwt_secret", "previous_jwt_secret", "api_key", "url"}
)
"""``url`` because a database's address may carry a password."""


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Shows no secret when it is printed (P7)."""

    def __repr__(self) -> str:
        fields = (
            f"{name}=***"
            if name in _NEVER_SHOWN and getattr(self, name)
            else f"{name}={getattr(self, name)!r}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({', '.join(fields)})"


class ServerConfig(Section, frozen=True, kw_only=True):
    bind: str = "127.0.0.1:4000"
    """``host:port`` or ``unix:/path``; a socket passed by systemd wins."""
    reuse_port: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    header_timeout: Timeout = 10.0
    body_timeout: Timeout = 30.0
    """Without progress, not for the whole body."""
    idle_timeout: Timeout = 75.0
    drain_timeout: Span = 10.0
    max_connections: Count = 20_000
    public_url: str | None = None
    """How Evolution reaches us, for ``doctor --fix-webhook``; None: the address of ``bind``."""
    trusted_proxies: tuple[str, ...] = ()


class WebhookConfig(Section, frozen=True, kw_only=True):
    secret: str = ""
    """Empty in the file: generated and kept by ``secrets.py``."""
    previous_secret: str = ""
    allow_from: tuple[str, ...] = ()
    max_body_bytes: BodySize = 160 * MIB
    min_free_bytes: Size = 256 * MIB
    """Disk watermark: below it webhooks are answered 503, before anything breaks."""


class MetricsConfig(Section, frozen=True, kw_only=True):
    allow_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class AuthConfig(Section, frozen=True, kw_only=True):
    mode: Literal["jwt", "open"] = "jwt"
    jwt_secret: str = ""
    """Empty in the file: generated and kept by ``secrets.py``."""
    previous_jwt_secret: str = ""
    jwks_url: str | None = None
    issuer: str | None = None
    audience: str | None = None
    claims_path: str = "app_metadata.evorelay"
    default_role: Role | None = None
    default_instances: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()


class EvolutionInstanceConfig(Section, frozen=True, kw_only=True):
    """What one WhatsApp instance does differently; None takes the value of ``[evolution]``."""

    url: str | None = None
    api_key: str | None = None
    ca_file: Path | None = None
    fingerprint_sha256: Fingerprint | None = None
    timeout: Timeout | None = None


class EvolutionConfig(Section, frozen=True, kw_only=True):
    url: str | None = None
    api_key: str | None = None
    ca_file: Path | None = None
    fingerprint_sha256: Fingerprint | None = None
    timeout: Timeout = 60.0
    """Of one call, beyond the message's own ``delay``."""
    poll_every: Timeout = 60.0
    """Between two looks at an instance's connection."""
    silence: Timeout = 30 * 60.0
    """An open instance that posts nothing for this long is suspected of being dead."""
    check_webhook_every: Timeout = 10 * 60.0
    reconnect_cooldown: Timeout = 60.0
    reconcile_max: Timeout = 24 * 3600.0
    """How far back a reconciliation that nobody asked for goes."""
    reconcile_max_messages: Count = 10_000
    """Of Evolution's messages looked at in one go, per instance."""
    instances: dict[str, EvolutionInstanceConfig] = {}


class OutboxConfig(Section, frozen=True, kw_only=True):
    rate: Rate = 10.0
    burst: Count = 20
    max_attempts: Count = 8
    recipient_rate: Rate = 1.0
    recipient_burst: Count = 5
    retry_initial: Timeout = 1.0
    retry_max: Timeout = 60.0
    max_age: Timeout = 24 * 3600.0
    """A reply that could not be sent for this long fails: its moment is over."""
    max_queued: Count = 10_000
    """Of one instance; beyond it commands are refused with 503."""
    in_flight: Count = 8
    """Conversations of one instance that are sent to at once."""
    settle_after: Timeout = 20.0
    """An attempt of unknown outcome is repeated this long after Evolution had the time it has for
    every call (``evolution.timeout``), if it knows of no such message until then."""
    same_command_within: Span = 10.0
    """The same text for one conversation by Socket.IO and by a send endpoint is one message this
    long; 0: never."""


class PacingConfig(Section, frozen=True, kw_only=True):
    """Looking like a person, for numbers that are not verified. Off unless set."""

    jitter: Span = 0.0
    """Up to this long, by chance, between two messages of an instance."""
    typing: Span = 0.0
    """Longest "typing" shown before a text, in proportion to its length."""
    warmup_days: Annotated[int, Meta(ge=0, le=365)] = 0
    """Days in which an instance's daily limit grows from ``warmup_first`` to none."""
    warmup_first: Count = 20
    """Messages on the first of those days."""
    quiet_hours: str = ""
    """``22:00-07:00``: nothing is sent then, it waits."""
    timezone: str = "America/Sao_Paulo"
    new_contacts_per_day: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """First messages to people who never wrote, per instance; 0: no limit."""


class MediaConfig(Section, frozen=True, kw_only=True):
    max_bytes: BodySize = 64 * MIB
    """Of one file, sent or fetched."""
    fetch: bool = True
    """Fetch files that are not in the webhook."""
    fetch_per_minute: Count = 60
    """Per instance."""
    allow_hosts: tuple[str, ...] = ()
    """Private hosts (``host`` or ``host:port``) from which files of messages may be fetched, such
    as a MinIO beside Evolution. Evolution's own is one of them. Never for a client's URL."""


class StorageConfig(Section, frozen=True, kw_only=True):
    url: str | None = None
    """None: SQLite in ``state_dir``; else ``sqlite:///path``."""


class RedisConfig(Section, frozen=True, kw_only=True):
    url: str | None = None


class CacheConfig(Section, frozen=True, kw_only=True):
    ttl: Span = 30 * 60.0
    max_bytes: Size = 64 * MIB


class TicketsConfig(Section, frozen=True, kw_only=True):
    reopen_within: Span = 24 * 3600.0
    store_status_posts: bool = False
    """Keep what contacts post as their WhatsApp status; nobody is told and nothing is unread."""


class BackupConfig(Section, frozen=True, kw_only=True):
    dir: Path | None = None
    schedule: str = "0 2 * * *"
    timezone: str = "America/Sao_Paulo"
    keep: Count = 30


class RetentionConfig(Section, frozen=True, kw_only=True):
    """Where 0 is allowed it means for ever."""

    journal: Timeout = 7 * 86400.0
    events: Timeout = 30 * 86400.0
    media: Span = 180 * 86400.0
    """Files of messages; the messages stay and say so."""
    messages: Span = 0.0
    """By when they were sent. What is older is not taken in anew either."""
    quarantine: Span = 90 * 86400.0


class HealthConfig(Section, frozen=True, kw_only=True):
    """Beyond what a check of ``/health`` is ``warn`` or ``fail`` (README: the table of checks)."""

    canary_every: Span = 30.0
    """Between two test messages through the whole daemon; 0: none is sent."""
    canary_warn: Timeout = 5.0
    """A test message's way took, or takes, longer."""
    canary_fail: Timeout = 60.0
    """It has not come back for longer, and the pipeline stands still; it is given up then."""
    commit_warn: Timeout = 2.0
    commit_fail: Timeout = 10.0
    """A webhook waits longer for its commit, which takes milliseconds; Evolution waits for 30 s."""
    fsync_warn: Timeout = 1.0
    """Commits of the journal take longer."""
    pipeline_warn: Timeout = 10.0
    """A webhook waits longer to be handled: agents notice."""
    pipeline_fail: Timeout = 30.0
    """None was handled for longer although some wait."""
    loop_warn: Timeout = 0.25
    """The event loop is later: every client sees jerks."""
    store_warn: Timeout = 2.0
    """A read or a change of the store takes longer."""
    disk_warn: Size = 256 * MIB
    """Less than this is left above ``webhook.min_free_bytes``."""
    instance_warn: Span = 0.0
    """An instance is disconnected for longer."""
    silence_warn: Span = 0.0
    """An open instance posts nothing for longer; 0: never, for a quiet night is no fault. One that
    is silent and dead is told apart without it (``evolution.silence``)."""
    reply_warn: Timeout = 60.0
    """A reply waits longer."""
    failed_warn: Number = 10
    """More replies were given up within an hour."""
    media_warn: Number = 300
    """More files are yet to be fetched: more than the budget of several minutes."""
    reconcile_warn: Span = 600.0
    """What an instance missed could not be looked for, for longer."""
    keys_warn: Timeout = 3600.0
    """The keys at ``auth.jwks_url`` are older and cannot be fetched."""
    certificate_warn: Span = 14 * 86400.0
    """``server.tls_cert`` or Evolution's certificate expires sooner."""
    quarantine_warn: Number = 10
    """More webhooks were not understood within an hour."""
    log_warn: Number = 0
    """More lines of the log were lost within ten minutes."""
    backup_warn: Span = 3600.0
    """A backup is later than its schedule says by more."""
    verify_warn: Span = 3600.0
    """A backup is older and was not verified yet."""


class LogConfig(Section, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(Section, frozen=True, kw_only=True):
    """The whole of it. Durations are seconds (``"30m"`` is read too), sizes bytes (``"64MiB"``)."""

    state_dir: Path = "./var"
    server: ServerConfig = ServerConfig()
    webhook: WebhookConfig = WebhookConfig()
    metrics: MetricsConfig = MetricsConfig()
    auth: AuthConfig = AuthConfig()
    evolution: EvolutionConfig = EvolutionConfig()
    outbox: OutboxConfig = OutboxConfig()
    pacing: PacingConfig = PacingConfig()
    media: MediaConfig = MediaConfig()
    storage: StorageConfig = StorageConfig()
    redis: RedisConfig = RedisConfig()
    cache: CacheConfig = CacheConfig()
    tickets: TicketsConfig = TicketsConfig()
    backup: BackupConfig = BackupConfig()
    retention: RetentionConfig = RetentionConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()
