"""What a well-typed configuration can still get wrong: one rule per section.

Each rule yields (key, "what is wrong; what to do") and never a value that could be a secret. A
rule may read the file system (certificates, directories) but changes nothing.
"""

import os
import re
import ssl
import zoneinfo
from collections.abc import Iterator
from datetime import UTC
from urllib.parse import urlsplit

from evorelay.config import (
    AuthConfig,
    BackupConfig,
    Config,
    HealthConfig,
    OutboxConfig,
    PacingConfig,
    RedisConfig,
    ServerConfig,
    StorageConfig,
    WebhookConfig,
)
from evorelay.protocol.manners import quiet_hours
from evorelay.protocol.schedule import check_schedule
from evorelay.settings.evolution_checks import check_evolution, check_media
from evorelay.settings.problems import Problem, parsed, readable
from evorelay.settings.values import (
    TcpBind,
    parse_base_url,
    parse_bind,
    parse_network,
)

WEBHOOK_SECRET_MIN = 16
JWT_SECRET_MIN = 32
"""Bytes; RFC 7518 §3.2 asks HS256 for a key at least as long as its hash."""
CANARY_EVERY_MIN = 1.0
"""Each one is an entry of the journal and an event of the store."""
_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*")
"""``pchar`` of RFC 3986 without percent escapes: what stands in a URL as it is."""
_CLAIMS_TAKEN = frozenset({"sub", "name", "iat", "exp", "nbf", "iss", "aud", "jti", "role"})
_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/#-]+")


def check(config: Config) -> Iterator[Problem]:
    """Every problem, section by section."""
    if os.path.exists(config.state_dir) and not os.path.isdir(config.state_dir):
        yield "state_dir", "is a file; name a directory"
    yield from _server(config.server)
    yield from _webhook(config.webhook)
    yield from _networks("metrics.allow_from", config.metrics.allow_from)
    yield from _auth(config.auth, config.server)
    yield from check_evolution(config.evolution)
    yield from _outbox(config.outbox)
    yield from _pacing(config.pacing)
    yield from check_media(config.media)
    yield from _one_machine(config.server, config.storage, config.redis)
    yield from _backup(config.backup)
    yield from _health(config.health)


def _server(server: ServerConfig) -> Iterator[Problem]:
    try:
        parse_bind(server.bind)
    except ValueError as error:
        yield "server.bind", str(error)
    if server.public_url is not None:
        yield from parsed("server.public_url", parse_base_url, server.public_url)
    yield from _networks("server.trusted_proxies", server.trusted_proxies)
    if server.tls_cert and not server.tls_key:
        yield "server.tls_key", "is missing beside server.tls_cert; set both or neither"
    elif server.tls_key and not server.tls_cert:
        yield "server.tls_cert", "is missing beside server.tls_key; set both or neither"
    elif server.tls_cert and server.tls_key:
        yield from _key_pair(server.tls_cert, server.tls_key)


def _key_pair(cert: str, key: str) -> Iterator[Problem]:
    unreadable = [*readable("server.tls_cert", cert), *readable("server.tls_key", key)]
    yield from unreadable
    if unreadable:
        return
    try:
        # Without a password callback OpenSSL asks for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "-")
    except (ssl.SSLError, ValueError):
        yield (
            "server.tls_cert",
            "and server.tls_key are not a PEM certificate and its unencrypted key; name a pair",
        )


def _networks(key: str, entries: tuple[str, ...]) -> Iterator[Problem]:
    for entry in entries:
        try:
            parse_network(entry)
        except ValueError as error:
            yield key, str(error)
            return


def _webhook(webhook: WebhookConfig) -> Iterator[Problem]:
    secrets = {
        "webhook.secret": webhook.secret,
        "webhook.previous_secret": webhook.previous_secret,
    }
    for key, secret in secrets.items():
        if secret and len(secret) < WEBHOOK_SECRET_MIN:
            yield (
                key,
                (
                    f"is shorter than {WEBHOOK_SECRET_MIN} characters;"
                    " use a longer one, or leave it out to have one generated"
                ),
            )
        elif not _PATH_SEGMENT.fullmatch(secret):
            yield (
                key,
                (
                    "has characters that cannot stand in a URL's path;"
                    " use letters, digits, - and _, or leave it out to have one generated"
                ),
            )
    yield from _networks("webhook.allow_from", webhook.allow_from)


