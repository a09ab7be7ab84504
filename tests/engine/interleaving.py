"""Hub, feeds, cache, catch-up and sessions, with reads that return when a test says so.

Everything is real but the log, which is in memory, and the time between the moment a read saw the
store and the moment its caller goes on: that is where gaps and duplicates would come from.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import trio
import trio.testing

from evorelay.model.event import ENDLESS, ChannelEvent
from evorelay.model.principal import Principal
from evorelay.model.records import EventRecord
from evorelay.relay.cache import OVERHEAD_BYTES, RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.channel_session import ChannelSession
from evorelay.relay.desk import Desk
from evorelay.relay.feed import State
from evorelay.relay.hub import Hub
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads
from evorelay.relay.session import Engine, Position
from evorelay.storage.ports import ChannelPage, StoreReader
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import BoundedWire, PlainDialect

T = TypeVar("T")
A, B = CHANNELS = ("inbox:a", "inbox:b")
EPOCH = "e1"
ADMIN = Principal(sub="x", role="admin", instances="*")


class Log:
    """A store of events in memory: what is committed, whether or not it is published yet."""

    def __init__(self) -> None:
        self.channels: dict[str, list[ChannelEvent]] = {name: [] for name in CHANNELS}

    def commit(self, channel: str, count: int) -> list[EventRecord]:
        events = []
        for _ in range(count):
            offset = len(self.channels[channel]) + 1
            self.channels[channel].append(ChannelEvent(offset, b"%d" % offset))
            events.append(
                EventRecord(at=0, type="t", data=str(offset), positions=[(channel, offset)])
            )
        return events

    def events_after(
        self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
    ) -> ChannelPage:
        log = self.channels[channel]
        return ChannelPage(head=len(log), floor=1, events=log[offset : offset + limit])


class HeldReads(Reads):
    """A read sees the store at once and returns when it is released."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held = trio.lowlevel.ParkingLot()

    async def __call__(self, read: Callable[[StoreReader], T]) -> T:
        seen = read(self._log)  # type: ignore[arg-type]  # the one method that catching up needs
        await self._held.park()
        return seen

    def release(self, count: int) -> None:
        self._held.unpark(count=count)


class TaggedDialect(PlainDialect):
    """Says channel and offsets."""

    def encode_run(self, channel: str, events: Sequence[ChannelEvent]) -> bytes:
        return msgspec.json.encode([channel, [event.offset for event in events]])


class Client:
    """A session that remembers what its channels told it, and checks every word."""

    def __init__(self, engine: Engine, room: int) -> None:
        self.wire = BoundedWire(room)
        self.session = ChannelSession("s", ADMIN, TaggedDialect(), self.wire, engine)
        self.wire.session = self.session
        self.start: dict[str, int] = {}
        """Where each subscription began; absent until it is answered."""

    async def subscribe(self, channel: str, since: Position | None) -> None:
        answer = await self.session.subscribe(channel, since)
        if answer.recovered:
            assert since is not None
            self.start[channel] = since.offset
            self.wire.frames.append(TaggedDialect().encode_run(channel, answer.missed))
        else:
            self.start[channel] = answer.position.offset
        self.session.answered(answer)

    def told(self, channel: str) -> list[int]:
        said = map(msgspec.json.decode, self.wire.frames)
        return [offset for name, offsets in said if name == channel for offset in offsets]

    def check(self) -> None:
        """No gap, no duplicate, in order."""
        for channel, start in self.start.items():
            told = self.told(channel)
            assert told == list(range(start + 1, start + 1 + len(told)))

    def is_complete(self, channel: str, head: int) -> bool:
        is_live = self.session.feeds[channel].state is State.LIVE
        return is_live and self.start[channel] + len(self.told(channel)) == head


class Model:
    def __init__(self, cache_events: int, room: int, log: Log | None = None) -> None:
        self.log = log or Log()
        self.reads = HeldReads(self.log)
        metrics = NopMetrics()
        cache = RecentEvents(ttl_ms=1, bytes_max=cache_events * (OVERHEAD_BYTES + 3))
        self.catchup = CatchUp(cache, self.reads, metrics)
        self.pushed: list[float] = []
        self.hub = Hub(cache, self.catchup, metrics, position=0, on_pushed=self.pushed.extend)
        writer: Any = None  # nothing here changes a store
        ledger = Ledger(writer, self.hub, new_id=str, now=lambda: 0)
        desk = Desk(self.reads, ledger, self.hub)
        self.engine = Engine(self.hub, cache, self.reads, desk, self.catchup, EPOCH)
        self.clients = [Client(self.engine, room) for _ in range(4)]
        self.unpublished: list[list[EventRecord]] = []

    def publish(self) -> None:
        if self.unpublished:
            self.hub.publish(self.unpublished.pop(0))

    async def step(self, nursery: trio.Nursery, name: str, which: int, number: int) -> None:
        client = self.clients[which]
        channel = CHANNELS[number % 2]
        match name:
            case "commit":
                self.unpublished.append(self.log.commit(channel, 1 + number))
            case "publish":
                self.publish()
            case "release":
                self.reads.release(1 + which)
            case "drain":
                client.wire.drain()
            case "leave" if len(client.start) == len(client.session.feeds):
                client.session.leave()
                self.clients[which] = Client(self.engine, client.wire.room)
            case "subscribe" if channel not in client.session.feeds:
                nursery.start_soon(client.subscribe, channel, None)
            case "recover" if channel not in client.session.feeds:
                offset = min(number, len(self.log.channels[channel]))
                nursery.start_soon(client.subscribe, channel, Position(offset, EPOCH))

    async def finish(self) -> None:
        """Nothing more is committed, everybody reads what there is."""
        while self.unpublished:
            self.publish()
        for _ in range(200):
            self.reads.release(100)
            for client in self.clients:
                client.wire.drain()
            await trio.testing.wait_all_tasks_blocked()
        for client in self.clients:
            client.check()
            for channel in client.session.feeds:
                assert client.is_complete(channel, len(self.log.channels[channel]))


async def subscribed(model: Model, index: int = 0, channel: str = A) -> Client:
    client = model.clients[index]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.subscribe, channel, None)
        await trio.testing.wait_all_tasks_blocked()
        model.reads.release(1)
    return client
