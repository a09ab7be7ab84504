"""The engine with lanes, for tests of replies."""

import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from prometheus_client import CollectorRegistry

from evorelay.config import OutboxConfig
from evorelay.model.clock import now_ms
from evorelay.model.fact import Fact
from evorelay.model.outgoing import OutgoingMedia
from evorelay.model.principal import Principal
from evorelay.model.records import OutboxRecord
from evorelay.model.views import Message
from evorelay.protocol.manners import Manners
from evorelay.relay.apply import Applied
from evorelay.relay.blobs import BlobStore
from evorelay.relay.commands import SendMedia, SendParams, Via
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.lanes import Lanes
from evorelay.relay.outbox import Outbox
from evorelay.storage.open import Storage
from evorelay.telemetry.metrics import PrometheusMetrics
from tests.engine.evolution import PlayedEvolution
from tests.engine.harness import ADMIN, HOUR, World, message

FAST = OutboxConfig(
    rate=10_000,
    burst=10_000,
    recipient_rate=10_000,
    recipient_burst=10_000,
    retry_initial=0.001,
    retry_max=0.01,
    settle_after=0.1,
)
NO_MANNERS = Manners()
_OPS = itertools.count()


class NoFiles:
    async def media(self, who: Principal, params: SendMedia) -> OutgoingMedia:
        raise AssertionError("this test sends no files")


class Office(World):
    """Wall time is the real one here: lanes wait for it."""

    def __init__(
        self,
        storage: Storage,
        blobs: BlobStore,
        evolution: PlayedEvolution,
        config: OutboxConfig = FAST,
        manners: Manners = NO_MANNERS,
    ) -> None:
        super().__init__(storage, blobs)
        self.evolution = evolution
        self.now = now_ms  # type: ignore[assignment]  # a clock as well
        self.ledger._now = now_ms
        self.signals = InstanceSignals()
        self.registry = CollectorRegistry()
        self.metrics = PrometheusMetrics(self.registry)
        self.lanes = Lanes(
            evolution,
            self.ledger,
            self.reads,
            self.signals,
            config,
            manners,
            self.metrics,
            now=now_ms,
            rand=random.Random(4).random,
        )
        self.outbox = Outbox(
            self.ledger,
            self.reads,
            self.lanes,
            evolution,
            NoFiles(),
            manners,
            self.metrics,
            reopen_within_ms=24 * HOUR,
            queued_max=config.max_queued,
            same_command_within_ms=int(config.same_command_within * 1000),
        )

    async def apply(self, *facts: Fact, seq: int = 0) -> Applied:
        applied = await super().apply(*facts, seq=seq)
        self.lanes.merged(applied.merged)
        self.lanes.settled(applied.settled)
        return applied

    async def ticket(self, phone: str, instance: str = "loja", **fields: Any) -> str:
        """The ticket of somebody who has just written."""
        fact = message(
            f"IN-{instance}-{phone}", phone=phone, instance=instance, sent_at=now_ms(), **fields
        )
        await self.apply(fact)
        (row,) = [
            ticket
            for ticket, contact in self.storage.readers[0].tickets(_all())
            if contact.phone == phone and ticket.instance == instance
        ]
        return row.id

    async def say(self, ticket_id: str, content: str, **fields: Any) -> Message:
        op_id = fields.pop("op_id", None) or f"op-{next(_OPS)}"
        via = Via(path=fields.pop("path", "rpc"), origin=fields.pop("origin", None))
        params = SendParams(ticket_id=ticket_id, content=content, op_id=op_id, **fields)
        return await self.outbox.submit(ADMIN, params, via=via)

    async def echo(self, sent: Any, **fields: Any) -> None:
        """``send.message`` of what Evolution sent."""
        await self.apply(
            message(
                sent.whatsapp_id,
                phone=sent.number,
                instance=sent.instance,
                content=sent.text,
                from_me=True,
                origin="api",
                status="pending",
                sent_at=sent.at_ms,
                **fields,
            )
        )

    async def final(self, message: Message) -> Message:
        with trio.fail_after(30):
            return await self.outbox.wait_final(message, 20)

    async def all_over(self) -> None:
        with trio.fail_after(60):
            while self.lanes.total_waiting:
                await trio.sleep(0.005)

    def row(self, outbox_id: str) -> OutboxRecord:
        states = ("queued", "sending", "unknown", "sent", "failed", "kept")
        rows = self.storage.readers[0].outbox_page(None, states=states, before=None, limit=10_000)
        (row,) = [row for row in rows if row.id == outbox_id]
        return row


def _all() -> Any:
    from evorelay.storage.ports import TicketQuery

    return TicketQuery(limit=100_000)


@asynccontextmanager
async def running(office: Office) -> AsyncIterator[Office]:
    """With its lanes at work; they are cancelled in the end, as by a crash."""
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(office.lanes.run))
        yield office
        nursery.cancel_scope.cancel()
