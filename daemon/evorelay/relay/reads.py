"""Reads of the store from async code: a bounded pool of readers, each in a worker thread."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from evorelay.storage.ports import StoreReader

T = TypeVar("T")


class Reads:
    def __init__(self, readers: Sequence[StoreReader]) -> None:
        self._idle = list(readers)
        self._limiter = trio.CapacityLimiter(len(readers))

    async def __call__(self, read: Callable[[StoreReader], T]) -> T:
        """Run ``read`` on a reader of its own and return its result.

        Raises ``StoreUnavailable``. Cancelling has effect before the start only: reads are short.
        """
        async with self._limiter:
            reader = self._idle.pop()
            try:
                return await trio.to_thread.run_sync(read, reader)
            finally:
                self._idle.append(reader)
