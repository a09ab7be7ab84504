"""What ``evorelay doctor`` looks at on this machine: directory, secrets, the daemon beside it."""

import os
import shutil
import stat
from pathlib import Path
from typing import Any

from evorelay.cli.daemon import open_daemon
from evorelay.cli.findings import Findings
from evorelay.config import Config
from evorelay.model.errors import ConfigError, RelayError
from evorelay.model.sizes import readable_bytes
from evorelay.secrets import ensure_secrets, secrets_path

_PATIENCE_S = 5.0
_DISK_LOW_FACTOR = 2


def check_state_dir(config: Config, findings: Findings) -> None:
    about = "state directory"
    directory = Path(config.state_dir)
    if not directory.exists():
        findings.warn(about, f"{directory} is not there yet; the first start makes it")
        return
    if not os.access(directory, os.W_OK | os.X_OK):
        findings.fail(
            about, f"{directory} cannot be written to; run this as the daemon's user, or chown it"
        )
        return
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o077:
        findings.warn(
            about,
            f"others may look into {directory} (mode {mode:04o}); run `chmod 700 {directory}`",
        )
    free = shutil.disk_usage(directory).free
    watermark = config.webhook.min_free_bytes
    if free < watermark:
        findings.fail(about, f"{_free(free, watermark)}: webhooks are refused; free some space")
    elif free < _DISK_LOW_FACTOR * watermark:
        findings.warn(about, f"{_free(free, watermark)}; free some space")
    else:
        findings.ok(about, f"{directory}, {readable_bytes(free)} free")


def _free(free: int, watermark: int) -> str:
    return f"{readable_bytes(free)} free, and {readable_bytes(watermark)} is the least"


def with_secrets(config: Config, findings: Findings) -> Config:
    """The configuration with the secrets that are there; makes none."""
    about = "secrets"
    path = secrets_path(config)
    if config.webhook.secret and config.auth.jwt_secret:
        findings.ok(about, "configured")
        return config
    if not path.exists():
        findings.warn(about, f"{path} is not there yet; the first start makes it")
        return config
    try:
        filled = ensure_secrets(config)
    except ConfigError as error:
        findings.fail(about, str(error))
        return config
    findings.ok(about, f"{path}, for its owner alone")
    return filled


def check_daemon(config: Config, findings: Findings) -> list[dict[str, Any]] | None:
    """Whether it runs and is well; returns its instances as ``/v1/instances`` has them.

    None when it does not answer.
    """
    about = "daemon"
    try:
        with open_daemon(config, patience_s=_PATIENCE_S) as daemon:
            health = daemon.ask("GET", "/webhook/health")
            if not isinstance(health.json, dict) or "status" not in health.json:
                raise daemon.stranger(health)
            listed = daemon.ask("GET", "/v1/instances")
    except RelayError as error:
        findings.warn(about, str(error))
        return None
    troubles = list(_troubles(health.json.get("checks")))
    if health.json["status"] == "fail":
        findings.fail(about, f"does not take webhooks; {'; '.join(troubles)}")
    elif troubles:
        findings.warn(about, f"runs, but {'; '.join(troubles)}")
    else:
        findings.ok(about, f"runs at {config.server.bind} and is well")
    instances = listed.json.get("instances") if isinstance(listed.json, dict) else None
    return [row for row in instances or [] if isinstance(row, dict) and "name" in row]


def _troubles(checks: Any) -> list[str]:
    found = []
    for name, observed in checks.items() if isinstance(checks, dict) else ():
        for check in observed if isinstance(observed, list) else ():
            if isinstance(check, dict) and check.get("status") in ("warn", "fail"):
                found.append(str(check.get("output") or name))
    return found
