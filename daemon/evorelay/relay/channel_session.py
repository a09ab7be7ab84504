"""The session of a client that subscribes to channels, each with its own offsets (Centrifuge)."""

from collections.abc import Iterable

from msgspec import Struct

from evorelay.model.errors import Code, Refusal
from evorelay.model.event import ChannelEvent
from evorelay.model.principal import Principal
from evorelay.relay.feed import ChannelDialect, Feed
from evorelay.relay.session import (
    CHANNELS_MAX,
    RECOVER_BYTES_MAX,
    RECOVER_EVENTS_MAX,
    Engine,
    Position,
    Session,
    Wire,
)
from evorelay.storage.ports import ChannelPage


class Subscription(Struct):
    """The answer to a subscription; after sending it, call ``Session.answered``."""

    feed: Feed
    position: Position
    head: int
    missed: list[ChannelEvent]
    recovered: bool


class ChannelSession(Session):
    def __init__(
        self, id_: str, principal: Principal, dialect: ChannelDialect, wire: Wire, engine: Engine
    ) -> None:
        super().__init__(id_, principal, wire, engine)
        self._dialect = dialect
        self.feeds: dict[str, Feed] = {}

    @property
    def dialect(self) -> ChannelDialect:
        return self._dialect

    def all_feeds(self) -> Iterable[Feed]:
        return self.feeds.values()

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
        feed = subscription.feed
        self._engine.hub.settle(feed, {feed.channel: subscription.head})

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
