"""One instance's lane at work: sending, looking up what is in doubt, parking (P4, P5).

What is next is decided by ``protocol/lane.py``, what an attempt means by ``relay/attempts.py``;
here are the tasks and the clock.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Literal

import msgspec
import trio
from msgspec import Struct

from evorelay.model.errors import RelayError
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.outgoing import Outgoing
from evorelay.model.records import OutboxRecord
from evorelay.protocol.lane import Job, Lane
from evorelay.protocol.retry import Backoff
from evorelay.relay import attempts
from evorelay.relay.lane_work import Work
from evorelay.relay.settling import Look, Settler

log = logging.getLogger(__name__)

PROBE = Backoff(initial=1.0, longest=10.0)
"""Between two looks at whether a parked instance can send again."""
LOOKS = Backoff(initial=1.0, longest=30.0)
"""Between two looks for a message whose outcome is unknown."""


class Parked(Struct, frozen=True):
    """Why nothing is sent at the moment."""

    code: str
    message: str


NOT_CONFIGURED = Parked(
    "not_configured",
    "Replies wait: set evolution.url and evolution.api_key, then restart EvoRelay.",
)
CLOSED = Parked(
    "instance_closed", "WhatsApp is not connected: replies wait until the instance is open."
)


class InstanceLane:
    def __init__(
        self,
        name: str,
        lane: Lane,
        work: Work,
        settler: Settler,
        neighbours: Callable[[], Iterable["InstanceLane"]],
    ) -> None:
        """``neighbours``: the lanes that go down with this one, itself included."""
        self.name = name
        self.lane = lane
        self.parked = None if work.gateway.is_configured(name) else NOT_CONFIGURED
        self._work = work
        self._settler = settler
        self._neighbours = neighbours
        self._retry = Backoff(initial=work.config.retry_initial, longest=work.config.retry_max)
        self._is_closing = False
        self._pause: tuple[float, Parked] | None = None
        """Until when (Trio's clock) Evolution asked us to wait, and why."""
        self._parkings = 0
        """Since a message was last sent: how little to believe that it can be."""
        self._wake = trio.Event()
        self._parking = trio.Event()
        self._unpark = trio.Event()

    async def run(self) -> None:
        """Begin each command when its turn comes; until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._probe)
            while True:
                self._wake = trio.Event()
                found = self._next()
                if isinstance(found, Job):
                    nursery.start_soon(self._carry_out, found)
                    continue
                with trio.move_on_after(found):
                    await self._wake.wait()

    def nudge(self) -> None:
        """There may be something to do that there was not."""
        self._wake.set()

    def opened(self) -> None:
        """Somebody heard that the instance is connected."""
        self._unpark.set()

    def close_asap(self) -> None:
        """Begin nothing any more."""
        self._is_closing = True

    @property
    def obstacle(self) -> Parked | None:
        """Why nothing is sent at the moment; None: it is."""
        is_pausing = self._pause is not None and self._pause[0] > trio.current_time()
        return self.parked or (self._pause[1] if self._pause and is_pausing else None)

    def _next(self) -> Job | float:
        if self._is_closing or self.parked is NOT_CONFIGURED:
            return inf
        now = trio.current_time()
        pause = 0.0 if self._pause is None else self._pause[0] - now
        may_send = self.parked is None and pause <= 0
        found = self.lane.next(now, self._work.now(), may_send=may_send)
        return found if isinstance(found, Job) or pause <= 0 else min(found, pause)

    async def _carry_out(self, job: Job) -> None:
        try:
            await (self._send(job) if job.stage == "send" else self._look(job))
        except Exception as error:  # a bug met this command: keep the others going
            log.error("a reply met a bug", exc_info=error, extra={"instance": self.name})
            await self._after_a_bug(job)
        self.nudge()

    async def _after_a_bug(self, job: Job) -> None:
        work = self._work
        then = await work.surely(partial(attempts.after_a_bug, outbox_id=job.id))
        if then == "look" and job.stage == "send":
            work.metrics.outcome_unknown()
        if then == "look" and self._age_s(await self._row(job)) <= work.config.max_age:
            self._look_again(job)
            return
        if then == "look":
            await work.surely(partial(attempts.give_up_in_doubt, outbox_id=job.id))
        self._end(job, "sent" if then == "sent" else "failed")

    async def _send(self, job: Job) -> None:
        work = self._work
        delivery = await work.surely(partial(attempts.begin, outbox_id=job.id, rules=work.rules))
        if delivery is None:
            self._over(job)
            return
        began = trio.current_time()
        try:
            accepted = await work.gateway.send(self.name, delivery)
        except GatewayFault as fault:
            work.metrics.attempt_ended(fault.kind.value, trio.current_time() - began)
            await self._failed(job, fault)
            return
        work.metrics.attempt_ended("sent", trio.current_time() - began)
        self._parkings = 0
        await work.surely(partial(attempts.succeed, outbox_id=job.id, accepted=accepted))
        self._end(job, "sent")

    async def _failed(self, job: Job, fault: GatewayFault) -> None:
        work = self._work
        job.failures += 1
        now = trio.current_time()
        wait_s = self._retry.wait(job.failures, work.rand)
        if fault.retry_after_s is not None:
            # What Evolution asks for holds for the whole instance.
            wait_s = max(wait_s, min(fault.retry_after_s, work.config.max_age))
            until = max(now + wait_s, self._pause[0] if self._pause else 0.0)
            self._pause = (until, Parked(fault.code, fault.message))
        due_at = work.now() + int(wait_s * 1000)
        then = await work.surely(
            partial(attempts.fail, outbox_id=job.id, fault=fault, rules=work.rules, due_at=due_at)
        )
        match then:
            case "look":
                work.metrics.outcome_unknown()
                job.failures = 0
                self.lane.again(job, "look", now + LOOKS.wait(1, work.rand))
            case "park":
                job.failures -= 1
                self.lane.again(job, "send", now)
                self._park(fault)
            case "retry":
                self.lane.again(job, "send", now + wait_s)
            case "sent":
                self._end(job, "sent")
            case "over":
                log.info("a reply was given up: %s", fault.code, extra={"instance": self.name})
                self._end(job, "failed")

    async def _look(self, job: Job) -> None:
        """Find out whether it was sent; then it is over, or sent once more, or looked for again."""
        work = self._work
        row = await self._row(job)
        if row.state != "unknown":
            self._go_on(job, row)
            return
        repeat_at = self._repeat_at(row)
        look: Look | None = None
        try:
            look = await self._settler.look(row, repeat_at)
        except RelayError as error:
            log.info("whether a reply was sent cannot be asked: %s", error)
        is_time = work.now() >= repeat_at
        if look is Look.OVER:
            work.metrics.doubt_settled("sent")
            self._end(job, "sent")
        elif look is Look.ABSENT and is_time:
            work.metrics.doubt_settled("not_sent")
            await work.surely(partial(attempts.repeat, outbox_id=job.id, rules=work.rules))
            self._go_on(job, await self._row(job))
        elif (look is Look.BLIND and is_time) or self._age_s(row) > work.config.max_age:
            work.metrics.doubt_settled("given_up")
            await work.surely(partial(attempts.give_up_in_doubt, outbox_id=job.id))
            self._end(job, "failed")
        else:
            ahead_s = (repeat_at - work.now()) / 1000
            self._look_again(job, ahead_s if look in (Look.ABSENT, Look.BLIND) else inf)

    def _look_again(self, job: Job, at_most_s: float = inf) -> None:
        job.failures += 1
        wait_s = min(LOOKS.steady(job.failures, self._work.rand), max(0.0, at_most_s) + 0.05)
        self.lane.again(job, "look", trio.current_time() + wait_s)

    def _repeat_at(self, row: OutboxRecord) -> int:
        """From when on (Unix ms) it may be sent again, if Evolution does not have it by then.

        Evolution works on after we, or the connection, are gone: it gets as long as we would have
        waited for it, and ``settle_after`` on top.
        """
        outgoing = msgspec.convert(row.outgoing, Outgoing)
        patience = self._work.gateway.patience_s(self.name, outgoing)
        begun = row.attempted_at or row.queued_at
        end = max(begun + int(patience * 1000), row.ended_at or begun)
        return end + int(self._work.config.settle_after * 1000)

    def _age_s(self, row: OutboxRecord) -> float:
        return (self._work.now() - (row.ended_at or row.queued_at)) / 1000

    async def _row(self, job: Job) -> OutboxRecord:
        rows = await self._work.surely(lambda draft: draft.tx.outbox([job.id]))
        return rows[job.id]

    def _go_on(self, job: Job, row: OutboxRecord) -> None:
        """It is no longer in doubt: sent and over, or to be sent again."""
        if row.state == "queued":
            job.failures = row.attempts
            self.lane.again(job, "send", trio.current_time())
            return
        if row.state == "sent":
            self._end(job, "sent")
        else:
            self._over(job)

    def _end(self, job: Job, outcome: Literal["sent", "failed"]) -> None:
        self._work.metrics.message_counted(job.type, outcome)
        self._over(job)

    def _over(self, job: Job) -> None:
        self.lane.finish(job)
        self._work.over(job.id)

    def _park(self, fault: GatewayFault) -> None:
        """Send nothing until it has been seen that it can be sent; the same for all concerned."""
        is_own = fault.kind is FaultKind.INSTANCE_DOWN
        for lane in (self,) if is_own else self._neighbours():
            if lane.parked is None:
                log.warning("replies wait: %s", fault.message, extra={"instance": lane.name})
                lane.parked = Parked(fault.code, fault.message)
                lane._parkings += 1
                lane._unpark = trio.Event()
                lane._parking.set()

    async def _probe(self) -> None:
        """While parked, look whether the instance can send again."""
        while True:
            await self._parking.wait()
            self._parking = trio.Event()
            failures = 0
            while self.parked is not None:
                with trio.move_on_after(PROBE.steady(self._parkings + failures, self._work.rand)):
                    await self._unpark.wait()
                self._unpark = trio.Event()
                self.parked = await self._obstacle()
                failures += 1
            log.info("replies go on", extra={"instance": self.name})
            self.nudge()
            for lane in self._neighbours():
                lane.opened()  # its Evolution is back, perhaps its instance too

    async def _obstacle(self) -> Parked | None:
        """Why the instance cannot send, as far as Evolution says; None: it can."""
        try:
            state = await self._work.gateway.connection_state(self.name)
        except GatewayFault as fault:
            return Parked(fault.code, fault.message)
        return CLOSED if state in ("close", "connecting") else None
