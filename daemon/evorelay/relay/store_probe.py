"""Asking the store how it is: a read and a change every few seconds, as agents need them."""

import trio

from evorelay.model.clock import NowMs
from evorelay.model.errors import RelayError
from evorelay.model.records import InstanceRecord
from evorelay.relay.ledger import Ledger
from evorelay.relay.progress import Steady
from evorelay.relay.reads import Reads
from evorelay.storage.ports import Maintenance, StoreReader

PROBE_EVERY_S = 10.0
FIRST_EVERY_S = 1.0
"""Until there are enough for a reading."""
SAMPLES = 3
HOLD_S = 30.0
HOUR_MS = 3_600_000


class _Probe:
    """One kind of probe: how long it takes, and why it failed."""

    def __init__(self) -> None:
        self._steady = Steady(SAMPLES, HOLD_S)
        self._began_at: float | None = None
        self._count = 0
        self.error: str | None = None

    def begin(self) -> None:
        self._began_at = trio.current_time()

    def end(self, error: RelayError | None) -> None:
        assert self._began_at is not None
        now = trio.current_time()
        self._steady.observe(now - self._began_at, now)
        self._began_at = None
        self.error = None if error is None else str(error)

    async def pause(self) -> None:
        self._count += 1
        await trio.sleep(FIRST_EVERY_S if self._count < SAMPLES else PROBE_EVERY_S)

    @property
    def seconds(self) -> float:
        """What it takes as a rule, or the one under way has taken so far."""
        now = trio.current_time()
        under_way = 0.0 if self._began_at is None else now - self._began_at
        return max(self._steady.value(now), under_way)


class StoreProbe:
    """A part of health. What it reads on the way is there for others to look at."""

    def __init__(
        self, reads: Reads, ledger: Ledger, maintenance: Maintenance, *, now: NowMs
    ) -> None:
        self._reads = reads
        self._ledger = ledger
        self._maintenance = maintenance
        self._now = now
        self.reading = _Probe()
        self.writing = _Probe()
        self.instances: list[InstanceRecord] = []
        self.quarantined = 0
        """Webhooks set aside within the last hour, 1,000 at most."""
        self.failed = 0
        """Replies given up within the last hour, 1,000 at most."""

    async def run(self) -> None:
        """Until cancelled. Reads and changes by themselves: either may hang."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_again_and_again)
            nursery.start_soon(self._write_again_and_again)

    async def _read_again_and_again(self) -> None:
        while True:
            self.reading.begin()
            try:
                self.instances, self.quarantined, self.failed = await self._reads(self._look)
            except RelayError as error:
                self.reading.end(error)
            else:
                self.reading.end(None)
            await self.reading.pause()

    def _look(self, reader: StoreReader) -> tuple[list[InstanceRecord], int, int]:
        since = self._now() - HOUR_MS
        return reader.instances(), reader.quarantined_since(since), reader.failed_since(since)

    async def _write_again_and_again(self) -> None:
        while True:
            self.writing.begin()
            try:
                await self._ledger.maintain(lambda: self._maintenance.touch(self._now()))
            except RelayError as error:
                self.writing.end(error)
            else:
                self.writing.end(None)
            await self.writing.pause()
