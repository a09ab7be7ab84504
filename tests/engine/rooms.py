"""Clients in rooms, with reads and joins that return when a test says so, and lines that are cut.

Everything is real but the log and the memory of who is in which room, which outlive every cut. A
read of several channels may see another commit between one channel and the next, as it does in
the store. What a client has not taken from its line when that is cut is lost on the way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import trio
import trio.testing

from evorelay.model.event import ENDLESS, ChannelEvent
from evorelay.model.principal import Principal
from evorelay.model.records import EventRecord
from evorelay.relay.cache import OVERHEAD_BYTES, RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.desk import Desk
from evorelay.relay.feed import State
from evorelay.relay.hub import Hub
from evorelay.relay.ledger import Ledger
from evorelay.relay.room_session import RoomSession
from evorelay.relay.session import Engine, Position
from evorelay.relay.socket_memory import SocketMemory
from evorelay.storage.ports import ChannelPage
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import BoundedWire
from tests.engine.interleaving import ADMIN, EPOCH, HeldReads

ROOMS = ("inbox:a", "inbox:b", "inbox:c")
STATES = "instance:*"
CLIENTS = 3


class Log:
    """Events of several channels in one order: committed, whether or not published yet."""

    def __init__(self) -> None:
        self.events: list[EventRecord] = []
        self.channels: dict[str, list[ChannelEvent]] = {}
        self.unpublished: list[EventRecord] = []
        self.between_reads: list[frozenset[str]] = []
        """Committed one by one while a read goes from channel to channel."""

    def commit(self, channels: frozenset[str], origin: str | None = None) -> None:
        places = tuple(
            (name, len(self.channels.setdefault(name, [])) + 1) for name in sorted(channels)
        )
        id_ = len(self.events) + 1
        data = b"%d" % id_
        for name, offset in places:
            self.channels[name].append(ChannelEvent(offset, data, id_, places, origin))
        record = EventRecord(
            at=0, type="t", data=data.decode(), positions=list(places), origin=origin, id=id_
        )
        self.events.append(record)
        self.unpublished.append(record)

    def events_after(
        self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
    ) -> ChannelPage:
        log = self.channels.get(channel, [])
        wanted = log[offset : offset + limit]
        events = [event for n, event in enumerate(wanted) if not n or wanted[n - 1].id <= until]
        page = ChannelPage(head=len(log), floor=1, events=events)
        if self.between_reads:
            self.commit(self.between_reads.pop())
        return page

    def offset_at(self, channel: str, event_id: int, steps: int) -> int:
        return sum(event.id <= event_id for event in self.channels.get(channel, []))


class Memory(SocketMemory):
    """Which rooms clients are in; joins and questions are answered when released."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held = trio.lowlevel.ParkingLot()
        self.records: dict[str, dict[str, int]] = {}
        self.first: dict[tuple[str, str], int] = {}
        """Where a client was when it joined a channel for the first time."""

    def release(self) -> None:
        self._held.unpark_all()

    async def join(self, pid: str, who: Principal, rooms: Mapping[str, int], channel: str) -> int:
        offset = len(self._log.channels.get(channel, []))
        self.records[pid] = {**rooms, channel: offset}
        self.first.setdefault((pid, channel), offset)
        await self._held.park()
        return offset

    async def keep(self, pid: str, who: Principal, rooms: Mapping[str, int]) -> None:
        self.records[pid] = dict(rooms)
        await self._held.park()

    async def recall(self, pid: str, who: Principal) -> dict[str, int] | None:
        await self._held.park()
        return self.records.get(pid)


class IdDialect:
    """Says the ids of events."""

    name = "ids"
    ping_frame = b""

    def encode_event(self, event: ChannelEvent) -> bytes:
        return b"%d " % event.id

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        return b""


class Line:
    """One connection of a client."""

    def __init__(self, client: "RoomClient") -> None:
        self.wire = BoundedWire(client.room)
        self.session = RoomSession(
            "s",
            ADMIN,
            IdDialect(),
            self.wire,
            client.model.engine,
            client.model.memory,
            pid=client.pid,
        )
        self.wire.session = self.session
        self.scope = trio.CancelScope()
        self.is_busy = False
        self.is_known = False
        """Whether the client has read that it is connected."""


