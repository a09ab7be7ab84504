"""Puts the parts of the daemon together. Nothing runs here and nothing is decided.

Read ``build`` and what it calls from top to bottom as the map: what each part is made of, and so
what it can reach.
"""

import shutil

from msgspec import Struct

from evorelay.assembly.backups import build_backups
from evorelay.assembly.core import build_core
from evorelay.assembly.edges import build_edges
from evorelay.assembly.outward import build_outward
from evorelay.assembly.readings import show
from evorelay.config import Config
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.evolution.certificates import Certificates
from evorelay.edge.evolution.client import EvolutionClient
from evorelay.edge.framestream import Flusher
from evorelay.edge.gate import Gate
from evorelay.edge.http_client import HttpClient
from evorelay.edge.jwks import Jwks
from evorelay.relay.backups import Backups
from evorelay.relay.blobs import BlobStore
from evorelay.relay.canary import Canary
from evorelay.relay.catchup import CatchUp
from evorelay.relay.fetching import Fetching
from evorelay.relay.health import Health
from evorelay.relay.hub import Hub
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import Journal
from evorelay.relay.lanes import Lanes
from evorelay.relay.overview import Overview
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reconciler import Reconciler
from evorelay.relay.retention import Retention
from evorelay.relay.sessions import Sessions
from evorelay.relay.silent_sends import SilentSends
from evorelay.relay.watch import InstanceWatch
from evorelay.storage.open import Storage
from evorelay.telemetry.logs import LogPipe
from evorelay.telemetry.metrics import Metrics


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
    canary: Canary | None
    certificates: Certificates
    health: Health
    overview: Overview
    backups: Backups
    jwks: Jwks | None
    engineio: EngineServer
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

    core = build_core(config, storage, blobs, gateway, free_bytes)
    outward = build_outward(config, core, blobs, gateway)
    backups = build_backups(config, storage, core)
    edges = build_edges(
        config,
        storage,
        core,
        outward,
        backups,
        blobs,
        client,
        gateway,
        free_bytes,
        lambda: pipe.dropped,
    )
    show(
        core,
        outward,
        edges,
        pipe,
        free_bytes=free_bytes,
        free_bytes_min=config.webhook.min_free_bytes,
    )
    return Relay(
        flusher=core.flusher,
        catchup=core.catchup,
        hub=core.hub,
        journal=core.journal,
        pipeline=core.pipeline,
        news=core.news,
        sessions=edges.sessions,
        lanes=core.lanes,
        watch=outward.watch,
        reconciler=outward.reconciler,
        silent_sends=outward.silent_sends,
        fetching=outward.fetching,
        retention=core.retention,
        canary=edges.canary,
        certificates=edges.certificates,
        health=edges.health,
        overview=edges.overview,
        backups=backups,
        jwks=edges.jwks,
        engineio=edges.engineio,
        gate=edges.gate,
        metrics=core.metrics,
    )
