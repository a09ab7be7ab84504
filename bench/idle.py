"""What a connected agent costs who is told nothing: memory, and CPU for handshake and pings.

Memory is the daemon's PSS, before and with the connections; the kernel's socket buffers are not in
it. Afterwards one message is posted, to see that every one of them is still there.
"""

import time

from bench.daemon import Daemon
from bench.flow import check, flow, posting, warm_up, with_end
from bench.harness import Run, main
from bench.load.bodies import Audience
from bench.load.wire import open_clients

CONNECTIONS = (1000, 5000)
MESSAGES = 3
_SETTLE_S = 1.0


def bench(run: Run) -> None:
    for connections in (200,) if run.quick else CONNECTIONS:
        _measure(run, connections)


def _measure(run: Run, connections: int) -> None:
    idle_s = run.seconds(30)
    audience = Audience(instances=1, chats=1)
    channels = [(f"inbox:{audience.names[0]}",)] * connections
    with Daemon() as daemon, run.step(f"{connections:,} agents", idle_s + 6) as tick:
        first = warm_up(daemon, audience)
        clients, _ = open_clients(daemon.host, daemon.port, daemon.token(), channels[:50])
        for client in clients:
            client.close()
        time.sleep(_SETTLE_S)
        seen = _Watch(daemon, idle_s)
        load = with_end(posting(daemon, audience, connections=1, first=first), count=MESSAGES)
        done = flow(daemon, load, channels, tick, before_posting=seen.look)
        check(run, daemon, done)
        time.sleep(_SETTLE_S)
        left = daemon.memory_bytes() - seen.memory_before
    run.row(
        f"{connections:,} agents",
        kb_per_connection=round(seen.memory_added / connections / 1000, 1),
        handshake_us=round(seen.cpu_opening_s / connections * 1e6),
        idle_cpu_percent=round(seen.cpu_idle_s / idle_s * 100, 2),
        daemon_mb=round((seen.memory_before + seen.memory_added) / 1e6, 1),
        left_after_mb=round(left / 1e6, 1),
        deliveries=done.received.messages,
    )


class _Watch:
    """What the daemon spends on opening the connections, and then on keeping them."""

    def __init__(self, daemon: Daemon, idle_s: float) -> None:
        self._daemon = daemon
        self._idle_s = idle_s
        self._cpu_before_s = daemon.cpu_s()
        self.memory_before = daemon.memory_bytes()
        self.memory_added = 0
        self.cpu_opening_s = 0.0
        self.cpu_idle_s = 0.0

    def look(self) -> None:
        """Called when all are connected and nothing was posted yet."""
        self.cpu_opening_s = self._daemon.cpu_s() - self._cpu_before_s
        time.sleep(_SETTLE_S)
        before = self._daemon.cpu_s()
        time.sleep(self._idle_s)
        self.cpu_idle_s = self._daemon.cpu_s() - before
        self.memory_added = self._daemon.memory_bytes() - self.memory_before


if __name__ == "__main__":
    main("idle", __doc__, bench)