class RoomClient:
    """An agent's client: comes back with the last id it was told, and notes every one."""

    def __init__(self, model: "RoomModel", pid: str, room: int) -> None:
        self.model = model
        self.pid = pid
        self.room = room
        self.told: list[int] = []
        self.since: int | None = None
        self.joined: dict[str, int] = {}
        """Where each room was when the client read that it is in it."""
        self.left: dict[str, int] = {}
        """Where each room was when the client read that it has left it."""
        self.entered = 1 << 60
        """Its place when it last read that it is connected, and not back."""
        self.line = Line(self)
        self.is_open = False

    async def open(self) -> None:
        """Connect; the first time there is nothing to come back to."""
        line, self.is_open = self.line, True
        line.is_busy = True
        with trio.CancelScope() as line.scope:
            since = None if self.since is None else Position(self.since, EPOCH)
            opened = await line.session.open(since)
            assert opened.recovered or self.pid not in self.model.memory.records
            said = b"" if opened.recovered else b"%d" % opened.position.offset
            line.wire.frames += [b"@" + said, _said(opened.missed)]
            await trio.lowlevel.checkpoint()
            line.session.opened(opened)
            line.is_busy = False

    async def join(self, channel: str) -> None:
        line = self.line
        line.is_busy = True
        with trio.CancelScope() as line.scope:
            joined = await line.session.join(channel)
            line.wire.frames.append(b"+%s %d" % (channel.encode(), joined.position.offset))
            line.is_busy = False

    async def leave(self, channel: str) -> None:
        line = self.line
        line.is_busy = True
        self.read()
        self.joined.pop(channel, None)
        with trio.CancelScope() as line.scope:
            await line.session.leave_room(channel)
            line.wire.frames.append(b"-%s" % channel.encode())
            line.is_busy = False

    @property
    def may_ask(self) -> bool:
        return self.line.is_known and not self.line.is_busy

    def read(self) -> None:
        """Take what is on the line."""
        for frame in self.line.wire.frames:
            if frame.startswith(b"@"):
                self.line.is_known = True
                if frame[1:]:
                    self.since = self.entered = int(frame[1:])
            elif frame.startswith(b"+"):
                channel, offset = frame[1:].decode().split()
                self.joined.setdefault(channel, int(offset))
            elif frame.startswith(b"-"):
                channel = frame[1:].decode()
                self.left[channel] = len(self.model.log.channels.get(channel, []))
            else:
                self.told += map(int, frame.split())
                self.since = self.told[-1] if self.told else self.since
        self.line.wire.frames.clear()
        self.line.wire.drain()

    def cut(self) -> None:
        """The line breaks: what was not read is lost, what was asked for may have been done."""
        self.line.scope.cancel()
        self.line.session.leave()
        self.line, self.is_open = Line(self), False

    def check(self) -> None:
        assert self.told == sorted(set(self.told)), "in the order of the log, each once"

    def due(self) -> list[int]:
        """What it must have been told: all since it knew that it joined, but its own commands, and
        how its instances are since it knew that it is connected."""
        states = self.model.log.channels.get(STATES, [])
        return self._since(self.joined) + [e.id for e in states if e.id > self.entered]

    def allowed(self) -> list[int]:
        """What it may have been told: all since it joined, until it knew that it left for good."""
        rooms = self.model.memory.records.get(self.pid, {})
        first = {name: at for (pid, name), at in self.model.memory.first.items() if pid == self.pid}
        until = {name: at for name, at in self.left.items() if name not in rooms}
        return self._since(first, until)

    def _since(self, joined: Mapping[str, int], left: Mapping[str, int] | None = None) -> list[int]:
        until = left or {}
        return [
            event.id
            for event in self.model.log.events
            if event.origin != self.pid
            and any(
                joined.get(name, 1 << 60) < offset <= until.get(name, 1 << 60)
                for name, offset in event.positions
            )
        ]


class RoomModel:
    def __init__(self, cache_events: int, room: int) -> None:
        self.log = Log()
        self.reads = HeldReads(self.log)  # type: ignore[arg-type]  # has what is asked for here
        self.memory = Memory(self.log)
        metrics = NopMetrics()
        cache = RecentEvents(ttl_ms=1, bytes_max=cache_events * (OVERHEAD_BYTES + 3))
        self.catchup = CatchUp(cache, self.reads, metrics)
        self.hub = Hub(cache, self.catchup, metrics, position=0)
        writer: Any = None  # nothing here changes a store
        ledger = Ledger(writer, self.hub, new_id=str, now=lambda: 0)
        desk = Desk(self.reads, ledger, self.hub)
        self.engine = Engine(self.hub, cache, self.reads, desk, self.catchup, EPOCH)
        self.clients = [RoomClient(self, f"p{number}", room) for number in range(CLIENTS)]

    def publish(self, count: int) -> None:
        """Tell of what was committed, in that order."""
        if told := self.log.unpublished[:count]:
            del self.log.unpublished[:count]
            self.hub.publish(told)

    def step(self, nursery: trio.Nursery, name: str, which: int, number: int) -> None:
        client = self.clients[which]
        channel = ROOMS[number % len(ROOMS)]
        match name:
            case "commit":
                origin = client.pid if number == 5 else None
                self.log.commit(frozenset({channel, ROOMS[which]}), origin)
            case "states":
                self.log.commit(frozenset({"instance:x", STATES}))
            case "between":
                self.log.between_reads.append(frozenset({channel, ROOMS[which]}))
            case "publish":
                self.publish(1 + number)
            case "release":
                self.reads.release(1 + which)
                self.memory.release()
            case "read":
                client.read()
            case "cut":
                client.cut()
            case "open" if not client.is_open:
                nursery.start_soon(client.open)
            case "join" if client.may_ask:
                nursery.start_soon(client.join, channel)
            case "leave" if client.may_ask:
                nursery.start_soon(client.leave, channel)

    async def settle(self, nursery: trio.Nursery) -> None:
        """Nothing more is committed, everybody is connected and reads what there is."""
        for client in self.clients:
            if not client.is_open:
                nursery.start_soon(client.open)
        for _ in range(60):
            self.publish(100)
            self.reads.release(100)
            self.memory.release()
            for client in self.clients:
                client.read()
            await trio.testing.wait_all_tasks_blocked()

    def states(self) -> set[State]:
        """Of the clients' feeds."""
        return {feed.state for client in self.clients for feed in client.line.session.all_feeds()}


def _said(events: Sequence[ChannelEvent]) -> bytes:
    return b"".join(b"%d " % event.id for event in events)
