"""P6 on the real process: what Evolution never posted is found, once, marked, and counted."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.simulator.controls import Simulator
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.support.daemon import WEBHOOK_SECRET, Daemon
from tests.support.http import ask
from tests.support.posting import get
from tests.support.waiting import eventually

DIALECTS = ("2.3.6 baileys", "1.8.2 baileys", "2.3.6 business")
LONG_S = 600.0


@asynccontextmanager
async def relayed(path: Path, dialect: str) -> AsyncIterator[tuple[Daemon, Simulator]]:
    """A daemon and the one instance of a simulated Evolution that posts to it."""
    daemon = Daemon(path / "state")
    options = SimulatorOptions(
        target=f"{daemon.url}/hook/{WEBHOOK_SECRET}",
        instances=1,
        rate_per_minute=0,
        dialects=(dialect,),
        duplicates=0.0,
        shuffle=0.0,
    )
    async with open_simulator(options) as simulator:
        daemon.settings |= {
            "EVOLUTION__URL": simulator.url,
            "EVOLUTION__API_KEY": simulator.api_key,
        }
        await trio.to_thread.run_sync(daemon.start)
        try:
            yield daemon, simulator
        finally:
            daemon.kill()


async def said(daemon: Daemon) -> list[tuple[str, bool]]:
    """Everything customers wrote: the text, and whether it was recovered."""
    tickets = (await get(daemon, "/v1/tickets?limit=200"))["tickets"]
    found = []
    for ticket in tickets:
        page = await get(daemon, f"/v1/tickets/{ticket['id']}/messages")
        found += [
            (message["content"], message["metadata"].get("recovered", False))
            for message in page["messages"]
        ]
    return found


async def becomes(daemon: Daemon, expected: list[tuple[str, bool]]) -> None:
    async def is_there() -> bool:
        return sorted(await said(daemon)) == sorted(expected)

    await eventually(is_there, what=f"exactly {expected}")


def reconcile(daemon: Daemon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "evorelay", "reconcile", *arguments],
        env=daemon.environ({"COLUMNS": "100"}),
        capture_output=True,
        text=True,
        timeout=60,
    )


async def counted(daemon: Daemon, line: str) -> bool:
    return line.encode() in (await ask(daemon, "GET", "/metrics")).body


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_was_said_while_we_were_dead_is_there_once_and_marked(
    tmp_path: Path, dialect: str
) -> None:
    async with relayed(tmp_path, dialect) as (daemon, simulator):
        [name] = simulator.instances
        await simulator.say(name, "antes")
        await becomes(daemon, [("antes", False)])
        daemon.kill()
        simulator.drop_webhooks(LONG_S)  # Evolution too forgets what it could not post
        for number in range(3):
            await simulator.say(name, f"perdida {number}")
        await trio.to_thread.run_sync(daemon.start)
        lost = [(f"perdida {number}", True) for number in range(3)]
        await becomes(daemon, [("antes", False), *lost])
        assert await counted(daemon, 'evorelay_recovered_total{kind="text"} 3.0')
        simulator.drop_webhooks(0)
        await simulator.say(name, "depois")
        await becomes(daemon, [("antes", False), *lost, ("depois", False)])
        daemon.kill()
        await trio.to_thread.run_sync(daemon.start)

        async def has_looked() -> bool:
            return await counted(daemon, 'runs_total{outcome="done",trigger="start"} 1.0')

        await eventually(has_looked, what="the comparison after the start")
        assert not await counted(daemon, 'evorelay_recovered_total{kind="text"} 1.0')
        await becomes(daemon, [("antes", False), *lost, ("depois", False)])


async def test_the_command_finds_what_was_dropped_and_says_when_it_cannot_ask(
    tmp_path: Path,
) -> None:
    async with relayed(tmp_path, DIALECTS[0]) as (daemon, simulator):
        [name] = simulator.instances
        run = partial(trio.to_thread.run_sync, partial(reconcile, daemon, "--since", "1h"))
        await simulator.say(name, "antes")
        await becomes(daemon, [("antes", False)])
        simulator.drop_webhooks(LONG_S)
        await simulator.say(name, "perdida")
        result = await run()
        assert result.returncode == 0, result.stderr
        assert f"{name}: 2 messages looked at, 1 recovered" in result.stdout
        await becomes(daemon, [("antes", False), ("perdida", True)])
        result = await run()
        assert f"{name}: 2 messages looked at, none was missing" in result.stdout
        simulator.needs_licence = True
        result = await trio.to_thread.run_sync(
            partial(reconcile, daemon, "--since", "1h", "--instance", name, "--json")
        )
        assert result.returncode == 1
        (failed,) = json.loads(result.stdout)["runs"]
        assert (failed["state"], failed["trigger"]) == ("failed", "command")
        assert simulator.api_key not in result.stdout + daemon.log()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--since", "1h", "--instance", "nobody"), 1, "there is no such instance"),
        (("--since", "2099-01-01T00:00:00Z"), 1, "`since` must be in the past"),
        (("--since", "soon"), 2, "is no moment"),
        ((), 2, "--since"),
    ],
)
async def test_the_command_refuses_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    async with relayed(tmp_path, DIALECTS[0]) as (daemon, _):
        result: Any = await trio.to_thread.run_sync(partial(reconcile, daemon, *arguments))
    assert result.returncode == status
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
