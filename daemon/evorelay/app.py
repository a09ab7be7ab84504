"""The composition root: builds every part, lists them as services, and runs them.

Nothing here decides anything about messages; reading it top to bottom is the map of the daemon.
"""

import logging
import os
import random
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import trio
from msgspec import Struct
from prometheus_client import CollectorRegistry

from evorelay import __version__
from evorelay.config import Config
from evorelay.edge.auth import Authenticator
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.framestream import Flusher
from evorelay.edge.gate import Gate
from evorelay.edge.handover import Handover
from evorelay.edge.http.app import make_app
from evorelay.edge.http.deps import HttpDeps
from evorelay.edge.http_client import HttpClient, open_http_client
from evorelay.edge.jwks import Jwks
from evorelay.edge.listeners import base_url, is_local_only, listeners, listening_sockets
from evorelay.edge.rpc import Rpc
from evorelay.edge.unusual_webhooks import UnusualWebhooks
from evorelay.edge.ws import WebSocketEdge
from evorelay.model.clock import now_ms
from evorelay.model.errors import ConfigError
from evorelay.model.ids import new_id
from evorelay.relay.attachments import Attachments
from evorelay.relay.blobs import BlobStore
from evorelay.relay.cache import RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.desk import Desk
from evorelay.relay.health import Health
from evorelay.relay.hub import Hub
from evorelay.relay.ingest import Ingest
from evorelay.relay.journal import Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reads import Reads
from evorelay.relay.retention import Retention
from evorelay.relay.session import Engine
from evorelay.relay.sessions import Sessions
from evorelay.runtime.stop import watch_signals
from evorelay.runtime.supervisor import Service, supervise
from evorelay.runtime.systemd import Notifier, Watchdog, listen_sockets
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import run as simulate
from evorelay.storage.open import Storage, open_storage
from evorelay.telemetry.logs import LogPipe, open_logging
from evorelay.telemetry.metrics import Metrics, PrometheusMetrics

log = logging.getLogger(__name__)

STUCK_S = 30.0
"""Work waiting and none done for this long: the watchdog starves and systemd starts us anew."""
SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the GIL from another. At Python's 5 ms the store's and the event
loop's threads make each other wait ten times longer than they work (ARCHITECTURE.md)."""


class Relay(Struct, frozen=True):
    """The parts with a life of their own, in the order they depend on each other."""

    flusher: Flusher
    catchup: CatchUp
    hub: Hub
    journal: Journal
    pipeline: Pipeline
    sessions: Sessions
    retention: Retention
    health: Health
    jwks: Jwks | None
    gate: Gate
    metrics: Metrics


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
    with ExitStack() as stack:
        pipe = stack.enter_context(
            open_logging(level=config.log.level, format=config.log.format, secrets=_secrets(config))
        )
        state_dir = Path(config.state_dir)
        storage = stack.enter_context(open_storage(state_dir, config.storage.url))
        sockets = listening_sockets(config.server, inherited)
        for sock in sockets:
            stack.callback(sock.close)
        if config.auth.mode == "open" and not is_local_only(sockets):
            raise ConfigError(
                "auth.mode: open is for this machine alone; listen on 127.0.0.1 or a unix socket"
            )
        blobs = await BlobStore.open(state_dir / "blobs")
        async with open_http_client() as client:
            relay = build(config, storage, blobs, client, pipe)
            return await _run(config, relay, sockets, notifier, demo=demo, on_ready=on_ready)


