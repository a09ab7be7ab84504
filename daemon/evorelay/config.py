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
    instances: dict[str, EvolutionInstanceConfig] = {}


class OutboxConfig(Section, frozen=True, kw_only=True):
    rate: Rate = 10.0
    burst: Count = 20
    max_attempts: Count = 8
    recipient_rate: Rate = 1.0
    recipient_burst: Count = 5
    retry_initial: Timeout = 1.0
    retry_max: Timeout = 60.0


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
    journal: Timeout = 7 * 86400.0
    events: Timeout = 30 * 86400.0


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
    storage: StorageConfig = StorageConfig()
    redis: RedisConfig = RedisConfig()
    cache: CacheConfig = CacheConfig()
    tickets: TicketsConfig = TicketsConfig()
    backup: BackupConfig = BackupConfig()
    retention: RetentionConfig = RetentionConfig()
    log: LogConfig = LogConfig()
