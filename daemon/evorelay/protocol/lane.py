"""What an instance's lane does next: conversations in order, several at once, paced (P4, P5).

Plain decisions over plain data: no IO, no clock, no task. A conversation with something to do is
in exactly one place: under way, ready to send, ready to be looked up, or waiting for its moment.
"""

from collections import deque
from collections.abc import Callable, Collection
from heapq import heapify, heappop, heappush
from math import inf
from typing import Literal

from msgspec import Struct

from evorelay.protocol.pacing import Held, Pace, TokenBucket

RECIPIENTS_MAX = 10_000
"""Buckets kept; those that are full again are forgotten first."""
LOOKS_MAX = 4
"""Commands of one instance that are looked up at once, beside what is being sent."""
Stage = Literal["send", "look"]


class Job(Struct, kw_only=True, eq=False):
    """A command on its way."""

    id: str
    type: str = "text"
    """Of the message, for metrics."""
    conversation: str
    place: tuple[int, str]
    """(queued_at, id): its turn, in its conversation and among the others."""
    stage: Stage = "send"
    due: float = 0.0
    """Not before then, on the lane's clock."""
    failures: int = 0
    is_new: bool = False
    """The first message to somebody who never wrote."""


class Lane:
    def __init__(
        self, pace: Pace, *, in_flight_max: int, recipient_rate: float, recipient_burst: int
    ) -> None:
        self._pace = pace
        self._in_flight_max = in_flight_max
        self._recipient_rate = recipient_rate
        self._recipient_burst = recipient_burst
        self._recipients: dict[str, TokenBucket] = {}
        self._conversations: dict[str, deque[Job]] = {}
        self._ready: dict[Stage, list[tuple[tuple[int, str], str]]] = {"send": [], "look": []}
        self._later: list[tuple[float, str]] = []
        self._busy: dict[str, int] = {}
        """Commands under way, by conversation; more than one only where two became one."""
        self._under_way: dict[Stage, int] = {"send": 0, "look": 0}
        self.waiting = 0
        """Commands that are not finished, those under way included."""
        self.paced = Held()
        """By the instance's pace, each command once, counted when it goes."""
        self.paced_recipients = Held()
        """By a recipient's, counted when it has to wait."""
        self._held_since: float | None = None

    @property
    def sending(self) -> int:
        return self._under_way["send"]

    @property
    def oldest(self) -> int | None:
        """When the command that waits longest was queued (Unix ms)."""
        heads = (jobs[0].place[0] for jobs in self._conversations.values())
        return min(heads, default=None)

    def tokens(self, now: float) -> float:
        return self._pace.tokens(now)

    def add(self, job: Job) -> None:
        """At the end of its conversation."""
        self.waiting += 1
        jobs = self._conversations.get(job.conversation)
        if jobs is not None:
            jobs.append(job)
            return
        self._conversations[job.conversation] = deque([job])
        heappush(self._later, (job.due, job.conversation))

    def next(self, now: float, now_ms: int, *, may_send: bool) -> Job | float:
        """The command to begin now, or how many seconds nothing will change by itself."""
        while self._later and self._later[0][0] <= now:
            _, conversation = heappop(self._later)
            head = self._conversations[conversation][0]
            heappush(self._ready[head.stage], (head.place, conversation))
        if self._ready["look"] and self._under_way["look"] < LOOKS_MAX:
            return self._begin("look")
        if may_send:
            wait = self._wait_to_send(now, now_ms)
            if wait == 0.0:
                self._take(now)
                return self._begin("send")
        else:
            wait, self._held_since = inf, None  # not held by the pace
        return min(wait, self._later[0][0] - now if self._later else inf)

    def finish(self, job: Job) -> None:
        """It is done with, however it ended: its conversation goes on."""
        self.waiting -= 1
        self._under_way[job.stage] -= 1
        self._conversations[job.conversation].remove(job)
        self._free(job.conversation)

    def again(self, job: Job, stage: Stage, due: float) -> None:
        """It is not done with: its conversation waits for it."""
        self._under_way[job.stage] -= 1
        job.stage, job.due = stage, due
        self._free(job.conversation)

    def merge(self, kept: str, absorbed: str) -> None:
        """Two conversations turned out to be one person's: one queue, in order of ``place``."""
        moved = self._conversations.pop(absorbed, None)
        if moved is None:
            return
        for job in moved:
            job.conversation = kept
        jobs = [*moved, *self._conversations.get(kept, ())]
        self._conversations[kept] = deque(sorted(jobs, key=lambda job: job.place))
        busy = self._busy.pop(absorbed, 0)
        if busy:
            self._busy[kept] = self._busy.get(kept, 0) + busy
        self._recipients.pop(absorbed, None)
        self._forget({absorbed, kept})

    def hurry(self, job: Job, now: float) -> None:
        """Look it up at once, if it is waiting for its next look."""
        entry = (job.due, job.conversation)
        if job.stage == "look" and entry in self._later:
            job.due = now
            self._later[self._later.index(entry)] = (now, job.conversation)
            heapify(self._later)

    def drop_overdue(self, before_ms: int) -> list[str]:
        """Take out what was queued before then and is not under way; their ids."""
        return self._drop(lambda job: job.stage == "send" and job.place[0] < before_ms)

    def drop(self, ids: Collection[str]) -> list[str]:
        """Take out these, where they are not under way; which ones were here."""
        return self._drop(lambda job: job.id in ids)

    def _drop(self, is_doomed: Callable[[Job], bool]) -> list[str]:
        """From the front of each conversation as many as go, in those that are not under way."""
        dropped: list[str] = []
        touched: set[str] = set()
        for conversation, jobs in self._conversations.items():
            if conversation in self._busy:
                continue
            while jobs and is_doomed(jobs[0]):
                dropped.append(jobs.popleft().id)
                touched.add(conversation)
        if touched:
            self._forget(touched)
        self.waiting -= len(dropped)
        return dropped

    def _forget(self, touched: set[str]) -> None:
        """Give these conversations their place anew: another command is their first now."""
        for ready in self._ready.values():
            ready[:] = [entry for entry in ready if entry[1] not in touched]
            heapify(ready)
        self._later = [entry for entry in self._later if entry[1] not in touched]
        heapify(self._later)
        for conversation in touched:
            self._enter(conversation)

    def _wait_to_send(self, now: float, now_ms: int) -> float:
        """Seconds until a message may be begun: 0 when the first ready one may, now."""
        ready = self._ready["send"]
        if not ready:
            self._held_since = None
        while ready and self.sending < self._in_flight_max:
            wait = self._pace.wait(now, now_ms)
            if wait > 0:
                self._held_since = now if self._held_since is None else self._held_since
                return wait
            conversation = ready[0][1]
            job = self._conversations[conversation][0]
            own = self._bucket(conversation, now).wait(now)
            if job.is_new:
                own = max(own, self._pace.wait_new(now_ms))
            if own == 0:
                return 0.0
            heappop(ready)
            heappush(self._later, (now + own, conversation))
            self.paced_recipients.add(own)
        return inf

    def _take(self, now: float) -> None:
        conversation = self._ready["send"][0][1]
        job = self._conversations[conversation][0]
        if self._held_since is not None:
            self.paced.add(now - self._held_since)
            self._held_since = None
        self._pace.take(now, is_new=job.is_new)
        self._bucket(conversation, now).take(now)

    def _begin(self, stage: Stage) -> Job:
        _, conversation = heappop(self._ready[stage])
        self._under_way[stage] += 1
        self._busy[conversation] = 1
        return self._conversations[conversation][0]

    def _free(self, conversation: str) -> None:
        """One of its commands is no longer under way; with the last of them it goes on."""
        self._busy[conversation] -= 1
        if not self._busy[conversation]:
            del self._busy[conversation]
            self._enter(conversation)

    def _enter(self, conversation: str) -> None:
        """Give a conversation its place by its first command; none if it has none."""
        jobs = self._conversations.get(conversation)
        if jobs is None or conversation in self._busy:
            return
        if jobs:
            heappush(self._later, (jobs[0].due, conversation))
        else:
            del self._conversations[conversation]

    def _bucket(self, conversation: str, now: float) -> TokenBucket:
        bucket = self._recipients.get(conversation)
        if bucket is None:
            if len(self._recipients) >= RECIPIENTS_MAX:
                self._recipients = {
                    name: known
                    for name, known in self._recipients.items()
                    if not known.is_full(now)
                }
            bucket = TokenBucket(self._recipient_rate, self._recipient_burst, now)
            self._recipients[conversation] = bucket
        return bucket
