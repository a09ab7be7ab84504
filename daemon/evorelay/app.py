"""The daemon's life: open what it stands on, run its services in order, drain them in reverse."""

import gc
import logging
import os
import random
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import trio
from msgspec.structs import replace

from evorelay import __version__
from evorelay.assembly import Relay, build
from evorelay.config import Config, EvolutionConfig
from evorelay.edge.evolution.client import open_gateway
from evorelay.edge.http_client import open_http_client
from evorelay.edge.listeners import base_url, is_local_only, listeners, listening
from evorelay.model.errors import ConfigError
from evorelay.relay.blobs import BlobStore
from evorelay.relay.moves import Moves
from evorelay.runtime.stop import watch_signals
from evorelay.runtime.supervisor import RestartPolicy, Run, Service, supervise
from evorelay.runtime.systemd import Notifier, StatusLine, Watchdog, listen_sockets
from evorelay.secrets import all_secrets
from evorelay.simulator.options import SimulatorOptions, demo_options
from evorelay.simulator.run import run as simulate
from evorelay.storage.open import open_storage
from evorelay.telemetry.logs import open_logging

log = logging.getLogger(__name__)

PIPELINE_DRAIN_S = 3.0
"""Enough for what is usually under way. A backlog is safe in the journal, and working it off now
would only make the restart longer."""
LANES_DRAIN_S = 5.0
"""For the answers of what is being sent; without them it is looked up at the next start."""
SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the GIL from another. At Python's 5 ms the store's and the event
loop's threads make each other wait ten times longer than they work (ARCHITECTURE.md)."""
ASIDE = RestartPolicy(restarts_max=1000, backoff_first_s=1.0)
"""Of what watches and tidies up: a bug in a backup or in a check is logged, counted and alerted of,
and does not end the daemon that messages go through (P5)."""
MIGRATION_S = 3600.0
"""An older store is brought up to date before anything else, once, which reads all of its messages:
measured, 2 s a GB. On a slow disk systemd would end it at ``TimeoutStartSec``, again and again."""
GC_THRESHOLDS = (50_000, 20, 50)
"""Messages leave no reference cycles, yet at Python's (700, 10, 10) looking for them took 10 % of
the time under load (py-spy)."""


async def serve(
    config: Config, *, demo: bool = False, on_ready: Callable[[str], None] | None = None
) -> int:
    """Run the daemon until it is asked to stop; returns its exit status.

    ``on_ready`` is called once with the base URL when webhooks are accepted. Raises
    ``ConfigError``, ``StoreInUse`` and ``RelayError`` when it cannot start.
    """
    notifier = Notifier.from_environ(os.environ, os.getpid())
    inherited = [found.socket for found in listen_sockets(os.environ, os.getpid())]
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # modules and their like are here to stay
    gc.set_threshold(*GC_THRESHOLDS)
    with ExitStack() as stack:
        pipe = stack.enter_context(
            open_logging(
                level=config.log.level,
                format=config.log.format,
                secrets=all_secrets(config),
                environ=os.environ,
            )
        )
        state_dir = Path(config.state_dir)
        notifier.starting(MIGRATION_S)
        storage = stack.enter_context(open_storage(state_dir, config.storage.url))
        sockets = stack.enter_context(listening(config.server, inherited))
        if config.auth.mode == "open" and not is_local_only(sockets):
            raise ConfigError(
                "auth.mode: open is for this machine alone; listen on 127.0.0.1 or a unix socket"
            )
        blobs = await BlobStore.open(state_dir / "blobs")
        simulated = None
        if demo:
            # Whatever Evolution is configured: what is tried in a demo must not reach a customer.
            simulated = socket.create_server(("127.0.0.1", 0))
            config = replace(config, evolution=_simulated_evolution(simulated))
        async with (
            open_http_client() as client,
            open_gateway(config.evolution, config.media, blobs) as gateway,
        ):
            relay = build(config, storage, blobs, client, gateway, pipe)
            return await _run(
                config, relay, sockets, notifier, simulated=simulated, on_ready=on_ready
            )


