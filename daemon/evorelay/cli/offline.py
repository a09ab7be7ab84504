"""What works on a store that no daemon serves."""

from collections.abc import Sequence
from pathlib import Path

from evorelay.config import Config
from evorelay.model.clock import now_ms
from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import new_id
from evorelay.model.principal import Principal
from evorelay.model.records import EventRecord
from evorelay.relay.blobs import BlobStore
from evorelay.relay.erased import Erased
from evorelay.relay.erasing import ErasePerson, Eraser, Erasure
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads
from evorelay.relay.taking_out import keep_out
from evorelay.storage.open import open_storage
from evorelay.telemetry.metrics import NopMetrics

_OPERATOR = Principal(sub="evorelay", role="admin", instances="*")
"""Whoever may write to the files of the store."""
_ANY_SIZE = 1 << 60


class _Nobody:
    """Listens where no client is connected."""

    def publish(self, events: Sequence[EventRecord]) -> None: ...


async def erase_offline(config: Config, params: ErasePerson) -> Erasure:
    """As ``POST /v1/erasures``, and with the databases written anew whatever their size.

    Raises ``StoreInUse`` when a daemon serves the store.
    """
    state_dir = Path(config.state_dir)
    with open_storage(state_dir, config.storage.url) as storage:
        ledger = Ledger(storage.writer, _Nobody(), new_id=new_id, now=now_ms)
        journal = Journal(
            storage.journal, NopMetrics(), free_bytes=lambda: _ANY_SIZE, free_bytes_min=0
        )
        identity = storage.journal.identity
        cursor = await ledger.change(lambda draft: draft.tx.cursor(identity))
        eraser = Eraser(
            ledger,
            Reads(storage.readers),
            journal,
            await BlobStore.open(state_dir / "blobs"),
            storage.maintenance,
            Erased.load(state_dir),
            handled=lambda: cursor,
            forget=lambda taken: None,
            now=now_ms,
            compact_bytes_max=(_ANY_SIZE, _ANY_SIZE),
            settled_ms=0,
            handled_s=0.0,
        )
        try:
            return await eraser.erase(_OPERATOR, params)
        except Refusal as refusal:
            if params.dry_run or refusal.code is not Code.NOT_FOUND:
                raise
            # Erased before, while a daemon ran and the databases were too large to be cleaned.
            return await eraser.finish(Erasure(dry_run=False))


def forget_erased(config: Config) -> int:
    """Erase anew, from a store that was put back from a backup, who was erased since; how many.

    Raises ``StoreInUse`` when a daemon serves the store.
    """
    state_dir = Path(config.state_dir)
    erased = Erased.load(state_dir)
    if erased.is_empty:
        return 0
    with open_storage(state_dir, config.storage.url) as storage:
        return keep_out(
            storage.writer,
            storage.maintenance,
            erased,
            storage.readers[0].epoch(),
            compact_bytes_max=_ANY_SIZE,
        )
