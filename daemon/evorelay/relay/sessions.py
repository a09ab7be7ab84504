"""All connected sessions, and the one task that keeps them honest: pings, expiry, stalls.

One task for all instead of one per connection: 10,000 idle clients cost it about 2 ms a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from evorelay.model.clock import NowMs
from evorelay.model.close import Close
from evorelay.relay.hub import Hub
from evorelay.relay.session import Session
from evorelay.telemetry.metrics import Metrics

PING_EVERY_S = 25.0
"""Below nginx's default proxy_read_timeout of 60 s, with one ping to spare."""
PONG_WITHIN_S = 10.0
EXPIRY_GRACE_S = 25
"""A client refreshes shortly before or after expiry; Centrifugo's grace."""
STALLED_S = 30.0
"""No byte taken for this long while some wait: hopeless, the client must reconnect."""


class Sessions:
    def __init__(self, hub: Hub, metrics: Metrics, *, now: NowMs) -> None:
        self._hub = hub
        self._metrics = metrics
        self._now = now
        self._sessions: set[Session] = set()
        self._strangers: set[trio.CancelScope] = set()
        self.is_closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions))

    @contextmanager
    def stranger(self, patience: trio.CancelScope) -> Iterator[None]:
        """A client that has not said who it is; ``patience`` ends when we do."""
        self._strangers.add(patience)
        if self.is_closing:
            patience.cancel()
        try:
            yield
        finally:
            self._strangers.discard(patience)

    def add(self, session: Session) -> None:
        self._sessions.add(session)
        if self.is_closing:
            session.close_asap(Close.SHUTDOWN)
        self._metrics.session_opened(session.dialect.name)

    def remove(self, session: Session) -> None:
        self._sessions.discard(session)
        reason = session.close_reason.name.lower() if session.close_reason else "client"
        self._metrics.session_closed(session.dialect.name, reason)

    def watchers_by_ticket(self) -> dict[str, int]:
        """Tickets somebody watches, with the number of connections."""
        watched = self._hub.watched().items()
        return {name[7:]: feeds for name, feeds in watched if name.startswith("ticket:")}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after every session once a second until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(1)
            now, wall = trio.current_time(), self._now() // 1000
            for session in self:
                look_after(session, now, wall)

    def close_all_asap(self) -> None:
        """Draining: every client is told to reconnect, which finds the next process."""
        self.is_closing = True
        for session in self:
            session.close_asap(Close.SHUTDOWN)
        for patience in self._strangers:
            patience.cancel()


def look_after(session: Session, now: float, wall: int) -> None:
    """Ping, or close for the first reason that applies. ``wall`` is Unix seconds."""
    expires_at = session.principal.expires_at
    if session.wire.pending and now - session.wire.last_progress_at > STALLED_S:
        session.close_asap(Close.SLOW)
    elif expires_at is not None and wall > expires_at + EXPIRY_GRACE_S:
        session.close_asap(Close.EXPIRED)
    elif not session.dialect.ping_frame:
        pass  # its transport asks for signs of life
    elif session.last_heard_at < session.pinged_at:
        if now - session.pinged_at > PONG_WITHIN_S:
            session.close_asap(Close.NO_PONG)
    # Also when the client was heard: it counts on our pings, as we do on its answers. A full
    # buffer refuses the ping; then its progress is watched instead.
    elif now - session.pinged_at > PING_EVERY_S and session.push(session.dialect.ping_frame):
        session.pinged_at = now
