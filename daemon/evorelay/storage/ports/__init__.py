"""What the engine needs of durable state. Drivers promise what the docstrings say.

Every method here is synchronous and may block on a disk or a network: the engine calls them in
worker threads only. Faults are raised as ``StoreUnavailable`` / ``JournalUnavailable``.
"""

from evorelay.storage.ports.erasing import Erasing
from evorelay.storage.ports.journal import Journaled, JournalStore
from evorelay.storage.ports.plan import AliasKey, MessageKey, OpKey, Plan
from evorelay.storage.ports.reading import (
    NOT_WAITING,
    PAGE_BYTES_MAX,
    ChannelPage,
    MessageStory,
    StoreCounts,
    StoreReader,
    TicketQuery,
    ToldEvent,
)
from evorelay.storage.ports.writing import Maintenance, StoreWriter, Transaction

__all__ = [
    "NOT_WAITING",
    "PAGE_BYTES_MAX",
    "AliasKey",
    "ChannelPage",
    "Erasing",
    "JournalStore",
    "Journaled",
    "Maintenance",
    "MessageKey",
    "MessageStory",
    "OpKey",
    "Plan",
    "StoreCounts",
    "StoreReader",
    "StoreWriter",
    "TicketQuery",
    "ToldEvent",
    "Transaction",
]
