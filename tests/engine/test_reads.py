"""Reads from async code: bounded by the readers there are, each in one thread at a time."""

import threading
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.model.errors import StoreUnavailable
from evorelay.relay.reads import Reads


class Reader:
    """Notices when two threads use it at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def look(self) -> int:
        assert self.lock.acquire(blocking=False)
        try:
            assert self.may_go_on.wait(10)
            return threading.get_ident()
        finally:
            self.lock.release()


def make(count: int) -> tuple[Reads, list[Any]]:
    readers: list[Any] = [Reader() for _ in range(count)]
    return Reads(readers), readers


async def test_many_reads_share_few_readers() -> None:
    """P5: a storm of reads waits in order; no reader is used twice at once."""
    reads, _ = make(2)
    seen: list[Any] = []

    async def read() -> None:
        seen.append(await reads(lambda reader: reader.look()))  # type: ignore[attr-defined]  # a stand-in with one method

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(read)
    assert len(seen) == 100


async def test_a_read_runs_outside_of_the_event_loop() -> None:
    """P5: a slow disk stops nobody who needs none."""
    reads, (reader,) = make(1)
    reader.may_go_on.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reads, lambda reader: reader.look())
        await trio.testing.wait_all_tasks_blocked()
        reader.may_go_on.set()
    assert threading.get_ident() != await reads(lambda reader: reader.look())  # type: ignore[attr-defined]  # as above


async def test_a_failed_read_gives_its_reader_back() -> None:
    reads, _ = make(1)

    def fail(_: object) -> None:
        raise StoreUnavailable("disk")

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await reads(fail)
    assert await reads(lambda _: 7) == 7


async def test_cancelled_reads_give_their_readers_back() -> None:
    reads, (reader,) = make(1)
    reader.may_go_on.clear()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(reads, lambda reader: reader.look())
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        reader.may_go_on.set()
    assert await reads(lambda _: 7) == 7