def _auth(auth: AuthConfig, server: ServerConfig) -> Iterator[Problem]:
    if auth.mode == "open" and not _is_loopback(server.bind):
        yield (
            "auth.mode",
            (
                "open lets everybody in, and server.bind is not loopback;"
                " use jwt, or bind to 127.0.0.1 or a unix socket"
            ),
        )
    secrets = {
        "auth.jwt_secret": auth.jwt_secret,
        "auth.previous_jwt_secret": auth.previous_jwt_secret,
    }
    for key, secret in secrets.items():
        if secret and len(secret.encode()) < JWT_SECRET_MIN:
            yield (
                key,
                (
                    f"is shorter than {JWT_SECRET_MIN} bytes, too short for HS256;"
                    " use a longer one, or leave it out to have one generated"
                ),
            )
    if auth.jwks_url and not _is_safe_url(auth.jwks_url):
        yield "auth.jwks_url", "is not an https:// URL; write the issuer's JWKS address"
    steps = auth.claims_path.split(".")
    if not all(steps):
        yield (
            "auth.claims_path",
            ("is not a dotted path to a claim; write it like app_metadata.evorelay"),
        )
    elif steps[0] == "user_metadata":
        yield (
            "auth.claims_path",
            ("points into user_metadata, which users edit themselves; use app_metadata"),
        )
    elif steps[0] in _CLAIMS_TAKEN:
        yield "auth.claims_path", "is a claim with a meaning of its own; use app_metadata.evorelay"
    for origin in auth.allowed_origins:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\s]+", origin):
            yield (
                "auth.allowed_origins",
                ("has an entry that is not an origin; write scheme://host[:port], no path, no *"),
            )
            break


def _is_loopback(bind: str) -> bool:
    try:
        return parse_bind(bind).is_loopback
    except ValueError:
        return True  # the bind itself is reported


def _is_safe_url(text: str) -> bool:
    """Over TLS, or to this machine."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        return False
    is_safe = url.scheme == "https" or (url.scheme == "http" and TcpBind(host or "", 0).is_loopback)
    return is_safe and bool(host) and port != 0


def _outbox(outbox: OutboxConfig) -> Iterator[Problem]:
    if outbox.retry_max < outbox.retry_initial:
        yield "outbox.retry_max", "is less than outbox.retry_initial; make it the larger one"


def _one_machine(
    server: ServerConfig, storage: StorageConfig, redis: RedisConfig
) -> Iterator[Problem]:
    if server.reuse_port:
        yield (
            "server.reuse_port",
            (
                "is for several nodes, which need PostgreSQL (storage.url) and Redis (redis.url);"
                " this version has neither yet: remove it and run one evorelay.service"
            ),
        )
        return
    if storage.url and re.match(r"postgres(ql)?(\+\w+)?://", storage.url):
        yield (
            "storage.url",
            (
                "names PostgreSQL, but this version runs on one machine with SQLite only;"
                " remove it (PostgreSQL comes in a later version)"
            ),
        )
    elif storage.url and not re.fullmatch(r"sqlite:///.*[^/]", storage.url):
        yield "storage.url", "is no store of ours; write sqlite:///path, or leave it out"
    if redis.url:
        yield (
            "redis.url",
            (
                "is set, but this version runs on one machine with SQLite only;"
                " remove it (Redis comes in a later version)"
            ),
        )


def _backup(backup: BackupConfig) -> Iterator[Problem]:
    fields = backup.schedule.split()
    try:
        if len(fields) != 5 or not all(map(_CRON_FIELD.fullmatch, fields)):
            raise ValueError("five cron fields are needed")
        check_schedule(backup.schedule)
    except ValueError as error:
        yield "backup.schedule", f"is no schedule ({error}); write it like 0 2 * * *"
    yield from _zone("backup.timezone", backup.timezone, BackupConfig().timezone)


def _health(health: HealthConfig) -> Iterator[Problem]:
    if 0 < health.canary_every < CANARY_EVERY_MIN:
        yield "health.canary_every", "is too often; use 1s or more, or 0 to send none"
    for what in ("canary", "commit", "pipeline"):
        if getattr(health, f"{what}_fail") < getattr(health, f"{what}_warn"):
            yield (
                f"health.{what}_fail",
                f"is less than health.{what}_warn; make it the larger one",
            )


def _pacing(pacing: PacingConfig) -> Iterator[Problem]:
    try:
        quiet_hours(pacing.quiet_hours, UTC)
    except ValueError as error:
        yield "pacing.quiet_hours", str(error)
    yield from _zone("pacing.timezone", pacing.timezone, PacingConfig().timezone)


def _zone(key: str, name: str, default: str) -> Iterator[Problem]:
    # The default is taken on trust: it must not fail on a machine without time zone data.
    if name == default:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        yield key, "is no time zone known here; write it like America/Sao_Paulo"