def build(
    config: Config, storage: Storage, blobs: BlobStore, client: HttpClient, pipe: LogPipe
) -> Relay:
    """Put the parts together. Nothing runs yet."""

    def free_bytes() -> int:
        return shutil.disk_usage(storage.directory).free

    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry)
    cache = RecentEvents(ttl_ms=int(config.cache.ttl * 1000), bytes_max=config.cache.max_bytes)
    reads = Reads(storage.readers)
    catchup = CatchUp(cache, reads, metrics)
    hub = Hub(cache, catchup, metrics)
    ledger = Ledger(storage.writer, hub, new_id=new_id, now=now_ms)
    journal = Journal(
        storage.journal,
        metrics,
        free_bytes=free_bytes,
        free_bytes_min=config.webhook.min_free_bytes,
    )
    pipeline = Pipeline(
        journal,
        ledger,
        Attachments(blobs),
        metrics,
        now=now_ms,
        reopen_within_ms=int(config.tickets.reopen_within * 1000),
    )
    retention = Retention(
        journal,
        pipeline,
        ledger,
        storage.maintenance,
        cache,
        journal_ms=int(config.retention.journal * 1000),
        events_ms=int(config.retention.events * 1000),
        now=now_ms,
    )
    desk = Desk(reads, ledger, now=now_ms)
    sessions = Sessions(hub, metrics, now=now_ms)
    jwks = Jwks(config.auth.jwks_url, client, now_ms) if config.auth.jwks_url else None
    authenticator = Authenticator(config.auth, jwks, now_ms)
    flusher = Flusher()
    epoch = storage.readers[0].epoch()
    engine = Engine(hub, cache, reads, desk, catchup, epoch)
    centrifuge = CentrifugeEdge(
        engine, sessions, Rpc(desk, hub), authenticator, new_id=new_id, now=now_ms
    )
    websockets = WebSocketEdge(centrifuge, config.auth, flusher)
    ingest = Ingest(config.webhook, journal, blobs, metrics, now=now_ms)
    health = Health(
        journal,
        pipeline,
        reads,
        sessions,
        metrics,
        now=now_ms,
        free_bytes=free_bytes,
        free_bytes_min=config.webhook.min_free_bytes,
        evolution_configured=config.evolution.url is not None,
        key_trouble=partial(_key_trouble, jwks),
    )
    http = make_app(
        HttpDeps(
            desk=desk,
            sessions=sessions,
            health=health,
            authenticator=authenticator,
            metrics=metrics,
            registry=registry,
            auth=config.auth,
            scrape=config.metrics,
            version=__version__,
            started_at=trio.current_time(),
        )
    )
    gate = Gate(config.server, ingest, websockets, Handover(UnusualWebhooks(ingest, http)), metrics)
    metrics.gauge(
        "evorelay_pipeline_lag_entries", "Journal entries not handled yet", lambda: pipeline.lag
    )
    metrics.gauge("evorelay_cache_bytes", "Recent events in memory", lambda: cache.bytes)
    metrics.gauge("evorelay_connections", "Open connections", lambda: gate.connections)
    metrics.log_dropped(lambda: pipe.dropped)
    metrics.pipeline_age(pipeline.age_s)
    return Relay(flusher, catchup, hub, journal, pipeline, sessions, retention, health, jwks, gate)


async def _run(
    config: Config,
    relay: Relay,
    sockets: list[socket.socket],
    notifier: Notifier,
    *,
    demo: bool,
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
    if demo:
        levels.append(_demo(config, base))
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
    if cut:
        log.warning("not everything was finished in time: %s", ", ".join(cut))
        return 1
    log.info("stopped")
    return 0


def services(
    relay: Relay, config: Config, sockets: list[socket.socket], notifier: Notifier
) -> list[Service | tuple[Service, ...]]:
    """Every service in dependency order; they are drained in the reverse."""

    def moves() -> bool:
        return _moves(relay.journal, relay.pipeline)

    helpers = [
        Service(name="watchdog", run=Watchdog(notifier, moves).run),
        Service(name="flusher", run=relay.flusher.run),
        Service(name="catchup", run=partial(relay.catchup.run, relay.hub)),
    ]
    if relay.jwks is not None:
        helpers.append(Service(name="jwks", run=relay.jwks.run))
    drain_s = config.server.drain_timeout

    def drain_gate() -> None:
        relay.gate.close_asap()
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
            drain_s=drain_s,
        ),
        (
            Service(name="sessions", run=relay.sessions.run),
            Service(name="retention", run=relay.retention.run),
            Service(name="health", run=relay.health.run),
        ),
        Service(
            name="gate",
            run=partial(relay.gate.run, listeners(config.server, sockets)),
            drain=drain_gate,
            drain_s=drain_s,
        ),
    ]


def _moves(journal: Journal, pipeline: Pipeline) -> bool:
    """Whether the work there is gets done; a thread that hangs in a dead disk does not."""
    now = trio.current_time()
    since = journal.waiting_since
    journal_stuck = since is not None and now - since > STUCK_S
    pipeline_stuck = pipeline.lag > 0 and now - pipeline.last_attempt_at > STUCK_S
    return not (journal_stuck or pipeline_stuck)


def _secrets(config: Config) -> list[str]:
    """Every configured secret: none of them may come out in a log line, whatever holds it."""
    evolutions = [config.evolution, *config.evolution.instances.values()]
    found = [
        config.webhook.secret,
        config.webhook.previous_secret,
        config.auth.jwt_secret,
        config.auth.previous_jwt_secret,
        *(evolution.api_key for evolution in evolutions),
    ]
    return [secret for secret in found if secret]


def _key_trouble(jwks: Jwks | None) -> str | None:
    """What is wrong with the keys that verify tokens, if they are fetched from somewhere."""
    if jwks is None or jwks.ever_fetched:
        return None
    return "the keys at auth.jwks_url were never fetched; tokens signed with them are refused"


async def _announce_stop(stop: trio.Event, notifier: Notifier) -> None:
    await stop.wait()
    notifier.stopping()


def _demo(config: Config, base: str) -> Service:
    """A lively simulated Evolution API that posts to our own webhook URL."""
    options = SimulatorOptions(
        target=f"{base}/hook/{config.webhook.secret}", rate_per_minute=90, instances=3
    )

    async def run(*, task_status: trio.TaskStatus[object]) -> None:
        await simulate(options, task_status=task_status)

    return Service(name="simulator", run=run)
