"""Counting what a receiver was told, exactly, at a cost that leaves the machine to the daemon.

Connections of one audience receive the same bytes. So the first to receive a chunk at some point of
the stream has it parsed and checked; any other that is at the same point and receives a chunk
equal to it, byte for byte, takes the same step. Nothing is assumed: what differs is parsed anew.
"""

from collections.abc import Mapping

from msgspec import Struct

from bench.load.bodies import DUE_NS, WHATSAPP_ID
from bench.load.dialects import Dialect, Told


class Log:
    """Which message each offset of each channel told, agreed on by every connection."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.numbers: dict[tuple[str, int], int] = {}
        """By channel and offset: the message's number, -1 for an event that is no new message."""
        self.problems: list[str] = []

    def agree(self, channel: str, offset: int, number: int) -> None:
        if self.numbers.setdefault((channel, offset), number) != number:
            self.problems.append(f"{channel} at {offset} is not the same for everybody")

    def messages(self) -> list[int]:
        """The numbers of all messages told, one for each offset that told one."""
        return [number for number in self.numbers.values() if number >= 0]


class Point:
    """How far a connection has come: offsets reached, bytes not yet understood, totals."""

    __slots__ = ("_log", "_positions", "_rest", "_steps", "events", "messages")

    def __init__(
        self,
        log: Log,
        positions: Mapping[str, int],
        rest: bytes = b"",
        events: int = 0,
        messages: int = 0,
    ) -> None:
        self._log = log
        self._positions = positions
        self._rest = rest
        self.events = events
        self.messages = messages
        self._steps: dict[int, Step] = {}

    def step(self, data: bytes) -> "Step":
        """What receiving ``data`` here means."""
        known = self._steps.get(len(data))
        if known is None or known.data != data:
            known = self._steps[len(data)] = self._read(data)
        return known

    def _read(self, data: bytes) -> "Step":
        chunk = self._log.dialect.read(self._rest + data)
        positions = dict(self._positions)
        due: list[int] = []
        for told in chunk.told:
            self._take(told, positions, due)
        events, messages = self.events + len(chunk.told), self.messages + len(due)
        point = Point(self._log, positions, chunk.rest, events, messages)
        return Step(data, point, due, chunk.pings, chunk.closed)

    def _take(self, told: Told, positions: dict[str, int], due: list[int]) -> None:
        channel, offset = told.channel, told.offset
        expected = positions.get(channel, 0) + 1
        if offset != expected and (self._log.dialect.gapless or offset < expected):
            self._log.problems.append(f"{channel}: {offset} came for {expected}")
        positions[channel] = offset
        number = -1
        if told.whatsapp_id is not None:
            found = WHATSAPP_ID.fullmatch(told.whatsapp_id)
            timed = DUE_NS.search(told.content)
            if found is None or timed is None:
                self._log.problems.append(f"{channel}: {offset} is no message of ours")
            else:
                number = int(found[1])
                due.append(int(timed[1]))
        self._log.agree(channel, offset, number)


class Step(Struct, frozen=True, gc=False):
    """From one point to the next by a chunk."""

    data: bytes
    point: Point
    due: list[int]
    """When the messages in it were due."""
    pings: int
    closed: str | None
    """The reason, when the daemon closed the connection."""
