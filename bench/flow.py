"""Webhooks in on one side, events out on the other, and the books balanced between them."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

from msgspec import Struct

from bench.daemon import Daemon
from bench.harness import Run
from bench.load.bodies import Audience
from bench.load.poster import Posted, Posting, post
from bench.load.receiver import Channels, Expected, Protocol, Received, Receiving, receive
from bench.load.worker import Worker

STUCK_AFTER_S = 120.0
"""Without any progress for this long the daemon is taken to be stuck; slow is no failure."""
LOOK_EVERY_S = 0.1
"""Between two scrapes of the daemon's lag, which cost it about 2 ms each."""
_WARM_CONNECTIONS = 16


class Flow(Struct, frozen=True):
    """What was posted, what was received, and what it cost the daemon."""

    posted: Posted
    received: Received
    daemon_cpu_s: float

    @property
    def elapsed_s(self) -> float:
        """From the first webhook to the last event at the last receiver."""
        return (self.received.last_ns - self.posted.started_ns) / 1e9


def posting(daemon: Daemon, audience: Audience, *, connections: int, first: int = 0) -> Posting:
    return Posting(
        host=daemon.host,
        port=daemon.port,
        secret=daemon.secret,
        audience=audience,
        connections=connections,
        first=first,
    )


def warm_up(daemon: Daemon, audience: Audience) -> int:
    """Let everybody write once, so that tickets exist; returns the next message's number."""
    count = audience.instances * audience.chats
    post_and_settle(daemon, audience, first=0, count=count)
    return count


def post_and_settle(
    daemon: Daemon,
    audience: Audience,
    *,
    first: int,
    count: int,
    tick: Callable[[], None] | None = None,
) -> Posted:
    """Post ``count`` messages and wait until the store has them all."""
    load = posting(daemon, audience, connections=_WARM_CONNECTIONS, first=first)
    with Worker(post, with_end(load, count=count)) as worker:
        posted = worker.result(tick)
    settle(daemon, tick)
    return posted


def settle(daemon: Daemon, tick: Callable[[], None] | None = None) -> int:
    """Wait until the pipeline has nothing to do; returns how many entries it had to do.

    Raises ``RuntimeError`` when it does not get on.
    """
    first = least = daemon.lag()
    deadline = time.monotonic() + STUCK_AFTER_S
    while least:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the pipeline has been stuck at {least:,} entries")
        if tick is not None:
            tick()
        time.sleep(LOOK_EVERY_S)
        lag = daemon.lag()
        if lag < least:
            least, deadline = lag, time.monotonic() + STUCK_AFTER_S
    return first


def with_end(
    load: Posting, *, seconds: float = 3600.0, count: int = 1 << 62, rate: float | None = None
) -> Posting:
    """The same posting with its end and its pace."""
    return Posting(
        host=load.host,
        port=load.port,
        secret=load.secret,
        audience=load.audience,
        connections=load.connections,
        first=load.first,
        seconds=seconds,
        count=count,
        rate=rate,
    )


def flow(
    daemon: Daemon,
    load: Posting,
    channels: Channels,
    tick: Callable[[], None],
    *,
    protocol: Protocol = "centrifuge",
    before_posting: Callable[[], None] = lambda: None,
) -> Flow:
    """Subscribe, post, and receive until everything accepted has reached everybody."""
    receiving = Receiving(
        host=daemon.host,
        port=daemon.port,
        token=daemon.token(),
        channels=channels,
        protocol=protocol,
    )
    with ExitStack() as stack:
        receiver = stack.enter_context(Worker(receive, receiving, talks=True))
        receiver.hear(tick)
        before_posting()
        cpu_s = daemon.cpu_s()
        poster = stack.enter_context(Worker(post, load))
        posted = poster.result(tick)
        by_instance = Counter(load.audience.instance(number) for number in posted.accepted)
        expected = {f"inbox:{name}": count for name, count in by_instance.items()}
        receiver.tell(Expected(messages=expected, quiet_s=STUCK_AFTER_S))
        received = receiver.result(tick)
        return Flow(posted, received, daemon.cpu_s() - cpu_s)


def check(run: Run, daemon: Daemon, done: Flow) -> None:
    """Every accepted message once at every receiver, offsets contiguous, nothing else."""
    before = len(run.failures)
    posted, received = done.posted, done.received
    run.check(set(posted.statuses) == {200}, f"answers other than 200: {posted.statuses}")
    for problem in received.problems:
        run.check(False, problem)
    run.check(
        received.complete == received.connections,
        f"{received.connections - received.complete} of {received.connections} connections"
        " were not told exactly what was accepted for them",
    )
    run.check_same(sorted(received.numbers), posted.accepted, "accepted and told")
    if len(run.failures) > before:
        run.failures.append(f"the daemon's log ends with:\n{daemon.log()}")
