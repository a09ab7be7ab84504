"""Running a simulated Evolution API: ``run`` for programs, ``main`` for the command line."""

import math
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import trio
from msgspec.structs import asdict, replace

from evorelay.model.errors import ConfigError
from evorelay.simulator.controls import Simulator
from evorelay.simulator.http import open_poster
from evorelay.simulator.ledger import Ledger, Totals
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.world import World

REPORT_EVERY_S = 1.0


async def run(
    options: SimulatorOptions,
    *,
    listener: socket.socket | None = None,
    on_start: Callable[[Simulator], None] | None = None,
    on_progress: Callable[[Totals], None] | None = None,
    task_status: trio.TaskStatus[Simulator] = trio.TASK_STATUS_IGNORED,
) -> Totals:
    """Emit webhooks for the duration, or until cancelled, and return what became of them.

    Starts with the simulator, whose ``url`` is empty when it has no REST API. ``listener``: a
    socket that listens already, in place of ``options.listen``; it is taken over. ``on_progress``
    is called every second and once more at the end, also when cancelled: what is under way then is
    given up and stays counted as in flight. Raises ``ConfigError`` when the port to listen on
    cannot be had.
    """
    report = on_progress or (lambda totals: None)
    async with open_poster(options.max_in_flight) as post:
        world = World(options, post, listener)
        ledger = world.simulator.ledger
        serve_rest = world.rest_server(options)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_report_every_second, ledger, report)
                async with trio.open_nursery() as work, world.emit:
                    work.start_soon(world.deliver)
                    async with trio.open_nursery() as sources:
                        if serve_rest is not None:
                            world.simulator.serves_at(await sources.start(serve_rest))
                        task_status.started(world.simulator)
                        if on_start is not None:
                            on_start(world.simulator)
                        with trio.move_on_after(options.duration_s or math.inf):
                            await world.play(options)
                        sources.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
        finally:
            report(replace(ledger.totals))
    return ledger.totals


@asynccontextmanager
async def open_simulator(options: SimulatorOptions) -> AsyncIterator[Simulator]:
    """A simulator within this process, for tests; leaving ends it and gives up what is under way.

    Its instances are as open as they get: ``options.listen`` may be left out, a free port is taken.
    """
    if options.listen is None:
        options = replace(options, listen="127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        simulator: Simulator = await nursery.start(partial(run, options))
        yield simulator
        nursery.cancel_scope.cancel()


async def _report_every_second(ledger: Ledger, report: Callable[[Totals], None]) -> None:
    while True:
        report(replace(ledger.totals))
        await trio.sleep(REPORT_EVERY_S)


def main(options: SimulatorOptions, *, json_output: bool) -> int:
    """Run until the duration is over or SIGINT / SIGTERM, then print the totals.

    Returns 0, or 1 when webhooks were emitted and none was accepted. Raises ``ConfigError``.
    """
    from rich.console import Console

    screen = Console(stderr=True)

    def announce(simulator: Simulator) -> None:
        for said in addresses(simulator):
            screen.print(said, highlight=False, soft_wrap=True)

    with screen.status("Starting") as line:
        totals = trio.run(
            _run_until_signalled,
            options,
            lambda totals: line.update(progress_line(totals)),
            announce,
        )
    if json_output:
        print(msgspec.json.encode(totals).decode())
    else:
        for name, value in asdict(totals).items():
            print(f"{name.replace('_', ' '):<18}{value:>10}")
    if totals.emitted and not totals.accepted_2xx:
        print(
            "No webhook was accepted: is the target running, and its secret right?", file=sys.stderr
        )
        return 1
    return 0


def addresses(simulator: Simulator) -> list[str]:
    """Lines that say where the REST API is, if there is one."""
    said = [f"REST API at {simulator.url}"] if simulator.url else []
    if simulator.fingerprint is not None:
        said.append(f"SHA-256 of its certificate: {simulator.fingerprint}")
    return said


def progress_line(totals: Totals) -> str:
    return (
        f"{totals.unique_messages} messages in {totals.emitted} webhooks: "
        f"{totals.accepted_2xx} accepted, {totals.in_flight} in flight, "
        f"{totals.retried} retried, {totals.dropped + totals.lost_by_redirect} lost"
    )


async def _run_until_signalled(
    options: SimulatorOptions,
    show: Callable[[Totals], None],
    announce: Callable[[Simulator], None],
) -> Totals:
    latest = Totals()
    refused: ConfigError | None = None

    def keep(totals: Totals) -> None:
        nonlocal latest
        latest = totals
        show(totals)

    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_on_signal, nursery.cancel_scope)
        try:
            await run(options, on_start=announce, on_progress=keep)
        except ConfigError as error:
            refused = error  # kept out of the nursery's exception group
        nursery.cancel_scope.cancel()
    if refused:
        raise refused
    return latest


async def _cancel_on_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
