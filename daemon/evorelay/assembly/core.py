"""The engine: what stands on the store and the journal."""

from collections.abc import Callable

from msgspec import Struct
from prometheus_client import CollectorRegistry

from evorelay.config import Config
from evorelay.edge.framestream import Flusher
from evorelay.model.clock import now_ms
from evorelay.model.erasing import Traces
from evorelay.model.ids import new_id
from evorelay.protocol.manners import Manners, manners_of
from evorelay.relay.blobs import BlobStore
from evorelay.relay.bygone import Bygone
from evorelay.relay.cache import RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.collecting import Collector
from evorelay.relay.desk import Desk
from evorelay.relay.erased import Erased
from evorelay.relay.erasing import STORE_COMPACT_BYTES, Eraser
from evorelay.relay.fetches import Fetches
from evorelay.relay.gateway import Gateway
from evorelay.relay.hub import Hub
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import Journal
from evorelay.relay.lanes import Lanes
from evorelay.relay.ledger import Ledger
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reading import Reader
from evorelay.relay.reads import Reads
from evorelay.relay.replay import Replay
from evorelay.relay.retention import Limits, Retention
from evorelay.relay.store_probe import StoreProbe
from evorelay.relay.taking_out import keep_out
from evorelay.storage.open import Storage, sqlite_version
from evorelay.telemetry.metrics import Metrics, PrometheusMetrics, Totals


class Core(Struct, frozen=True, kw_only=True):
    """From a webhook in the journal to the sessions that are told of it, and back into lanes."""

    registry: CollectorRegistry
    metrics: Metrics
    totals: Totals
    cache: RecentEvents
    reads: Reads
    catchup: CatchUp
    flusher: Flusher
    hub: Hub
    ledger: Ledger
    journal: Journal
    signals: InstanceSignals
    news: InstanceNews
    reader: Reader
    bygone: Bygone
    manners: Manners
    lanes: Lanes
    fetches: Fetches
    pipeline: Pipeline
    replay: Replay
    retention: Retention
    store_probe: StoreProbe
    desk: Desk
    eraser: Eraser


def build_core(
    config: Config,
    storage: Storage,
    blobs: BlobStore,
    gateway: Gateway,
    free_bytes: Callable[[], int],
) -> Core:
    """Everything that needs the store, the journal and each other."""
    registry = CollectorRegistry()
    totals = Totals()
    metrics = PrometheusMetrics(registry, totals, built_on={"sqlite": sqlite_version()})
    cache = RecentEvents(ttl_ms=int(config.cache.ttl * 1000), bytes_max=config.cache.max_bytes)
    reads = Reads(storage.readers)
    catchup = CatchUp(cache, reads, metrics)
    flusher = Flusher(metrics.webhook_to_browser_seconds)
    hub = Hub(
        cache,
        catchup,
        metrics,
        position=storage.readers[0].position(),
        on_pushed=flusher.pushed,
    )
    ledger = Ledger(
        storage.writer, hub, new_id=new_id, now=now_ms, on_commit=metrics.ledger_committed
    )
    journal = Journal(
        storage.journal,
        metrics,
        free_bytes=free_bytes,
        free_bytes_min=config.webhook.min_free_bytes,
    )
    signals = InstanceSignals()
    news = InstanceNews(ledger, signals)
    reader = Reader(blobs, store_status_posts=config.tickets.store_status_posts)
    erased = Erased.load(storage.directory)
    keep_out(
        storage.writer,
        storage.maintenance,
        erased,
        storage.readers[0].epoch(),
        compact_bytes_max=STORE_COMPACT_BYTES,
    )
    bygone = Bygone(
        erased,
        messages_ms=int(config.retention.messages * 1000),
        now=now_ms,
    )
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
        bygone=bygone,
    )
    replay = Replay(
        reads,
        ledger,
        journal,
        reader,
        handled=lambda: pipeline.cursor,
        reopen_within_ms=int(config.tickets.reopen_within * 1000),
        bygone=bygone,
    )
    collector = Collector(
        blobs,
        journal,
        ledger,
        storage.maintenance,
        reads,
        pipeline_age_s=pipeline.age_s,
        now=now_ms,
    )
    retention = Retention(
        journal,
        pipeline,
        ledger,
        storage.maintenance,
        cache,
        reads,
        collector,
        bygone,
        Limits(
            journal=int(config.retention.journal * 1000),
            events=int(config.retention.events * 1000),
            media=int(config.retention.media * 1000),
            quarantine=int(config.retention.quarantine * 1000),
        ),
        now=now_ms,
    )
    store_probe = StoreProbe(reads, ledger, storage.maintenance, now=now_ms)
    desk = Desk(reads, ledger, hub)

    def forget(taken: Traces) -> None:
        cache.clear()
        desk.forget(id_ for id_, _ in taken.tickets)
        lanes.forget({*taken.replies})

    eraser = Eraser(
        ledger,
        reads,
        journal,
        blobs,
        storage.maintenance,
        erased,
        handled=lambda: pipeline.cursor,
        forget=forget,
        now=now_ms,
    )
    return Core(
        registry=registry,
        metrics=metrics,
        totals=totals,
        cache=cache,
        reads=reads,
        catchup=catchup,
        flusher=flusher,
        hub=hub,
        ledger=ledger,
        journal=journal,
        signals=signals,
        news=news,
        reader=reader,
        bygone=bygone,
        manners=manners,
        lanes=lanes,
        fetches=fetches,
        pipeline=pipeline,
        replay=replay,
        retention=retention,
        store_probe=store_probe,
        desk=desk,
        eraser=eraser,
    )
