"""What every lane works with."""

import logging
from collections.abc import Callable
from typing import TypeVar

import trio
from msgspec import Struct

from evorelay.config import OutboxConfig
from evorelay.model.clock import NowMs
from evorelay.model.errors import StoreUnavailable
from evorelay.protocol.retry import Backoff
from evorelay.relay.attempts import Rules
from evorelay.relay.draft import Draft
from evorelay.relay.gateway import Gateway
from evorelay.relay.ledger import Ledger
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

STORE = Backoff(initial=0.2, longest=5.0)


class Work(Struct, frozen=True, kw_only=True):
    """One for all lanes."""

    gateway: Gateway
    ledger: Ledger
    config: OutboxConfig
    rules: Rules
    metrics: Metrics
    now: NowMs
    rand: Callable[[], float]
    over: Callable[[str], None]
    """Is told the id of each command that is done with."""
    merged: Callable[[list[tuple[str, str]]], None]
    """Is told of contacts that became one: (kept, absorbed)."""

    async def change(self, work: Callable[[Draft], T]) -> T:
        """As ``Ledger.change``; the lanes hear of the people it makes one."""

        def and_tell(draft: Draft) -> tuple[T, list[tuple[str, str]]]:
            return work(draft), draft.merged_people

        result, merged = await self.ledger.change(and_tell)
        if merged:
            self.merged(merged)
        return result

    async def surely(self, work: Callable[[Draft], T]) -> T:
        """Have the ledger do it, however long the store cannot be used: what is known of a
        message must not be forgotten because a disk is full."""
        failures = 0
        while True:
            try:
                return await self.change(work)
            except StoreUnavailable as error:
                failures += 1
                log.error("the store cannot be used; a reply waits for it: %s", error)
                await trio.sleep(STORE.steady(failures, self.rand))
