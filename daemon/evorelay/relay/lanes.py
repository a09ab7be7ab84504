"""All lanes: which commands wait, and the service that runs a lane for each instance.

Everything here can be made anew from the store, and is at each start.
"""

import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from functools import partial

import trio

from evorelay.config import OutboxConfig
from evorelay.model.clock import NowMs
from evorelay.model.records import OutboxRecord
from evorelay.protocol.lane import Job, Lane
from evorelay.protocol.manners import Manners
from evorelay.protocol.pacing import Held, Pace, TokenBucket
from evorelay.relay import attempts
from evorelay.relay.attempts import Rules
from evorelay.relay.gateway import Gateway
from evorelay.relay.instance_lane import InstanceLane, Parked
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.lane_work import Work
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads
from evorelay.relay.settling import Settler
from evorelay.storage.ports import StoreReader
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

LOAD_PAGE = 5000
CLOSING_TICK_S = 0.05
SWEEP_S = 60.0
"""Between two looks for what has waited too long."""


class Lanes:
    def __init__(
        self,
        gateway: Gateway,
        ledger: Ledger,
        reads: Reads,
        signals: InstanceSignals,
        config: OutboxConfig,
        manners: Manners,
        metrics: Metrics,
        *,
        now: NowMs,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._reads = reads
        self._signals = signals
        self._config = config
        self._manners = manners
        self._now = now
        self._rand = rand
        self._work = Work(
            gateway=gateway,
            ledger=ledger,
            config=config,
            rules=Rules(max_attempts=config.max_attempts, max_age_ms=int(config.max_age * 1000)),
            metrics=metrics,
            now=now,
            rand=rand,
            over=self._over,
            merged=self.merged,
        )
        self._settler = Settler(gateway, self._work.change, reads, now=now)
        self._lanes: dict[str, InstanceLane] = {}
        self._jobs: dict[str, tuple[InstanceLane, Job]] = {}
        self._waiters: dict[str, list[trio.Event]] = defaultdict(list)
        self._nursery: trio.Nursery | None = None
        self._held: list[OutboxRecord] | None = None
        """What is submitted while the backlog is read: it comes behind it."""
        self._closing = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Send until cancelled, or until ``close_asap`` and nothing is under way.

        Begins with what an earlier run left. What is cancelled under way is in doubt, and is
        settled by the next run.
        """
        self._lanes.clear()
        self._jobs.clear()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery, self._held = nursery, []
                await self._doubt_what_was_cut()
                async for row in self._unfinished():
                    self._enqueue(row, nursery)
                held, self._held = self._held, None
                for row in held:
                    self._enqueue(row, nursery)
                nursery.start_soon(self._hear_of_instances)
                nursery.start_soon(self._sweep)
                task_status.started()
                await self._closing.wait()
                while any(lane.lane.sending for lane in self._lanes.values()):  # noqa: ASYNC110 -- once, for the seconds of a drain; an event would have to be told by every ending
                    await trio.sleep(CLOSING_TICK_S)
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = self._held = None

    def close_asap(self) -> None:
        """Begin nothing any more; ``run`` ends when what is under way has its answer."""
        self._closing.set()
        for lane in self._lanes.values():
            lane.close_asap()

    def add(self, row: OutboxRecord) -> None:
        """A command that is in the store. Before ``run`` it does nothing, which loads what is."""
        if self._held is not None:
            self._held.append(row)
        elif self._nursery is not None:
            self._enqueue(row, self._nursery)

    def _enqueue(self, row: OutboxRecord, nursery: trio.Nursery) -> None:
        if row.id in self._jobs:
            return
        lane = self._lanes.get(row.instance) or self._open(row.instance, nursery)
        job = Job(
            id=row.id,
            type=row.outgoing["type"],
            conversation=row.contact_id,
            place=(row.queued_at, row.id),
            stage="send" if row.state == "queued" else "look",
            due=trio.current_time() + max(0, row.due_at - self._now()) / 1000,
            failures=row.attempts,
            is_new=row.is_first,
        )
        self._jobs[row.id] = (lane, job)
        lane.lane.add(job)
        lane.nudge()

    def settled(self, outbox_ids: Iterable[str]) -> None:
        """The echoes of these commands came: nothing has to be waited for."""
        for outbox_id in outbox_ids:
            if outbox_id in self._jobs:
                lane, job = self._jobs[outbox_id]
                lane.lane.hurry(job, trio.current_time())
                lane.nudge()
            self._tell(outbox_id)

    def forget(self, outbox_ids: Collection[str]) -> None:
        """These commands are gone: whom they were for was erased. What is not at the front of its
        conversation is found to be gone when it comes to its turn."""
        for lane in self._lanes.values():
            for outbox_id in lane.lane.drop(outbox_ids):
                self._over(outbox_id)

    def merged(self, people: Iterable[tuple[str, str]]) -> None:
        """(kept, absorbed): these contacts became one, and so do their conversations."""
        for kept, absorbed in people:
            for lane in self._lanes.values():
                lane.lane.merge(kept, absorbed)
                lane.nudge()

    async def wait_settled(self, outbox_id: str, timeout_s: float) -> None:
        """Until the command was sent or given up, or the time is up."""
        if outbox_id not in self._jobs:
            return
        event = trio.Event()
        self._waiters[outbox_id].append(event)
        try:
            with trio.move_on_after(timeout_s):
                await event.wait()
        finally:
            self._waiters[outbox_id].remove(event)
            if not self._waiters[outbox_id]:
                del self._waiters[outbox_id]

    def has_room(self, instance: str, limit: int) -> bool:
        """Whether fewer than ``limit`` commands of the instance wait. May be asked in any thread:
        it is one look-up and one number."""
        lane = self._lanes.get(instance)
        return lane is None or lane.lane.waiting < limit

    @property
    def total_waiting(self) -> int:
        return len(self._jobs)

    def waiting(self) -> dict[str, int]:
        """Commands not done with, by instance; those without any are left out."""
        return {name: lane.lane.waiting for name, lane in self._lanes.items() if lane.lane.waiting}

    def parked(self) -> dict[str, Parked]:
        """Instances that send nothing, and why."""
        return {
            name: obstacle
            for name, lane in self._lanes.items()
            if (obstacle := lane.obstacle) is not None
        }

    def tokens(self) -> dict[str, float]:
        """By instance that ever sent: how many messages its rate allows at once now."""
        now = trio.current_time()
        return {name: lane.lane.tokens(now) for name, lane in self._lanes.items()}

    def paced(self) -> dict[str, Held]:
        """How much was held back to keep the pace since the start, by whose pace it was."""
        found = {"instance": Held(), "recipient": Held()}
        for one in self._lanes.values():
            lane = one.lane
            for by, held in (("instance", lane.paced), ("recipient", lane.paced_recipients)):
                found[by].times += held.times
                found[by].seconds += held.seconds
        return found

    def oldest_waiting_s(self) -> float:
        """How long ago the command was queued that waits longest; 0 when none waits."""
        oldest = (lane.lane.oldest for lane in self._lanes.values())
        moments = [moment for moment in oldest if moment is not None]
        return max(0.0, (self._now() - min(moments)) / 1000) if moments else 0.0

    def trouble(self) -> list[tuple[str, str, str]]:
        """(instance, code, what to tell a person) of each parked lane with something to send."""
        waiting = self.waiting()
        return [
            (name, why.code, why.message)
            for name, why in sorted(self.parked().items())
            if name in waiting
        ]

    def _open(self, name: str, nursery: trio.Nursery) -> InstanceLane:
        config, now = self._config, trio.current_time()
        pace = Pace(TokenBucket(config.rate, config.burst, now), self._manners, rand=self._rand)
        lane = InstanceLane(
            name,
            Lane(
                pace,
                in_flight_max=config.in_flight,
                recipient_rate=config.recipient_rate,
                recipient_burst=config.recipient_burst,
            ),
            self._work,
            self._settler,
            partial(self._on_host_of, name),
        )
        self._lanes[name] = lane
        nursery.start_soon(self._run_lane, lane, pace)
        return lane

    async def _run_lane(self, lane: InstanceLane, pace: Pace) -> None:
        if self._manners.counts_days:
            today = self._manners.midnight(self._now())
            sent, first = await self._reads(lambda reader: reader.sent_since(lane.name, today))
            row = await self._reads(lambda reader: reader.instance(lane.name))
            created_at = self._now() if row is None else row.created_at
            pace.resume(created_at=created_at, today=today, sent=sent, first=first)
        await lane.run()

    def _on_host_of(self, name: str) -> Iterator[InstanceLane]:
        """The lanes that go down with this one, itself included."""
        host = self._work.gateway.host(name)
        return (lane for lane in self._lanes.values() if self._work.gateway.host(lane.name) == host)

    async def _doubt_what_was_cut(self) -> None:
        cut = await self._work.surely(attempts.doubt_what_was_cut)
        if cut:
            self._work.metrics.outcome_unknown(cut)
            log.warning("%d replies were under way at the end; they are looked up", cut)

    async def _unfinished(self) -> AsyncIterator[OutboxRecord]:
        """Everything not done with, in its order, page by page."""

        def page(reader: StoreReader) -> list[OutboxRecord]:
            return reader.outbox_unfinished(after=after, limit=LOAD_PAGE)

        after = (0, "")
        while rows := await self._reads(page):
            for row in rows:
                yield row
            after = (rows[-1].queued_at, rows[-1].id)

    async def _hear_of_instances(self) -> None:
        with self._signals.subscribe() as changed:
            async for name in changed:
                lane = self._lanes.get(name)
                if lane is not None and self._signals.state(name) == "open":
                    lane.opened()

    async def _sweep(self) -> None:
        """Give up what has waited for too long, also while its instance is parked."""
        while True:
            await trio.sleep(SWEEP_S)
            before = self._now() - self._work.rules.max_age_ms
            for lane in list(self._lanes.values()):
                overdue = lane.lane.drop_overdue(before)
                if overdue:
                    await self._work.surely(partial(attempts.expire, outbox_ids=overdue))
                for outbox_id in overdue:
                    self._over(outbox_id)

    def _over(self, outbox_id: str) -> None:
        self._jobs.pop(outbox_id, None)
        self._tell(outbox_id)

    def _tell(self, outbox_id: str) -> None:
        for event in self._waiters.get(outbox_id, ()):
            event.set()
