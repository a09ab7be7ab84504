"""Running a simulated Evolution API: ``run`` for programs, ``main`` for the command line."""

import math
import signal
import sys
from collections.abc import Callable

import msgspec
import trio
from msgspec.structs import asdict, replace

from evorelay.model.errors import ConfigError
from evorelay.simulator.http import open_poster
from evorelay.simulator.ledger import Ledger, Totals
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.world import World

REPORT_EVERY_S = 1.0


async def run(
    options: SimulatorOptions,
    *,
    on_progress: Callable[[Totals], None] | None = None,
    task_status: trio.TaskStatus[str | None] = trio.TASK_STATUS_IGNORED,
) -> Totals:
    """Emit webhooks for the duration, or until cancelled, and return what became of them.

    Starts with the URL of the REST API, or None. ``on_progress`` is called every second and once
    more at the end, also when cancelled: what is under way then is given up and stays counted as
    in flight. Raises ``ConfigError`` when the port to listen on cannot be had.
    """
    world = World(options)
    report = on_progress or (lambda totals: None)
    serve_rest = world.rest_server(options) if options.listen else None
    try:
        async with (
            open_poster(options.max_in_flight) as post,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_report_every_second, world.ledger, report)
            async with trio.open_nursery() as work, world.emit:
                work.start_soon(world.deliver, post, options)
                async with trio.open_nursery() as sources:
                    url = await sources.start(serve_rest) if serve_rest else None
                    task_status.started(url)
                    with trio.move_on_after(options.duration_s or math.inf):
                        await world.play(options)
                    sources.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
    finally:
        report(replace(world.ledger.totals))
    return world.ledger.totals


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
    with screen.status("Starting") as line:
        totals = trio.run(
            _run_until_signalled, options, lambda totals: line.update(progress_line(totals))
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


def progress_line(totals: Totals) -> str:
    return (
        f"{totals.unique_messages} messages in {totals.emitted} webhooks: "
        f"{totals.accepted_2xx} accepted, {totals.in_flight} in flight, "
        f"{totals.retried} retried, {totals.dropped + totals.lost_by_redirect} lost"
    )


async def _run_until_signalled(options: SimulatorOptions, show: Callable[[Totals], None]) -> Totals:
    latest = Totals()
    refused: ConfigError | None = None

    def keep(totals: Totals) -> None:
        nonlocal latest
        latest = totals
        show(totals)

    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_on_signal, nursery.cancel_scope)
        try:
            await run(options, on_progress=keep)
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
