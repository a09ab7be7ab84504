"""Posts webhooks over keep-alive connections, one request under way on each, as Evolution does.

Closed loop (``rate=None``): each connection posts again as soon as it is answered. Open loop: the
n-th message is due at ``start + n / rate`` whether or not the daemon keeps up, and its timestamp is
when it was due, so that waiting for a slow daemon counts as latency.
"""

import gc
import select
import socket
import time
from array import array
from collections import Counter, deque

from msgspec import Struct

from bench.load.bodies import Audience, Requests

ANSWER_WITHIN_S = 120.0
"""A daemon that answers nothing for this long has failed the bench."""


class Posting(Struct, frozen=True, kw_only=True):
    """What to post. Ends after ``seconds`` or ``count`` messages, whichever comes first."""

    host: str
    port: int
    secret: str
    audience: Audience
    connections: int
    first: int = 0
    """Number of the first message; the others follow."""
    seconds: float = 3600.0
    count: int = 1 << 62
    rate: float | None = None
    """Messages per second; None posts as fast as the answers come."""


class Posted(Struct, frozen=True, kw_only=True):
    """What became of it. Times are of ``time.monotonic_ns``, latencies nanoseconds."""

    first: int
    seqs: "array[int]"
    """Journal seq by message number minus ``first``; 0 where the answer was not 200."""
    statuses: dict[int, int]
    started_ns: int
    ended_ns: int
    latencies: "array[int]"
    """From being due to being answered, of each 200."""
    cpu_s: float
    """CPU time this generator took itself."""

    @property
    def sent(self) -> int:
        return len(self.seqs)

    @property
    def accepted(self) -> list[int]:
        """Numbers of the messages that were answered 200."""
        return [number for number, seq in enumerate(self.seqs, self.first) if seq]

    @property
    def in_journal_order(self) -> list[int]:
        """The same, as the daemon committed them: several connections overtake each other."""
        return sorted(self.accepted, key=lambda number: self.seqs[number - self.first])

    @property
    def elapsed_s(self) -> float:
        return (self.ended_ns - self.started_ns) / 1e9


def post(posting: Posting) -> Posted:
    """Run a posting to its end. Raises ``OSError`` and ``ConnectionError`` when it cannot go on."""
    gc.disable()  # nothing here makes cycles, and a collection would be measured as latency
    run = _Run(posting)
    try:
        return run.go()
    finally:
        run.close()


class _Run:
    def __init__(self, posting: Posting) -> None:
        self._posting = posting
        self._requests = Requests(
            posting.audience, host=f"{posting.host}:{posting.port}", secret=posting.secret
        )
        self._sockets = {}
        self._epoll = select.epoll()
        for _ in range(posting.connections):
            sock = socket.create_connection((posting.host, posting.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[sock.fileno()] = sock
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._under_way: dict[int, tuple[int, int]] = {}
        """By connection: index and due time of its message."""
        self._received: dict[int, bytes] = {}
        self._seqs = array("Q")
        self._latencies = array("Q")
        self._statuses: Counter[int] = Counter()

    def close(self) -> None:
        self._epoll.close()
        for sock in self._sockets.values():
            sock.close()

    def go(self) -> Posted:
        posting = self._posting
        cpu = time.process_time()
        start = time.monotonic_ns()
        until = start + int(posting.seconds * 1e9)
        step_ns = 1e9 / posting.rate if posting.rate else 0.0
        idle = deque(self._sockets)
        ended = start
        while True:
            wait_s = ANSWER_WITHIN_S
            while idle:
                index = len(self._seqs)
                now = time.monotonic_ns()
                due = start + int(index * step_ns) if step_ns else now
                if index >= posting.count or due >= until:
                    break
                if due > now:
                    wait_s = (due - now) / 1e9
                    break
                self._send(idle.popleft(), index, due)
            if not self._under_way and wait_s == ANSWER_WITHIN_S:
                break
            ready = self._epoll.poll(wait_s)
            if not ready and wait_s == ANSWER_WITHIN_S:
                raise TimeoutError(f"no answer within {ANSWER_WITHIN_S:.0f} s")
            for fd, _ in ready:
                if self._receive(fd):
                    idle.append(fd)
            ended = time.monotonic_ns()
        return Posted(
            first=posting.first,
            seqs=self._seqs,
            statuses=dict(self._statuses),
            started_ns=start,
            ended_ns=ended,
            latencies=self._latencies,
            cpu_s=time.process_time() - cpu,
        )

    def _send(self, fd: int, index: int, due: int) -> None:
        self._seqs.append(0)
        self._under_way[fd] = (index, due)
        # Blocking, but never blocks: one request is far smaller than a socket's buffer.
        self._sockets[fd].sendall(self._requests.request(self._posting.first + index, due))

    def _receive(self, fd: int) -> bool:
        """Take bytes of an answer; whether it is complete and the connection idle again."""
        data = self._sockets[fd].recv(65536)
        if not data:
            raise ConnectionError("the daemon closed a webhook connection")
        if fd in self._received:
            data = self._received.pop(fd) + data
        head, separator, body = data.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            self._received[fd] = data
            return False
        index, due = self._under_way.pop(fd)
        status = int(head[9:12])
        self._statuses[status] += 1
        if status == 200:
            self._seqs[index] = int(body[body.index(b'"seq":') + 6 :].partition(b",")[0])
            self._latencies.append(time.monotonic_ns() - due)
        return True


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + 15
    return int(head[start:].partition(b"\r\n")[0])
