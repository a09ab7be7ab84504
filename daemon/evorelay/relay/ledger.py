"""The ledger: the one way to change the store. Decide, commit, publish, in that order.

Whatever asks for a change while another one is being committed shares the next commit: 100 lanes
that record attempts and outcomes cost a few fsyncs and not hundreds. Each work has a draft and a
savepoint of its own, so one that is refused takes nobody else with it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import trio

from evorelay.model.clock import NowMs
from evorelay.model.ids import NewId
from evorelay.model.records import EventRecord
from evorelay.relay.draft import Draft
from evorelay.storage.ports import StoreWriter, Transaction

T = TypeVar("T")

SHARED_MAX = 64
"""Works in one commit: beyond it the first of them would wait for too many others."""


class Publisher(Protocol):
    """The hub, as the ledger knows it."""

    def publish(self, events: Sequence[EventRecord]) -> None: ...


class _RolledBack(Exception):
    """Carries a rehearsal's result out of the transaction that must not commit."""

    def __init__(self, result: Any) -> None:
        self.result = result


class _Change(Generic[T]):
    """One work on its way into a commit."""

    def __init__(self, work: Callable[[Draft], T]) -> None:
        self.work = work
        self.done = trio.Event()
        self._result: T | None = None
        self._error: Exception | None = None

    def resolve(self, result: T | None, error: Exception | None) -> None:
        self._result, self._error = result, error
        self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # resolved without an error: a T


class Ledger:
    def __init__(
        self,
        writer: StoreWriter,
        publisher: Publisher,
        *,
        new_id: NewId,
        now: NowMs,
        on_commit: Callable[[int, float], None] | None = None,
    ) -> None:
        """``on_commit`` is told how many changes shared a commit, and how many seconds it took."""
        self._writer = writer
        self._publisher = publisher
        self._new_id = new_id
        self._now = now
        self._on_commit = on_commit
        self._lock = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._waiting: deque[_Change[Any]] = deque()

    async def change(self, work: Callable[[Draft], T]) -> T:
        """Run ``work`` on a draft, commit it, publish its events; durable and visible on return.

        ``work`` is called in a worker thread and must not keep the draft. An exception in it
        rolls its changes back and is raised here. Cancelling has effect before the start only.
        """
        change = _Change(work)
        self._waiting.append(change)
        try:
            async with self._lock:
                while not change.done.is_set():
                    await self._commit()
        except trio.Cancelled:
            if change in self._waiting:
                self._waiting.remove(change)
                raise
            with trio.CancelScope(shield=True):
                await change.done.wait()
        return change.result()

    async def rehearse(self, work: Callable[[Draft], T]) -> T:
        """Like ``change``, but everything is rolled back and nobody is told.

        What the store would refuse is refused here too.
        """

        def in_transaction(tx: Transaction) -> NoReturn:
            result, _ = self._decide(work, tx)
            raise _RolledBack(result)

        def rehearsed() -> T:
            try:
                self._writer.transact(in_transaction)
            except _RolledBack as end:
                result: T = end.result
                return result

        async with self._lock:
            return await trio.to_thread.run_sync(rehearsed, limiter=self._limiter)

    async def maintain(self, work: Callable[[], int]) -> int:
        """Run housekeeping between changes, on the writer's thread; it tells nobody anything."""
        async with self._lock:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def _decide(self, work: Callable[[Draft], T], tx: Transaction) -> tuple[T, list[EventRecord]]:
        draft = Draft(tx, new_id=self._new_id, now=self._now())
        result = work(draft)
        return result, draft.finish()

    async def _commit(self) -> None:
        """Commit what has waited longest."""
        await trio.lowlevel.checkpoint_if_cancelled()
        changes = [self._waiting.popleft() for _ in range(min(SHARED_MAX, len(self._waiting)))]
        began_at = trio.current_time()
        with trio.CancelScope(shield=True):
            results = await self._committed(changes)
        if self._on_commit is not None:
            self._on_commit(len(changes), trio.current_time() - began_at)
        # No await from here to the last publish: commit order is publish order, and whoever is
        # told that its work is done goes on only after that.
        published: list[EventRecord] = []
        for change, result in zip(changes, results, strict=True):
            if isinstance(result, Exception):
                change.resolve(None, result)
                continue
            value, events = result
            change.resolve(value, None)
            published += events
        if published:
            self._publisher.publish(published)

    async def _committed(
        self, changes: Sequence[_Change[Any]]
    ) -> list[tuple[Any, list[EventRecord]] | Exception]:
        works = [lambda tx, work=change.work: self._decide(work, tx) for change in changes]

        def together() -> list[tuple[Any, list[EventRecord]] | Exception]:
            try:
                if len(works) == 1:
                    return [self._writer.transact(works[0])]
                return self._writer.transact_each(works)
            except Exception as error:  # the commit's own fault, or the only work's
                return [error] * len(works)

        return await trio.to_thread.run_sync(together, limiter=self._limiter)
