"""A session: one connected client, whatever its dialect.

It knows who the client is, what it may see, and which feeds it holds. Bytes go out through a
``Wire`` (a bounded buffer in front of a socket) and never block the sender.
"""

from typing import Protocol

import trio
from msgspec import Struct

from evorelay.model.close import Close
from evorelay.model.errors import Code, Refusal
from evorelay.model.event import ChannelEvent
from evorelay.model.ids import ALL_INSTANCES, instance_channel, parse_channel
from evorelay.model.principal import Principal
from evorelay.relay.cache import RecentEvents
from evorelay.relay.desk import Desk
from evorelay.relay.feed import Dialect, Feed, State
from evorelay.relay.hub import Hub, Laggards
from evorelay.relay.reads import Reads
from evorelay.storage.ports import ChannelPage

CHANNELS_MAX = 512
"""Subscriptions of one client; an agent watches some inboxes and a few tickets."""
RECOVER_EVENTS_MAX = 1000
RECOVER_BYTES_MAX = 4 * 1024 * 1024
"""Missed events that come in one answer; beyond, the client pages through history (contract §5)."""


class Wire(Protocol):
    """The outgoing side of a connection (edge/framestream.py)."""

    pending: int
    """Bytes accepted and not yet taken by the kernel."""
    tell_drained: bool
    """Set to have ``Session.drained`` called when ``pending`` is 0 again."""
    last_progress_at: float
    """When the kernel last took bytes (Trio's clock)."""

    def push(self, frame: bytes) -> bool: ...


class Position(Struct, frozen=True):
    offset: int
    epoch: str


class Subscription(Struct):
    """The answer to a subscription; after sending it, call ``Session.answered``."""

    feed: Feed
    position: Position
    head: int
    missed: list[ChannelEvent]
    recovered: bool


class Engine(Struct, frozen=True):
    """What every session works with."""

    hub: Hub
    cache: RecentEvents
    reads: Reads
    desk: Desk
    laggards: Laggards
    epoch: str


class Session:
    def __init__(
        self, id_: str, principal: Principal, dialect: Dialect, wire: Wire, engine: Engine
    ) -> None:
        self.id = id_
        self.principal = principal
        self.dialect = dialect
        self.wire = wire
        self.push = wire.push
        self.feeds: dict[str, Feed] = {}
        self.scope = trio.CancelScope()
        """Covers the connection's work; ``close_asap`` ends it."""
        self.close_reason: Close | None = None
        self.last_heard_at = trio.current_time()
        self.pinged_at = self.last_heard_at
        self._engine = engine

    @property
    def is_closed(self) -> bool:
        return self.scope.cancel_called

    def close_asap(self, reason: Close) -> None:
        """Ask the connection to end with this reason; the first reason counts."""
        if not self.is_closed:
            self.close_reason = reason
            self.scope.cancel()

    def idle(self) -> bool:
        if self.wire.pending:
            self.wire.tell_drained = True
            return False
        return True

    def drained(self) -> None:
        """The client has taken everything: feeds that fell behind may go on."""
        for feed in self.feeds.values():
            if feed.state is State.CATCHING_UP:
                self._engine.laggards.enlist(feed)

    async def may_watch(self, channel: str) -> bool:
        """Whether this principal may know anything of a channel; unknown tickets are foreign."""
        return await self._may_watch(self.principal, channel)

    async def _may_watch(self, who: Principal, channel: str) -> bool:
        parsed = parse_channel(channel)
        if parsed is None:
            return False
        kind, name = parsed
        if channel == instance_channel(ALL_INSTANCES):
            return who.sees_all
        if kind != "ticket":
            # Also before its first webhook: a screen may be waiting for a new instance.
            return who.may_see(name)
        try:
            await self._engine.desk.instance_of(who, name)
        except Refusal:
            return False
        return True

    async def subscribe(
        self, channel: str, since: Position | None, *, wants_membership: bool = False
    ) -> Subscription:
        """Open a feed at the client's position, or at the head when it has none.

        The feed stays silent until ``answered``. Raises ``Refusal`` and ``StoreUnavailable``;
        when cancelled, nothing is left behind.
        """
        if len(self.feeds) >= CHANNELS_MAX:
            raise Refusal(Code.LIMIT_EXCEEDED, f"at most {CHANNELS_MAX} channels in one connection")
        feed = self.feeds[channel] = Feed(channel, self, wants_membership=wants_membership)
        self._engine.hub.attach(feed)
        try:
            if not await self.may_watch(channel):
                raise Refusal(Code.FORBIDDEN, "no such channel, or not yours")
            return await self._open(feed, since)
        except BaseException:
            self.unsubscribe(channel)
            raise

    async def _open(self, feed: Feed, since: Position | None) -> Subscription:
        epoch = self._engine.epoch
        resumable = since is not None and since.epoch == epoch
        after = since.offset if since is not None and resumable else None
        page = await self._read_from(feed.channel, after)
        missed: list[ChannelEvent] = []
        recovered = False
        if after is not None and page.floor <= after + 1 and after <= page.head:
            complete = page.head - after == len(page.events)
            if complete and sum(len(event.data) for event in page.events) <= RECOVER_BYTES_MAX:
                missed, recovered = page.events, True
        feed.cursor = page.head
        return Subscription(feed, Position(page.head, epoch), page.head, missed, recovered)

    async def _read_from(self, channel: str, after: int | None) -> ChannelPage:
        if after is not None:
            cached = self._engine.cache.page(channel, after, RECOVER_EVENTS_MAX)
            if cached is not None:
                return cached
        offset, limit = (0, 0) if after is None else (after, RECOVER_EVENTS_MAX)
        return await self._engine.reads(lambda reader: reader.events_after(channel, offset, limit))

    def answered(self, subscription: Subscription) -> None:
        """The answer is on its way: the feed goes on from where it ended."""
        self._engine.hub.settle(subscription.feed, subscription.head)

    def unsubscribe(self, channel: str) -> Feed | None:
        feed = self.feeds.pop(channel, None)
        if feed is not None:
            self._engine.hub.detach(feed)
        return feed

    def leave(self) -> list[Feed]:
        """Drop every feed; returns those there were."""
        return [feed for channel in list(self.feeds) if (feed := self.unsubscribe(channel))]

    async def renew(self, principal: Principal) -> list[Feed]:
        """Go on with a fresh credential; returns the feeds it no longer allows, now closed.

        Raises ``StoreUnavailable``; then, and when cancelled, the old credential still counts.
        """
        lost = [channel for channel in self.feeds if not await self._may_watch(principal, channel)]
        self.principal = principal
        return [feed for channel in lost if (feed := self.unsubscribe(channel))]

    async def history(
        self, channel: str, *, since: Position | None, limit: int, reverse: bool
    ) -> ChannelPage:
        """A page of a channel's log. Raises ``Refusal`` where the client may not watch it.

        Forward from ``since`` (or the oldest), or backward from it (or the newest).
        """
        if not await self.may_watch(channel):
            raise Refusal(Code.FORBIDDEN, "no such channel, or not yours")
        if reverse:
            before = since.offset if since is not None and since.offset else 1 << 62
            return await self._engine.reads(
                lambda reader: reader.events_before(channel, before, limit)
            )
        after = since.offset if since is not None else 0
        return await self._engine.reads(lambda reader: reader.events_after(channel, after, limit))
