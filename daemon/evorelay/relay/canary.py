"""The canary: a test message that goes the way of every webhook, again and again (P8).

Each part may say that it is well while nothing comes out at the other end. So every so often an
envelope of ours is journaled like a webhook, is committed by the pipeline as an event of a channel
of its own, and goes through the hub to a client of our own; the time it takes is measured.

It leaves nothing but that event and its journal entry, which go with their retentions. It cannot be
sent from outside: ``Envelope.canary`` is in no body. Clients cannot see it: ``parse_channel`` knows
no such channel. A replay passes it over.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from evorelay.model.clock import NowMs
from evorelay.model.envelope import Envelope
from evorelay.model.errors import JournalUnavailable
from evorelay.model.ids import NewId
from evorelay.relay.journal import Journal
from evorelay.relay.vitals import CanaryFacts, Stage
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

UNANSWERED_MAX = 100


class Listener(Protocol):
    """A client of our own (edge/canary_client.py)."""

    async def listen(
        self,
        heard: Callable[[str], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Until cancelled: ``heard`` is called with the id of each test message that comes out.
        Started when it hears."""


class _Flight:
    """One of them, on its way."""

    def __init__(self) -> None:
        self.sent_at = trio.current_time()
        self.seq: int | None = None
        """None before its fsync."""


class Canary:
    """One is under way at a time. What was given up counts as missing until a later one is back."""

    def __init__(
        self,
        journal: Journal,
        listener: Listener,
        metrics: Metrics,
        *,
        handled: Callable[[], int],
        every_s: float,
        lost_s: float,
        new_id: NewId,
        now: NowMs,
    ) -> None:
        """``handled`` says up to which seq the pipeline has come; ``lost_s`` after which time the
        next one is sent although the last is not back."""
        self._journal = journal
        self._listener = listener
        self._metrics = metrics
        self._handled = handled
        self._every_s = every_s
        self._lost_s = lost_s
        self._new_id = new_id
        self._now = now
        self._unanswered: dict[str, _Flight] = {}
        """By id, the oldest first."""
        self._is_back = trio.Event()
        self._round_trip_s: float | None = None

    def facts(self) -> CanaryFacts:
        oldest = next(iter(self._unanswered.values()), None)
        if oldest is None:
            return CanaryFacts(round_trip_s=self._round_trip_s)
        return CanaryFacts(
            round_trip_s=self._round_trip_s,
            missing_s=trio.current_time() - oldest.sent_at,
            stage=self._stage(oldest),
        )

    def _stage(self, flight: _Flight) -> Stage:
        if flight.seq is None:
            return "journal"
        return "pipeline" if flight.seq > self._handled() else "delivery"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. Whether the listener hears is waited for here, not by who starts us."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listener.listen, self._heard)
            while True:
                next_at = trio.current_time() + self._every_s
                await trio.sleep_until(next_at)
                await self._send()

    async def _send(self) -> None:
        id_ = self._new_id()
        self._is_back = trio.Event()
        flight = self._unanswered[id_] = _Flight()
        envelope = Envelope(
            received_at=self._now(), event="canary", instance="", body=b"{}", canary=id_
        )
        try:
            flight.seq = await self._journal.submit(envelope)
        except JournalUnavailable:
            # Not lost: nobody was promised anything. The journal says itself what is wrong.
            self._unanswered.pop(id_, None)
            return
        with trio.move_on_after(self._lost_s) as patience:
            await self._is_back.wait()
        if patience.cancelled_caught:
            self._give_up(flight)

    def _give_up(self, flight: _Flight) -> None:
        self._metrics.canary_lost()
        if len(self._unanswered) == 1:
            log.warning(
                "a test message through the daemon did not come back within %g s (%s)",
                self._lost_s,
                self._stage(flight),
            )
        elif len(self._unanswered) > UNANSWERED_MAX:
            # The oldest says since when, the last ones may yet come.
            del self._unanswered[list(self._unanswered)[1]]

    def _heard(self, id_: str) -> None:
        flight = self._unanswered.get(id_)
        if flight is None:
            return  # of an earlier life of the daemon
        # What was sent before came out before, or never will.
        for other in list(self._unanswered):
            del self._unanswered[other]
            if other == id_:
                break
        self._round_trip_s = trio.current_time() - flight.sent_at
        self._metrics.canary_returned(self._round_trip_s)
        if not self._unanswered:
            self._is_back.set()
