"""Backups of a test's store: beside it, made when somebody asks."""

from zoneinfo import ZoneInfo

from evorelay.config import BackupConfig
from evorelay.model.clock import NowMs, now_ms
from evorelay.relay.backup.shelf import Shelf
from evorelay.relay.backups import Backups
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads
from evorelay.storage.open import Storage
from evorelay.telemetry.metrics import Metrics


def backups_of(
    storage: Storage,
    ledger: Ledger,
    reads: Reads,
    metrics: Metrics,
    config: BackupConfig | None = None,
    *,
    now: NowMs = now_ms,
) -> Backups:
    config = config or BackupConfig()
    return Backups(
        storage.backup,
        Shelf(storage.directory / "backups"),
        ledger,
        reads,
        storage.maintenance,
        metrics,
        config,
        ZoneInfo(config.timezone),
        spare_bytes=0,
        now=now,
    )
