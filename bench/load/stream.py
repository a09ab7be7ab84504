"""Counting what a receiver was told, exactly, at a cost that leaves the machine to the daemon.

Connections of one audience receive the same bytes. So the first to receive a chunk at some point of
the stream has it parsed and checked; any other that is at the same point and receives a chunk
equal to it, byte for byte, takes the same step. Nothing is assumed: what differs is parsed anew.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from bench.load.bodies import DUE_NS, WHATSAPP_ID
from bench.load.wire import CLOSE, TEXT, split_frames


class _Message(Struct):
    whatsapp_id: str
    content: str


class _Event(Struct):
    type: str
    message: _Message | None = None


class _Publication(Struct):
    data: _Event
    offset: int = 0


class _Push(Struct):
    channel: str
    pub: _Publication | None = None


class _Line(Struct):
    push: _Push | None = None


_decode = msgspec.json.Decoder(_Line).decode


class Log:
    """Which message each offset of each channel told, agreed on by every connection."""

    def __init__(self) -> None:
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
        frames, rest = split_frames(self._rest + data)
        positions = dict(self._positions)
        events, pings, closed = self.events, 0, None
        due: list[int] = []
        for opcode, payload in frames:
            if opcode == CLOSE:
                closed = f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}"
            if opcode != TEXT:
                continue
            for line in payload.split(b"\n"):
                if line == b"{}":
                    pings += 1
                    continue
                push = _decode(line).push
                if push is not None and push.pub is not None:
                    events += 1
                    self._take(push.channel, push.pub, positions, due)
        point = Point(self._log, positions, rest, events, self.messages + len(due))
        return Step(data, point, due, pings, closed)

    def _take(
        self, channel: str, publication: _Publication, positions: dict[str, int], due: list[int]
    ) -> None:
        expected = positions.get(channel, 0) + 1
        if publication.offset != expected:
            self._log.problems.append(f"{channel}: {publication.offset} came for {expected}")
        positions[channel] = publication.offset
        event = publication.data
        number = -1
        if event.type == "message.created" and event.message is not None:
            found = WHATSAPP_ID.fullmatch(event.message.whatsapp_id)
            timed = DUE_NS.search(event.message.content)
            if found is None or timed is None:
                self._log.problems.append(f"{channel}: {publication.offset} is no message of ours")
            else:
                number = int(found[1])
                due.append(int(timed[1]))
        self._log.agree(channel, publication.offset, number)


class Step(Struct, frozen=True, gc=False):
    """From one point to the next by a chunk."""

    data: bytes
    point: Point
    due: list[int]
    """When the messages in it were due."""
    pings: int
    closed: str | None
    """The reason, when the daemon closed the connection."""
