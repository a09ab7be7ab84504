"""A process that holds many connections and counts every event on each of them."""

import gc
import select
import time
from array import array
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Literal

from msgspec import Struct

from bench.load.dialects import CENTRIFUGE, POLLING, SOCKETIO, Dialect
from bench.load.socketio import PollingClient, open_pollers, open_websockets
from bench.load.stream import Log, Point
from bench.load.wire import WebSocket, open_clients

READ_BYTES = 1 << 18
_PROBLEMS_KEPT = 20
Channels = Sequence[tuple[str, ...]]
"""What each connection subscribes to."""
Protocol = Literal["centrifuge", "socketio", "polling"]
"""How to connect: the last two are Socket.IO, over WebSocket and by long-polling."""


class Receiving(Struct, frozen=True, kw_only=True):
    """Whom to be: one connection for each tuple of channels."""

    host: str
    port: int
    token: str
    channels: Channels
    protocol: Protocol = "centrifuge"


class Expected(Struct, frozen=True, kw_only=True):
    """When to stop: every connection was told as many new messages as were accepted for it."""

    messages: dict[str, int]
    """By channel, since the connections were opened."""
    quiet_s: float
    """Give up when nothing came for this long."""


class Received(Struct, frozen=True, kw_only=True):
    """What came. Times are of ``time.monotonic_ns``, latencies nanoseconds."""

    connections: int
    deliveries: int
    """Events over all connections."""
    messages: int
    """New messages over all connections."""
    complete: int
    """Connections that were told all that was expected."""
    numbers: "array[int]"
    """Message numbers, once for each offset of a channel that told one, whoever received it."""
    polls: int
    """Answers to GETs, by long-polling."""
    problems: list[str]
    """Gaps, repetitions, disagreements, closed connections."""
    last_ns: int
    """When the last event came."""
    latencies: "array[int]"
    """From being due to being received, of each new message at each connection."""
    cpu_s: float
    """CPU time this process took while receiving."""


def receive(receiving: Receiving, control: Connection) -> Received:
    """Open the connections, say ``"ready"``, receive until what ``control`` brings is there."""
    gc.disable()  # nothing here makes cycles, and a collection would be measured as latency
    opened = _open(receiving)
    control.send("ready")
    holder = _Holder(opened, receiving.channels)
    return holder.run(control)


class _Opened(Struct):
    dialect: Dialect
    clients: Sequence[WebSocket | PollingClient]
    positions: Sequence[dict[str, int]]
    """By channel, what each connection has already."""


def _open(receiving: Receiving) -> _Opened:
    where = (receiving.host, receiving.port, receiving.token, receiving.channels)
    none: list[dict[str, int]] = [{} for _ in receiving.channels]
    match receiving.protocol:
        case "centrifuge":
            clients, positions = open_clients(*where)
            return _Opened(CENTRIFUGE, clients, positions)
        case "socketio":
            return _Opened(SOCKETIO, open_websockets(*where), none)
        case "polling":
            return _Opened(POLLING, open_pollers(*where), none)


class _Holder:
    def __init__(self, opened: _Opened, channels: Channels) -> None:
        clients = opened.clients
        self._log = Log(opened.dialect)
        self._clients = {client.socket.fileno(): client for client in clients}
        self._channels = dict(zip(self._clients, channels, strict=True))
        starts: dict[str, Point] = {}
        self._points: dict[int, Point] = {}
        for fd, at, client in zip(self._clients, opened.positions, clients, strict=True):
            assert not client.pending, "an event came before the load began"
            start = Point(self._log, at, client.rest)
            self._points[fd] = starts.setdefault(f"{at} {client.rest!r}", start)
        self._arrivals: list[tuple[int, list[int]]] = []
        """When a chunk came, and when the messages in it were due."""
        self._last_ns = 0
        self._told_ns = 0
        """When we were told what to expect."""

    def run(self, control: Connection) -> Received:
        cpu = time.process_time()
        epoll = select.epoll()
        epoll.register(control.fileno(), select.EPOLLIN)
        for fd, client in self._clients.items():
            client.socket.setblocking(False)
            epoll.register(fd, select.EPOLLIN)
        expected: Expected | None = None
        while expected is None or not (self._is_complete(expected) or self._is_quiet(expected)):
            for fd, _ in epoll.poll(0.05 if expected else 1.0):
                if fd in self._clients:
                    if not self._read(fd):
                        epoll.unregister(fd)
                else:
                    expected = control.recv()
                    assert isinstance(expected, Expected)
                    self._told_ns = time.monotonic_ns()
                    epoll.unregister(control.fileno())
        cpu = time.process_time() - cpu
        epoll.close()
        return self._result(expected, cpu)

    def _read(self, fd: int) -> bool:
        """Take what one connection has; False when it is over."""
        client = self._clients[fd]
        try:
            data = client.socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            self._log.problems.append("the daemon dropped a connection")
            return False
        chunk = client.take(data)
        if chunk is None:
            return True
        now = time.monotonic_ns()
        before = self._points[fd]
        step = before.step(chunk)
        self._points[fd] = step.point
        if step.point.events > before.events:
            self._last_ns = now
        if step.due:
            self._arrivals.append((now, step.due))
        if step.pings:
            client.pong()
        if step.closed is not None:
            self._log.problems.append(f"the daemon closed a connection: {step.closed}")
            return False
        client.proceed()
        return True

    def _wanted(self, fd: int, expected: Expected) -> int:
        return sum(expected.messages.get(channel, 0) for channel in self._channels[fd])

    def _is_quiet(self, expected: Expected) -> bool:
        silent_ns = time.monotonic_ns() - max(self._last_ns, self._told_ns)
        return silent_ns > expected.quiet_s * 1e9

    def _is_complete(self, expected: Expected) -> bool:
        return all(
            point.messages >= self._wanted(fd, expected) for fd, point in self._points.items()
        )

    def _result(self, expected: Expected | None, cpu_s: float) -> Received:
        points = self._points
        complete = [
            fd
            for fd, point in points.items()
            if expected is None or point.messages == self._wanted(fd, expected)
        ]
        latencies = array("Q", (now - due for now, many in self._arrivals for due in many))
        for client in self._clients.values():
            client.close()
        return Received(
            connections=len(points),
            deliveries=sum(point.events for point in points.values()),
            messages=sum(point.messages for point in points.values()),
            complete=len(complete),
            numbers=array("Q", self._log.messages()),
            polls=sum(client.polls for client in self._clients.values()),
            problems=self._log.problems[:_PROBLEMS_KEPT],
            last_ns=self._last_ns,
            latencies=latencies,
            cpu_s=cpu_s,
        )
