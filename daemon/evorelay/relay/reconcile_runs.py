"""Who is to be compared with Evolution: at most one comparison under way and one waiting each."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from evorelay.model.clock import utc
from evorelay.model.ids import NewId
from evorelay.model.views import Failure
from evorelay.relay.comparison import Compared
from evorelay.relay.reconcile_questions import ReconcileRun, Trigger

ENDED_KEPT = 8
"""Of each instance, for whoever asks how it went."""


class Run:
    """One comparison of one instance, from being asked for to its end."""

    def __init__(self, id_: str, instance: str, since: int, trigger: Trigger) -> None:
        self.id = id_
        self.instance = instance
        self.since = since
        """Unix ms."""
        self.until: int | None = None
        self.trigger = trigger
        self.is_lasting = False
        """Whether a gap may be behind it: it is tried again until it succeeds."""
        self.failures = 0
        self.not_before = 0.0
        """Trio's clock."""
        self.hurry = trio.Event()
        self.has_begun = False
        self.has_ended = False
        self.found = Compared()
        self.error: Failure | None = None

    def view(self) -> ReconcileRun:
        state = "running" if self.has_begun else "waiting"
        if self.has_ended:
            state = "failed" if self.error else "done"
        return ReconcileRun(
            id=self.id,
            instance=self.instance,
            trigger=self.trigger,
            state=state,  # type: ignore[arg-type]  # one of its four words
            since=utc(self.since),
            until=None if self.until is None else utc(self.until),
            looked_at=self.found.looked_at,
            recovered=self.found.recovered,
            changes=self.found.changes,
            not_understood=self.found.not_understood,
            cut=self.found.is_cut,
            error=self.error,
        )


class _Queue:
    """Of one instance."""

    def __init__(self) -> None:
        self.waiting: Run | None = None
        self.running: Run | None = None
        self.ended: deque[Run] = deque(maxlen=ENDED_KEPT)
        self.has_worker = False
        self.failing_since: float | None = None
        """Trio's clock: since when nothing that was missed can be looked for."""


class Runs:
    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._queues: dict[str, _Queue] = {}
        self._asked = trio.Event()

    def ask(self, instance: str, since: int, trigger: Trigger, *, wait_s: float = 0.0) -> Run:
        """The run that will compare from ``since`` (Unix ms) on, joined to one that does so anyway.

        What a comparison under way covers is joined to it only when a person asks: an instance
        that opened has news since.
        """
        queue = self._queues.setdefault(instance, _Queue())
        if trigger == "command" and queue.running is not None and queue.running.since <= since:
            return queue.running
        run = queue.waiting
        not_before = trio.current_time() + wait_s
        if run is None:
            run = queue.waiting = Run(self._new_id(), instance, since, trigger)
            run.not_before = not_before
        else:
            run.since = min(run.since, since)
            run.trigger = trigger
            run.not_before = min(run.not_before, not_before)
            run.hurry.set()
        run.is_lasting |= trigger != "command"
        self._asked.set()
        return run

    async def idle_with_work(self) -> list[str]:
        """Wait for instances that have a run waiting and nobody to do it."""
        while True:
            self._asked = trio.Event()
            found = [
                name
                for name, queue in self._queues.items()
                if queue.waiting is not None and not queue.has_worker
            ]
            if found:
                for name in found:
                    self._queues[name].has_worker = True
                return found
            await self._asked.wait()

    @contextmanager
    def working(self, instance: str) -> Iterator[None]:
        try:
            yield
        finally:
            self._queues[instance].has_worker = False
            self._asked.set()

    async def next(self, instance: str) -> Run | None:
        """The instance's run when its time has come; None: there is nothing to do."""
        queue = self._queues[instance]
        while (run := queue.waiting) is not None:
            wait_s = run.not_before - trio.current_time()
            if wait_s <= 0:
                return run
            run.hurry = trio.Event()
            with trio.move_on_after(wait_s):
                await run.hurry.wait()
        return None

    def begin(self, run: Run) -> None:
        queue = self._queues[run.instance]
        queue.waiting, queue.running = None, run
        run.has_begun = True

    def end(self, run: Run, *, again_s: float) -> None:
        """It is over. One that failed with a gap behind it waits ``again_s`` for its next turn."""
        queue = self._queues[run.instance]
        queue.running = None
        queue.ended.append(run)
        run.has_ended = True
        if run.error is None or (run.trigger != "command" and not run.is_lasting):
            queue.failing_since = None  # or nobody looks for it any more
        elif run.is_lasting and queue.failing_since is None:
            queue.failing_since = trio.current_time()
        if run.error is not None and run.is_lasting:
            again = self.ask(run.instance, run.since, run.trigger, wait_s=again_s)
            again.is_lasting, again.failures = True, run.failures + 1

    def failing(self) -> list[tuple[str, float, str]]:
        """(instance, for how many seconds, why) where a gap may be and cannot be looked at."""
        now = trio.current_time()
        return [
            (name, now - queue.failing_since, error.message)
            for name, queue in sorted(self._queues.items())
            if queue.failing_since is not None and (error := queue.ended[-1].error) is not None
        ]

    def all(self) -> list[Run]:
        return [
            run
            for _, queue in sorted(self._queues.items())
            for run in (*queue.ended, queue.running, queue.waiting)
            if run is not None
        ]
