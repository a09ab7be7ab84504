"""Restarts under load, through the socket systemd holds: who waits how long, and what is lost.

300 webhooks a second from 30 senders, 50 agents on the official SDK with its own delays, ten
restarts. By default this process stands in for systemd. On a machine where the service is
installed, and only there, its own restart is measured:

    BENCH_RESTART="systemctl restart evorelay" BENCH_STATE_DIR=/var/lib/evorelay \\
        python -m bench.restarts
"""

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jwt
import trio
from msgspec import Struct

from bench.harness import Run, latency_figures, main
from tests.interop.crowd import Crowd, crowd_at
from tests.support.activated import socket_unit
from tests.support.daemon import token
from tests.support.http import Connection
from tests.support.steady_load import SteadyLoad
from tests.support.webhooks import PATH, as_body, text_message

RATE = 300.0
AGENTS = 50
SENDERS = 30
INSTANCES = 10


class Service(Struct, frozen=True):
    """A running daemon that can be restarted."""

    host: str
    port: int
    webhook: str
    """The path with the secret."""
    token: str
    restart: Callable[[], object]
    """Blocks until the next one is ready."""


@contextmanager
def _service() -> Iterator[Service]:
    command = os.environ.get("BENCH_RESTART")
    if command is not None:
        yield _installed(command, Path(os.environ["BENCH_STATE_DIR"]))
        return
    with (
        tempfile.TemporaryDirectory(prefix="evorelay-bench-") as directory,
        socket_unit(Path(directory) / "state") as daemon,
    ):
        daemon.activate()
        yield Service(daemon.host, daemon.port, PATH, token(), daemon.restart)


def _installed(command: str, state_dir: Path) -> Service:
    secrets = json.loads((state_dir / "secrets.json").read_text())
    grant = {"evorelay": {"role": "admin", "instances": "*"}}
    claims = {"sub": "bench", "exp": int(time.time()) + 3600, "app_metadata": grant}
    return Service(
        "127.0.0.1",
        4000,
        f"/hook/{secrets['webhook_secret']}",
        jwt.encode(claims, secrets["jwt_secret"], algorithm="HS256"),
        lambda: subprocess.run(shlex.split(command), check=True),
    )


def bench(run: Run) -> None:
    with _service() as service:
        trio.run(_measure, run, service)


async def _measure(run: Run, service: Service) -> None:
    restarts = 2 if run.quick else 10
    load = SteadyLoad(
        service.host, service.port, service.webhook, rate=RATE, senders=SENDERS, instances=INSTANCES
    )
    await _open_inboxes(service, load)
    url = f"ws://{service.host}:{service.port}/connection/websocket"
    async with crowd_at(url, service.token, load, size=AGENTS) as agents:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            with run.step(f"{restarts} restarts at {RATE:g}/s", restarts * 4.0) as tick:
                gone_s, back_s = [], []
                for _ in range(restarts):
                    await load.catches_up(30.0)
                    tick()
                    gone, back = await _restart(service, agents)
                    gone_s.append(gone)
                    back_s.append(back)
                await load.catches_up(30.0)
            load.stop_asap()
        problems = await agents.problems(load)
    run.check(not problems, "; ".join(problems[:5]))
    refused = load.outcomes["refused"]
    run.check(not refused, f"{refused} connections were refused")
    run.row(
        f"{restarts} restarts",
        restart_mean_s=round(sum(gone_s) / restarts, 2),
        agents_back_mean_s=round(sum(back_s) / restarts, 2),
        agents_back_max_s=round(max(back_s), 2),
        webhooks=len(load.latencies),
        **latency_figures([int(seconds * 1e9) for seconds in load.latencies]),
        sent_again=load.outcomes.total() - len(load.latencies),
    )


async def _restart(service: Service, agents: Crowd) -> tuple[float, float]:
    """Seconds until the next one was ready, and until the last agent had what it missed."""
    began_ms = time.time_ns() // 1_000_000
    await trio.to_thread.run_sync(service.restart)
    ready_ms = time.time_ns() // 1_000_000
    last_ms = await agents.all_back(began_ms)
    return (ready_ms - began_ms) / 1000, (last_ms - began_ms) / 1000


async def _open_inboxes(service: Service, load: SteadyLoad) -> None:
    """An inbox exists once somebody has written to it."""
    async with await trio.open_tcp_stream(service.host, service.port) as stream:
        connection = Connection(stream)
        for n in range(INSTANCES):
            webhook = text_message(f"FIRST{time.time_ns()}", "oi", instance=load.instance(n))
            reply = await connection.ask("POST", service.webhook, as_body(webhook))
            if reply.status != 200:
                raise RuntimeError(f"a webhook was answered {reply.status}")


if __name__ == "__main__":
    main("restarts", __doc__, bench)
