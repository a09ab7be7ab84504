"""The session of a client that is in rooms and is told everything in one stream (Socket.IO).

A room is a channel. Besides those it joined a client is in the rooms of its instances' states.
What it is told, in which order, is ``relay/merged_feed.py``; that it may come back,
``relay/socket_memory.py``.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from evorelay.model.errors import Code, Refusal
from evorelay.model.event import ChannelEvent
from evorelay.model.ids import ALL_INSTANCES, instance_channel
from evorelay.model.principal import Principal
from evorelay.relay.merged_feed import MergedFeed, RoomDialect, not_of
from evorelay.relay.missed import heads_of, missed_in, offsets_at, size_of
from evorelay.relay.permission import no_such_ticket
from evorelay.relay.session import (
    CHANNELS_MAX,
    RECOVER_BYTES_MAX,
    RECOVER_EVENTS_MAX,
    Engine,
    Position,
    Session,
    Wire,
)
from evorelay.relay.socket_memory import SocketMemory
from evorelay.storage.ports import ChannelPage

LOOKS_MAX = 5
"""Reads of what a client missed in a room while more and more is published there."""


class Opened(Struct):
    """The answer to a client that connects; after sending it, call ``RoomSession.opened``."""

    position: Position
    """Its place among all events: what is later it will be told, if it concerns it."""
    recovered: bool
    """Whether the client is in the rooms it was in, and ``missed`` is all it missed."""
    missed: list[ChannelEvent]
    cursors: dict[str, int]
    """Channel -> its offset after ``missed``."""
    joined: dict[str, int]


class Joined(Struct):
    """The answer to a client that joined: to be queued, with ``missed``, before the next await."""

    position: Position
    """Where the channel is now; from here on the client is told everything."""
    recovered: bool
    """Whether ``missed`` is all there was since the position the client asked for."""
    missed: list[ChannelEvent]
    """Without its own commands. Not to be told with their place in the log: the client is beyond
    it."""


class RoomSession(Session):
    def __init__(
        self,
        id_: str,
        principal: Principal,
        dialect: RoomDialect,
        wire: Wire,
        engine: Engine,
        memory: SocketMemory,
        *,
        pid: str,
    ) -> None:
        super().__init__(id_, principal, wire, engine)
        self.pid = pid
        self.rooms: dict[str, int] = {}
        """What the client joined -> the channel's offset then."""
        self._dialect = dialect
        self._memory = memory
        self._feed = MergedFeed(self)
        self._attached: set[str] = set()

    @property
    def dialect(self) -> RoomDialect:
        return self._dialect

    def all_feeds(self) -> Iterable[MergedFeed]:
        return (self._feed,)

    async def open(self, since: Position | None) -> Opened:
        """Enter the rooms nobody has to join and, coming back from ``since``, those it was in.

        Not recovered, and in no other rooms, is who has been away for too much, whom nobody here
        remembers, and who may not be there any more. The feed stays silent until ``opened``.
        Raises ``StoreUnavailable``; when cancelled, ``leave`` cleans up.
        """
        of_instances = _instance_rooms(self.principal)
        for channel in of_instances:
            self._attach(channel)
        if since is not None and since.epoch == self._engine.epoch:
            opened = await self._recovered(of_instances, since.offset)
            if opened is not None:
                return opened
        position = self._position()
        cursors = await self._engine.reads(
            lambda reader: offsets_at(reader, of_instances, position.offset)
        )
        return Opened(position, False, [], cursors, {})

    def _position(self) -> Position:
        """The place up to which everything is published: what is later, attached channels hear."""
        return Position(self._engine.hub.position, self._engine.epoch)

    async def _recovered(self, of_instances: list[str], since: int) -> Opened | None:
        joined = await self._memory.recall(self.pid, self.principal)
        if joined is None or not await self._may_watch_all(joined):
            return None
        for channel in joined:
            self._attach(channel)
        position = self._position()
        starts = dict.fromkeys(of_instances, 0) | joined
        missed = await self._engine.reads(
            lambda reader: missed_in(reader, starts, since, position.offset)
        )
        if missed is None:
            for channel in joined:
                self._detach(channel)
            return None
        events, cursors = missed
        return Opened(position, True, not_of(events, self.pid), cursors, joined)

    def opened(self, opened: Opened) -> None:
        """The answer is on its way: the feed goes on from where it ended."""
        self.rooms = dict(opened.joined)
        self._feed.cursors.update(opened.cursors)
        self._engine.hub.settle(self._feed, {})

    async def join(self, channel: str, since: Position | None = None) -> Joined:
        """Enter a room, durably; from the return of this call on the client is told of it.

        In a room already, only what is since ``since`` is looked up. Raises ``Refusal`` and
        ``StoreUnavailable``; when cancelled, the client may be in the room after it comes back.
        """
        await self._check(channel)
        if channel in self._feed.cursors:
            return await self._joined(channel, 0, since)
        if len(self.rooms) >= CHANNELS_MAX:
            raise Refusal(Code.LIMIT_EXCEEDED, f"at most {CHANNELS_MAX} rooms at a time")
        self._attach(channel)
        try:
            offset = await self._memory.join(self.pid, self.principal, self.rooms, channel)
            joined = await self._joined(channel, offset, since)
        except BaseException:
            self._detach(channel)
            raise
        # No await from here to the caller's answer. What was published while we waited is behind
        # the client in the order of its events, so the room begins after that.
        self.rooms[channel] = offset
        self._feed.cursors[channel] = joined.position.offset
        return joined

    async def _joined(self, channel: str, offset: int, since: Position | None) -> Joined:
        """Look up what was missed until it is all there is, with no await after that."""
        epoch = self._engine.epoch
        page: ChannelPage | None = None
        for _ in range(LOOKS_MAX):
            cursor = self._feed.cursors.get(channel)
            head = max(offset, self._engine.hub.head(channel)) if cursor is None else cursor
            position = Position(head, epoch)
            if since is None or since.epoch not in ("", epoch) or since.offset > head:
                break
            page = self._engine.cache.page(channel, since.offset, RECOVER_EVENTS_MAX) or page
            if page is not None and page.head >= head:
                missed = [event for event in page.events if event.offset <= head]
                is_whole = page.floor <= since.offset + 1 and len(missed) == head - since.offset
                if not is_whole or size_of(missed) > RECOVER_BYTES_MAX:
                    break
                return Joined(position, True, not_of(missed, self.pid))
            page = await self._after(channel, since.offset)
        return Joined(position, False, [])

    async def _after(self, channel: str, offset: int) -> ChannelPage:
        return await self._engine.reads(
            lambda reader: reader.events_after(channel, offset, RECOVER_EVENTS_MAX)
        )

    async def leave_room(self, channel: str) -> bool:
        """Leave a room, durably; whether the client was in it.

        Raises ``StoreUnavailable``; then the client is in it still.
        """
        if channel not in self.rooms:
            return False
        await self._memory.keep(self.pid, self.principal, _without(self.rooms, [channel]))
        self._exit([channel])
        return True

    async def renew(self, principal: Principal) -> list[str]:
        """Go on with a fresh credential; returns the rooms it no longer allows, left by now.

        What was not told yet in them is not told any more; how newly visible instances are, the
        client is told from now on.
        Raises ``StoreUnavailable``; then, and when cancelled, the old credential still counts.
        """
        lost = [channel for channel in self.rooms if not await self._may_watch(principal, channel)]
        before, after = _instance_rooms(self.principal), _instance_rooms(principal)
        entered = [channel for channel in after if channel not in before]
        for channel in entered:
            self._attach(channel)
        try:
            heads = await self._engine.reads(lambda reader: heads_of(reader, entered))
            if lost:
                await self._memory.keep(self.pid, principal, _without(self.rooms, lost))
        except BaseException:
            self._exit(entered)
            raise
        self.principal = principal
        self._exit([*lost, *(channel for channel in before if channel not in after)])
        for channel, head in heads.items():
            self._feed.cursors[channel] = max(head, self._engine.hub.head(channel))
        return lost

    def leave(self) -> None:
        """The connection is over: nothing more is told."""
        self._feed.close()
        for channel in list(self._attached):
            self._detach(channel)

    async def _check(self, channel: str) -> None:
        if not await self.may_watch(channel):
            if channel.startswith("ticket:"):
                raise no_such_ticket()
            raise Refusal(Code.FORBIDDEN, "no such room, or not yours")

    async def _may_watch_all(self, channels: Iterable[str]) -> bool:
        for channel in channels:
            if not await self.may_watch(channel):
                return False
        return True

    def _exit(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self.rooms.pop(channel, None)
            self._detach(channel)

    def _attach(self, channel: str) -> None:
        self._attached.add(channel)
        self._engine.hub.attach_merged(self._feed, channel)

    def _detach(self, channel: str) -> None:
        self._attached.discard(channel)
        self._engine.hub.detach_merged(self._feed, channel)


def _instance_rooms(who: Principal) -> list[str]:
    """Where clients hear how their instances are, without asking."""
    if who.sees_all:
        return [instance_channel(ALL_INSTANCES)]
    if who.role is None or who.instances == "*":
        return []
    return [instance_channel(name) for name in sorted(who.instances)]


def _without(rooms: Mapping[str, int], channels: Iterable[str]) -> dict[str, int]:
    return {name: offset for name, offset in rooms.items() if name not in channels}
