"""Puts the parts of the daemon together. Nothing runs here and nothing is decided.

Read ``build`` from top to bottom as the map: what each part is made of, and so what it can reach.
"""

import random
import shutil
from functools import partial

import trio
from msgspec import Struct
from prometheus_client import CollectorRegistry

from evorelay import __version__
from evorelay.config import Config
from evorelay.edge.auth import Authenticator
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.downloads import Downloads, public_or_one_of, public_web
from evorelay.edge.evolution.client import EvolutionClient
from evorelay.edge.evolution.trust import Trust, context_for
from evorelay.edge.framestream import Flusher
from evorelay.edge.gate import Gate
from evorelay.edge.handover import Handover
from evorelay.edge.http.app import make_app
from evorelay.edge.http.deps import HttpDeps
from evorelay.edge.http_client import HttpClient
from evorelay.edge.jwks import Jwks
from evorelay.edge.rpc import Rpc
from evorelay.edge.unusual_webhooks import UnusualWebhooks
from evorelay.edge.ws import WebSocketEdge
from evorelay.model.clock import now_ms
from evorelay.model.ids import new_id
from evorelay.protocol.manners import manners_of
from evorelay.relay.blobs import BlobStore
from evorelay.relay.cache import RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.comparison import Comparer
from evorelay.relay.desk import Desk
from evorelay.relay.fetches import Fetches
from evorelay.relay.fetching import Fetching
from evorelay.relay.health import Health
from evorelay.relay.hub import Hub
from evorelay.relay.ingest import Ingest
from evorelay.relay.instance_look import Looks
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import Journal
from evorelay.relay.lanes import Lanes
from evorelay.relay.ledger import Ledger
from evorelay.relay.outbox import Outbox
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reading import Reader
from evorelay.relay.reads import Reads
from evorelay.relay.reconciler import Reconciler
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.replay import Replay
from evorelay.relay.retention import Retention
from evorelay.relay.session import Engine
from evorelay.relay.sessions import Sessions
from evorelay.relay.silent_sends import SilentSends
from evorelay.relay.uploads import Uploads
from evorelay.relay.vitals import Outside
from evorelay.relay.watch import InstanceWatch
from evorelay.secrets import all_secrets
from evorelay.storage.open import Storage
from evorelay.telemetry.logs import LogPipe
from evorelay.telemetry.metrics import Metrics, PrometheusMetrics


class Relay(Struct, frozen=True, kw_only=True):
    """The parts with a life of their own, in the order they depend on each other."""

    flusher: Flusher
    catchup: CatchUp
    hub: Hub
    journal: Journal
    pipeline: Pipeline
    news: InstanceNews
    sessions: Sessions
    lanes: Lanes
    watch: InstanceWatch
    reconciler: Reconciler
    fetching: Fetching
    silent_sends: SilentSends
    retention: Retention
    health: Health
    jwks: Jwks | None
    gate: Gate
    metrics: Metrics


