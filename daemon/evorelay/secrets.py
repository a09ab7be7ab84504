"""Secrets nobody configured: made on the first start, kept in ``state_dir/secrets.json``.

The file is complete from its first moment and never changed afterwards: it is written beside its
place, fsynced, and linked there, which fails when another process was first. So two processes
that start together end up with the same secrets, and a power cut leaves all of it or nothing.
"""

import contextlib
import json
import os
import secrets
import stat
from pathlib import Path

import msgspec
from msgspec import Struct

from evorelay.config import Config
from evorelay.model.errors import ConfigError

_SIZE_MAX = 64 * 1024


class _Kept(Struct, forbid_unknown_fields=True):
    webhook_secret: str
    jwt_secret: str

    def __repr__(self) -> str:
        return "_Kept(***)"


def secrets_path(config: Config) -> Path:
    return Path(config.state_dir) / "secrets.json"


def ensure_secrets(config: Config) -> Config:
    """Return the configuration with every secret filled in; configured ones stay as they are.

    Makes ``state_dir`` (mode 0700) and the file (mode 0600) when a secret is missing and there is
    no file yet. Durable on return. Raises ``ConfigError`` when the file cannot be used, and
    refuses one that others may read.
    """
    if config.webhook.secret and config.auth.jwt_secret:
        return config
    path = secrets_path(config)
    try:
        if not path.exists():
            _create(path)
        kept = _read(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or 'cannot be used'};"
            " make state_dir writable for this user, or set webhook.secret and auth.jwt_secret"
        ) from None
    return msgspec.structs.replace(
        config,
        webhook=msgspec.structs.replace(
            config.webhook, secret=config.webhook.secret or kept.webhook_secret
        ),
        auth=msgspec.structs.replace(
            config.auth, jwt_secret=config.auth.jwt_secret or kept.jwt_secret
        ),
    )


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = {"webhook_secret": secrets.token_urlsafe(32), "jwt_secret": secrets.token_urlsafe(48)}
    draft = path.with_name(f".secrets.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
            _give_to_owner_of(path.parent, file.fileno())
            json.dump(made, file)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: use what it made
            os.link(draft, path)
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _give_to_owner_of(directory: Path, descriptor: int) -> None:
    """Let the daemon's user read what an administrator's ``sudo evorelay urls`` made first."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> _Kept:
    # O_NONBLOCK: a FIFO in this place must not hold up the start.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: is not a regular file; remove it to have new secrets made")
        if status.st_mode & 0o077:
            raise ConfigError(
                f"{path}: other users may read it (mode {stat.S_IMODE(status.st_mode):04o});"
                f" run `chmod 600 {path}`, or remove it to have new secrets made"
            )
        content = file.read(_SIZE_MAX)
    try:
        kept = msgspec.json.decode(content, type=_Kept)
    except (msgspec.DecodeError, UnicodeDecodeError):
        kept = _Kept("", "")
    if not kept.webhook_secret or not kept.jwt_secret:
        raise ConfigError(
            f"{path}: is damaged; restore it, or remove it to have new secrets made"
            " (Evolution then needs the new webhook URL)"
        )
    return kept


def all_secrets(config: Config) -> tuple[str, ...]:
    """Every configured secret: none may come out in a log line or an answer, whatever holds it."""
    found = (
        config.webhook.secret,
        config.webhook.previous_secret,
        config.auth.jwt_secret,
        config.auth.previous_jwt_secret,
        config.evolution.api_key,
        *(instance.api_key for instance in config.evolution.instances.values()),
    )
    return tuple(secret for secret in found if secret)
