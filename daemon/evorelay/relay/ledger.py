"""The ledger: the one way to change the store. Decide, commit, publish, in that order.

Work runs in a thread inside one transaction; its events are published when the commit returned,
in commit order, because the next work waits for the lock until then.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

import trio

from evorelay.model.clock import NowMs
from evorelay.model.ids import NewId
from evorelay.model.records import EventRecord
from evorelay.relay.draft import Draft
from evorelay.storage.ports import StoreWriter, Transaction

T = TypeVar("T")


class Publisher(Protocol):
    """The hub, as the ledger knows it."""

    def publish(self, events: Sequence[EventRecord]) -> None: ...


class _RolledBack(Exception):
    """Carries a rehearsal's result out of the transaction that must not commit."""

    def __init__(self, result: Any) -> None:
        self.result = result


class Ledger:
    def __init__(
        self, writer: StoreWriter, publisher: Publisher, *, new_id: NewId, now: NowMs
    ) -> None:
        self._writer = writer
        self._publisher = publisher
        self._new_id = new_id
        self._now = now
        self._lock = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)

    async def change(self, work: Callable[[Draft], T]) -> T:
        """Run ``work`` on a draft, commit it, publish its events; durable and visible on return.

        ``work`` is called in a worker thread and must not keep the draft. An exception in it
        rolls everything back and is raised here. Cancelling has effect before the start only.
        """

        def in_transaction(tx: Transaction) -> tuple[T, list[EventRecord]]:
            draft = Draft(tx, new_id=self._new_id, now=self._now())
            result = work(draft)
            return result, draft.finish()

        async with self._lock:
            result, events = await trio.to_thread.run_sync(
                self._writer.transact, in_transaction, limiter=self._limiter
            )
            # No await between commit and publish: commit order is publish order.
            if events:
                self._publisher.publish(events)
        return result

    async def rehearse(self, work: Callable[[Draft], T]) -> T:
        """Like ``change``, but everything is rolled back and nobody is told.

        What the store would refuse is refused here too.
        """

        def in_transaction(tx: Transaction) -> NoReturn:
            draft = Draft(tx, new_id=self._new_id, now=self._now())
            result = work(draft)
            draft.finish()
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