def build(
    config: Config,
    storage: Storage,
    blobs: BlobStore,
    client: HttpClient,
    gateway: EvolutionClient,
    pipe: LogPipe,
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
    signals = InstanceSignals()
    news = InstanceNews(ledger, signals)
    reader = Reader(blobs, store_status_posts=config.tickets.store_status_posts)
    manners = manners_of(config.pacing)
    lanes = Lanes(gateway, ledger, reads, signals, config.outbox, manners, metrics, now=now_ms)
    fetches = Fetches(lambda instance: config.media.fetch and gateway.is_configured(instance))
    pipeline = Pipeline(
        journal,
        ledger,
        reader,
        news,
        lanes,
        metrics,
        now=now_ms,
        reopen_within_ms=int(config.tickets.reopen_within * 1000),
        fetches=fetches,
    )
    replay = Replay(
        reads,
        ledger,
        journal,
        reader,
        handled=lambda: pipeline.cursor,
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
    reconnects = Reconnects(
        gateway,
        ledger,
        reads,
        news,
        cooldown_s=config.evolution.reconnect_cooldown,
        now=now_ms,
    )
    looks = Looks(
        gateway,
        ledger,
        news,
        evolution=config.evolution,
        webhook=config.webhook,
        public_url=config.server.public_url,
        now=now_ms,
    )
    watch = InstanceWatch(
        gateway,
        reads,
        looks,
        reconnects,
        metrics,
        poll_every_s=config.evolution.poll_every,
        now=now_ms,
        rand=random.random,
    )
    comparer = Comparer(
        gateway,
        journal,
        ledger,
        metrics,
        handled=lambda: pipeline.cursor,
        now=now_ms,
        rows_max=config.evolution.reconcile_max_messages,
        store_status_posts=config.tickets.store_status_posts,
    )
    reconciler = Reconciler(
        gateway,
        comparer,
        reads,
        ledger,
        signals,
        metrics,
        silence_s=config.evolution.silence,
        back_s=config.evolution.reconcile_max,
        new_id=new_id,
        now=now_ms,
    )
    silent_sends = SilentSends(gateway, reads, ledger, now=now_ms)
    desk = Desk(reads, ledger, hub)
    downloads = partial(
        Downloads, blobs, bytes_max=config.media.max_bytes, tls=context_for(Trust())
    )
    fetching = Fetching(
        fetches,
        ledger,
        reads,
        blobs,
        gateway,
        downloads(may_reach=public_or_one_of(_file_hosts(config))),
        metrics,
        per_minute=config.media.fetch_per_minute,
        now=now_ms,
    )
    uploads = Uploads(
        blobs,
        ledger,
        reads,
        downloads(may_reach=public_web),
        media_of=desk.media_of,
        refusal=lambda: journal.refusal,
        bytes_max=config.media.max_bytes,
    )
    outbox = Outbox(
        ledger,
        reads,
        lanes,
        uploads,
        manners,
        reopen_within_ms=int(config.tickets.reopen_within * 1000),
        queued_max=config.outbox.max_queued,
    )
    sessions = Sessions(hub, metrics, now=now_ms)
    jwks = Jwks(config.auth.jwks_url, client, now_ms) if config.auth.jwks_url else None
    authenticator = Authenticator(config.auth, jwks, now_ms)
    flusher = Flusher()
    epoch = storage.readers[0].epoch()
    engine = Engine(hub, cache, reads, desk, catchup, epoch)
    centrifuge = CentrifugeEdge(
        engine,
        sessions,
        Rpc(desk, hub, replay, reconnects, outbox),
        authenticator,
        new_id=new_id,
        now=now_ms,
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
        evolution_configured=config.evolution.url is not None
        or any(own.url for own in config.evolution.instances.values()),
        key_trouble=partial(_key_trouble, jwks),
        outside=partial(_outside, watch, lanes, fetching),
    )
    http = make_app(
        HttpDeps(
            desk=desk,
            replay=replay,
            outbox=outbox,
            evolution=gateway,
            secrets=all_secrets(config),
            reconnects=reconnects,
            reconciler=reconciler,
            blobs=blobs,
            uploads=uploads,
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
    metrics.gauge("evorelay_replies_waiting", "Replies not sent yet", lambda: lanes.total_waiting)
    metrics.gauge(
        "evorelay_reply_age_seconds", "Age of the oldest waiting reply", lanes.oldest_waiting_s
    )
    metrics.gauge_by_instance(
        "evorelay_lane_parked",
        "1 while an instance can send nothing",
        lambda: dict.fromkeys(lanes.parked(), 1.0),
    )
    metrics.gauge(
        "evorelay_media_waiting", "Files to be fetched, some 500 at most", lambda: fetching.waiting
    )
    metrics.log_dropped(lambda: pipe.dropped)
    metrics.pipeline_age(pipeline.age_s)
    return Relay(
        flusher=flusher,
        catchup=catchup,
        hub=hub,
        journal=journal,
        pipeline=pipeline,
        news=news,
        sessions=sessions,
        lanes=lanes,
        watch=watch,
        reconciler=reconciler,
        silent_sends=silent_sends,
        fetching=fetching,
        retention=retention,
        health=health,
        jwks=jwks,
        gate=gate,
        metrics=metrics,
    )


def _outside(watch: InstanceWatch, lanes: Lanes, fetching: Fetching) -> Outside:
    found = watch.troubles()
    return Outside(
        unreachable=found.unreachable,
        down=found.down,
        suspected=found.suspected,
        unregistered=found.unregistered,
        parked=tuple(f"{name}: {message}" for name, _, message in lanes.trouble()),
        oldest_reply_s=lanes.oldest_waiting_s(),
        fetches=fetching.waiting,
    )


def _file_hosts(config: Config) -> list[str]:
    """Where files of messages may be although the address is private."""
    urls = [config.evolution.url, *(one.url for one in config.evolution.instances.values())]
    return [*filter(None, urls), *config.media.allow_hosts]


def _key_trouble(jwks: Jwks | None) -> str | None:
    """What is wrong with the keys that verify tokens, if they are fetched from somewhere."""
    if jwks is None or jwks.ever_fetched:
        return None
    return "the keys at auth.jwks_url were never fetched; tokens signed with them are refused"
