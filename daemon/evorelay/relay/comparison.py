"""One comparison of Evolution's list of an instance's messages with ours; what lacks is journaled.

Nothing but the journal is written: the pipeline makes messages of it as of any webhook.
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio
from msgspec import Struct

from evorelay.model.clock import NowMs
from evorelay.model.outcome import FaultKind, FoundPage, GatewayFault, MessageWindow
from evorelay.relay.bygone import Bygone
from evorelay.relay.gateway import Gateway
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.missing import Candidate, Lacking, candidates_of, missing
from evorelay.relay.walk import Walk
from evorelay.telemetry.metrics import Metrics

CLOCK_MS = 5 * 60_000
"""Added on both sides of a window: WhatsApp's clock is not ours, nor is Evolution's."""
SETTLE_S = 3.0
"""A message younger than this has a webhook under way: it is looked for again before it counts as
dropped."""
RETRY_S = (1.0, 5.0)
"""Waits between attempts of one call."""
RETRY_AFTER_MAX_S = 60.0
HANDLED_S = 60.0
"""How long the pipeline is waited for. Beyond it some of what is found is there twice in the
journal, which changes nothing."""
SUBMIT_ROWS = 100
SUBMIT_BYTES = 2 * 1024 * 1024

_MAY_PASS = (FaultKind.RETRY, FaultKind.UNKNOWN, FaultKind.GATEWAY_DOWN)


class Compared(Struct):
    """What a comparison has come to so far."""

    looked_at: int = 0
    recovered: int = 0
    changes: int = 0
    not_understood: int = 0
    is_cut: bool = False


class Comparer:
    """``handled``: the seq up to which the pipeline is through with the journal."""

    def __init__(
        self,
        gateway: Gateway,
        journal: Journal,
        ledger: Ledger,
        metrics: Metrics,
        *,
        handled: Callable[[], int],
        now: NowMs,
        rows_max: int,
        store_status_posts: bool = False,
        settle_s: float = SETTLE_S,
        retry_s: Sequence[float] = RETRY_S,
        bygone: Bygone | None = None,
    ) -> None:
        self._gateway = gateway
        self._journal = journal
        self._ledger = ledger
        self._metrics = metrics
        self._handled = handled
        self._now = now
        self._rows_max = rows_max
        self._store_status_posts = store_status_posts
        self._settle_s = settle_s
        self._retry_s = retry_s
        self._bygone = bygone

    async def compare(self, instance: str, *, since: int, until: int, found: Compared) -> None:
        """Compare from ``since`` to ``until`` (Unix ms); ``found`` grows on the way.

        Raises ``GatewayFault``, ``JournalUnavailable`` and ``StoreUnavailable``; what was
        recovered until then stays, as it does when this is cancelled.
        """
        walk = Walk(
            partial(self._ask, instance),
            since=max(0, since - CLOCK_MS) // 1000,
            until=(until + CLOCK_MS) // 1000,
            rows_max=self._rows_max,
        )
        while (rows := await walk.stretch()) is not None:
            found.looked_at, found.is_cut = walk.looked_at, found.is_cut or walk.is_cut
            candidates, unread = await candidates_of(
                instance,
                rows,
                received_at=self._now(),
                store_status_posts=self._store_status_posts,
            )
            found.not_understood += unread
            await self._recover(await self._missing(candidates), found)

    async def _ask(
        self, instance: str, window: MessageWindow, page: int, page_size: int
    ) -> FoundPage:
        for wait in self._retry_s:
            try:
                return await self._gateway.find_messages(
                    instance, window, page=page, page_size=page_size
                )
            except GatewayFault as fault:
                if fault.kind not in _MAY_PASS:
                    raise
                await trio.sleep(max(wait, min(fault.retry_after_s or 0, RETRY_AFTER_MAX_S)))
        return await self._gateway.find_messages(instance, window, page=page, page_size=page_size)

    async def _missing(self, candidates: Sequence[Candidate]) -> list[Lacking]:
        lacking = await self._compared(candidates)
        newest = max((found.candidate.at for found in lacking), default=0)
        if newest > self._now() - self._settle_s * 1000:
            await trio.sleep(self._settle_s)
            lacking = await self._compared([found.candidate for found in lacking])
        return lacking

    async def _compared(self, candidates: Sequence[Candidate]) -> list[Lacking]:
        """Those that are missing after the pipeline has handled all that has arrived."""
        if not candidates:
            return []
        head = self._journal.head
        with trio.move_on_after(HANDLED_S):
            while self._handled() < head:  # noqa: ASYNC110 -- the cursor belongs to another task
                await trio.sleep(0.02)
        return await self._ledger.change(lambda draft: missing(draft, candidates, self._bygone))

    async def _recover(self, lacking: Sequence[Lacking], found: Compared) -> None:
        batch: list[Lacking] = []
        size = 0
        for one in lacking:
            if batch and (len(batch) == SUBMIT_ROWS or size > SUBMIT_BYTES):
                await self._submit(batch, found)
                batch, size = [], 0
            batch.append(one)
            size += len(one.candidate.envelope.body)
        if batch:
            await self._submit(batch, found)

    async def _submit(self, batch: Sequence[Lacking], found: Compared) -> None:
        await self._journal.submit_all([one.candidate.envelope for one in batch])
        for one in batch:
            found.recovered += one.is_message
            found.changes += not one.is_message
            self._metrics.recovered(one.kind)
