"""Configuration as frozen Structs (contract §2). Loading and overlays are in ``config_load.py``.

Each part of the daemon receives its own section and nothing else.
"""

from typing import Literal

from msgspec import Struct

from evorelay.model.principal import Role

KIB = 1024
MIB = 1024 * KIB


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    bind: str = "127.0.0.1:4000"
    """``host:port`` or ``unix:/path``; a socket passed by systemd wins."""
    reuse_port: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    drain_timeout: float = 10.0
    max_connections: int = 20_000
    trusted_proxies: tuple[str, ...] = ()


class WebhookConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    secret: str = ""
    previous_secret: str = ""
    allow_from: tuple[str, ...] = ()
    max_body_bytes: int = 160 * MIB
    min_free_bytes: int = 256 * MIB
    """Disk watermark: below it webhooks are answered 503, before anything breaks."""


class MetricsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    allow_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class AuthConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    mode: Literal["jwt", "open"] = "jwt"
    jwt_secret: str = ""
    previous_jwt_secret: str = ""
    jwks_url: str | None = None
    issuer: str | None = None
    audience: str | None = None
    claims_path: str = "app_metadata.evorelay"
    default_role: Role | None = None
    default_instances: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()


class EvolutionConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str | None = None
    api_key: str | None = None
    ca_file: str | None = None
    fingerprint_sha256: str | None = None
    timeout: float = 60.0
    instances: dict[str, dict[str, str]] = {}


class OutboxConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    rate: float = 10.0
    burst: int = 20
    max_attempts: int = 8
    recipient_rate: float = 1.0
    recipient_burst: int = 5
    retry_initial: float = 1.0
    retry_max: float = 60.0


class StorageConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str | None = None
    """None: SQLite in ``state_dir``; else ``sqlite:///path``."""


class RedisConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str | None = None


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    ttl: float = 30 * 60.0
    max_bytes: int = 64 * MIB


class TicketsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    reopen_within: float = 24 * 3600.0


class BackupConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    dir: str | None = None
    schedule: str = "0 2 * * *"
    timezone: str = "America/Sao_Paulo"
    keep: int = 30


class RetentionConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    journal: float = 7 * 86400.0
    events: float = 30 * 86400.0


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of it. Durations are seconds (``"30m"`` is accepted), sizes are bytes (``"64MiB"``)."""

    state_dir: str = "./var"
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
