"""A session: one connected client, whatever its protocol.

It knows who the client is and what it may see; what it is told is in ``channel_session`` and
``room_session``. Bytes go out through a ``Wire`` (a bounded buffer in front of a socket) and never
block the sender.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Protocol

import trio
from msgspec import Struct

from evorelay.model.close import Close
from evorelay.model.errors import Refusal
from evorelay.model.ids import ALL_INSTANCES, instance_channel, parse_channel
from evorelay.model.principal import Principal
from evorelay.relay.cache import RecentEvents
from evorelay.relay.desk import Desk
from evorelay.relay.feed import AnyFeed, Dialect, State
from evorelay.relay.hub import Hub, Laggards
from evorelay.relay.reads import Reads

CHANNELS_MAX = 512
"""Subscriptions of one client; an agent watches some inboxes and a few tickets."""
RECOVER_EVENTS_MAX = 1000
RECOVER_BYTES_MAX = 4 * 1024 * 1024
"""Missed events that come in one answer; beyond, the client loads anew (contract §5)."""


class Wire(Protocol):
    """The outgoing side of a connection (edge/framestream.py)."""

    tell_drained: bool
    """Set to have ``Session.drained`` called when ``pending`` is 0 again."""

    @property
    def pending(self) -> int:
        """Bytes accepted and not yet taken by the kernel."""

    @property
    def last_progress_at(self) -> float:
        """When the kernel last took bytes (Trio's clock)."""

    def push(self, frame: bytes) -> bool: ...


class Position(Struct, frozen=True):
    offset: int
    epoch: str


class Engine(Struct, frozen=True):
    """What every session works with."""

    hub: Hub
    cache: RecentEvents
    reads: Reads
    desk: Desk
    laggards: Laggards
    epoch: str


class Session(ABC):
    def __init__(self, id_: str, principal: Principal, wire: Wire, engine: Engine) -> None:
        self.id = id_
        self.principal = principal
        self.wire = wire
        self.push = wire.push
        self.scope = trio.CancelScope()
        """Covers the connection's work; ``close_asap`` ends it."""
        self.close_reason: Close | None = None
        self.last_heard_at = trio.current_time()
        self.pinged_at = self.last_heard_at
        self._engine = engine

    @property
    @abstractmethod
    def dialect(self) -> Dialect: ...

    @abstractmethod
    def all_feeds(self) -> Iterable[AnyFeed]:
        """Every feed it holds."""

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
        for feed in self.all_feeds():
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