async def _run(
    config: Config,
    relay: Relay,
    sockets: list[socket.socket],
    notifier: Notifier,
    *,
    simulated: socket.socket | None,
    on_ready: Callable[[str], None] | None,
) -> int:
    stop = trio.Event()
    base = base_url(config.server, sockets)

    def ready() -> None:
        log.info("ready", extra={"base_url": base, "version": __version__})
        notifier.ready()
        if on_ready is not None:
            on_ready(base)

    levels = services(relay, config, sockets, notifier)
    if simulated is not None:
        levels.append(_demo(config, base, simulated))
    flat = (one for level in levels for one in (level if isinstance(level, tuple) else (level,)))
    relay.metrics.services_known(service.name for service in flat)
    with trio.CancelScope() as abort:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(watch_signals, stop, abort))
            nursery.start_soon(_announce_stop, stop, notifier)
            cut = await supervise(
                levels,
                stop=stop,
                ready=ready,
                rand=random.random,
                drain_timeout=config.server.drain_timeout,
                on_restart=relay.metrics.service_restarted,
            )
            nursery.cancel_scope.cancel()
    if abort.cancelled_caught:
        return 1
    if "pipeline" in cut:
        log.info("%d webhooks wait in the journal for the next start", relay.pipeline.lag)
    unfinished = [name for name in cut if name not in ("pipeline", "lanes")]
    if unfinished:
        log.warning("not everything was finished in time: %s", ", ".join(unfinished))
        return 1
    log.info("stopped")
    return 0


def services(
    relay: Relay, config: Config, sockets: list[socket.socket], notifier: Notifier
) -> list[Service | tuple[Service, ...]]:
    """Every service in dependency order; they are drained in the reverse."""
    helpers = [
        Service(name="watchdog", run=Watchdog(notifier, Moves(relay.journal, relay.pipeline)).run),
        Service(name="flusher", run=relay.flusher.run),
        Service(name="catchup", run=partial(relay.catchup.run, relay.hub)),
    ]
    status_line = StatusLine(notifier, lambda: relay.health.report().summary)
    aside: list[tuple[str, Run]] = [
        ("retention", relay.retention.run),
        ("health", relay.health.run),
        ("certificates", relay.certificates.run),
        ("status line", status_line.run),
        ("overview", relay.overview.run),
        ("backups", relay.backups.run),
    ]
    if relay.canary is not None:
        aside.append(("canary", relay.canary.run))
    if relay.jwks is not None:
        helpers.append(Service(name="jwks", run=relay.jwks.run))
    drain_s = config.server.drain_timeout

    def drain_gate() -> None:
        relay.gate.close_asap()
        relay.engineio.close_asap()
        relay.sessions.close_all_asap()

    return [
        tuple(helpers),
        Service(
            name="journal", run=relay.journal.run, drain=relay.journal.close_asap, drain_s=drain_s
        ),
        Service(
            name="pipeline",
            run=relay.pipeline.run,
            drain=relay.pipeline.close_asap,
            drain_s=min(PIPELINE_DRAIN_S, drain_s / 2),  # the journal comes after it
        ),
        (
            Service(name="sessions", run=relay.sessions.run),
            Service(name="engine.io", run=relay.engineio.run),
            Service(name="instance news", run=relay.news.run),
            Service(name="instance watch", run=relay.watch.run),
            Service(name="reconciler", run=relay.reconciler.run),
            Service(name="silent sends", run=relay.silent_sends.run),
            Service(
                name="lanes",
                run=relay.lanes.run,
                drain=relay.lanes.close_asap,
                drain_s=min(LANES_DRAIN_S, drain_s / 2),
            ),
            Service(name="fetching", run=relay.fetching.run),
            *(Service(name=name, run=run, restart=ASIDE) for name, run in aside),
        ),
        Service(
            name="gate",
            run=partial(relay.gate.run, listeners(config.server, sockets)),
            restart=RestartPolicy(restarts_max=0),  # its listeners are gone with it
            drain=drain_gate,
            drain_s=drain_s,
        ),
    ]


async def _announce_stop(stop: trio.Event, notifier: Notifier) -> None:
    await stop.wait()
    notifier.stopping()
    notifier.status("finishing what is under way")


def _simulated_evolution(listener: socket.socket) -> EvolutionConfig:
    """Where ``--demo`` sends replies: to its own simulator."""
    host, port = listener.getsockname()
    return EvolutionConfig(url=f"http://{host}:{port}", api_key=SimulatorOptions(None).api_key)


def _demo(config: Config, base: str, listener: socket.socket) -> Service:
    """A lively simulated Evolution API that posts to our own webhook URL and takes replies."""
    options = demo_options(f"{base}/hook/{config.webhook.secret}")

    async def run(*, task_status: trio.TaskStatus[object]) -> None:
        await simulate(options, listener=listener, task_status=task_status)

    return Service(name="simulator", run=run, restart=RestartPolicy(restarts_max=0))
