"""Backups: where they lie, and the service that makes them."""

from evorelay.assembly.core import Core
from evorelay.config import Config
from evorelay.model.clock import now_ms
from evorelay.protocol.schedule import zone_of
from evorelay.relay.backup.shelf import shelf_of
from evorelay.relay.backups import Backups
from evorelay.storage.open import Storage


def build_backups(config: Config, storage: Storage, core: Core) -> Backups:
    backups = Backups(
        storage.backup,
        shelf_of(config),
        core.ledger,
        core.reads,
        storage.maintenance,
        core.metrics,
        config.backup,
        zone_of(config.backup.timezone),
        spare_bytes=config.webhook.min_free_bytes,
        now=now_ms,
    )
    gauge = core.metrics.gauge
    gauge(
        "evorelay_backup_last_success_timestamp_seconds",
        "When the newest whole backup was made, 0 for never",
        lambda: (backups.facts().last_at or 0) / 1000,
    )
    gauge(
        "evorelay_backup_last_verified_timestamp_seconds",
        "When the newest backup was restored and found whole, 0 when it was not",
        lambda: (backups.facts().verified_at or 0) / 1000,
    )
    gauge(
        "evorelay_backup_due_timestamp_seconds",
        "When the next backup is due; in the past while one is missing",
        lambda: (backups.facts().due_at or 0) / 1000,
    )
    gauge("evorelay_backup_size_bytes", "Of the newest backup", backups.size_bytes)
    return backups
