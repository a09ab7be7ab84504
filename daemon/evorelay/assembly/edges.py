"""What others connect to: the gate and everything behind it that is not the engine."""

from collections.abc import Callable
from functools import partial

import trio
from msgspec import Struct

from evorelay import __version__
from evorelay.assembly.core import Core
from evorelay.assembly.outward import Outward
from evorelay.config import Config, HealthConfig, ServerConfig
from evorelay.edge.auth import Authenticator
from evorelay.edge.canary_client import CanaryClient
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.certificate import certificate_until
from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.polling import Polling
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.engineio.websocket import WebSockets
from evorelay.edge.evolution.certificates import Certificates, servers_of
from evorelay.edge.evolution.client import EvolutionClient
from evorelay.edge.gate import Gate
from evorelay.edge.handover import Handover
from evorelay.edge.http.app import make_app
from evorelay.edge.http.deps import HttpDeps
from evorelay.edge.http_client import HttpClient
from evorelay.edge.jwks import Jwks
from evorelay.edge.rpc import Rpc
from evorelay.edge.socketio.connection import SocketIoEdge
from evorelay.edge.socketio.events import Events
from evorelay.edge.unusual_webhooks import UnusualWebhooks
from evorelay.edge.ws import WebSocketEdge
from evorelay.model.clock import now_ms
from evorelay.model.ids import new_id
from evorelay.protocol.socketio_events import SocketIoDialect
from evorelay.relay.backups import Backups
from evorelay.relay.blobs import BlobStore
from evorelay.relay.canary import Canary
from evorelay.relay.health import Health, Surroundings
from evorelay.relay.ingest import Ingest
from evorelay.relay.lanes import Lanes
from evorelay.relay.overview import Overview, standing
from evorelay.relay.session import Engine
from evorelay.relay.sessions import Sessions
from evorelay.relay.socket_memory import SocketMemory
from evorelay.relay.trace import Traces
from evorelay.relay.vitals import KeyFacts, Outside
from evorelay.secrets import all_secrets
from evorelay.storage.open import Storage


class Edges(Struct, frozen=True, kw_only=True):
    """What others connect to."""

    sessions: Sessions
    jwks: Jwks | None
    engineio: EngineServer
    canary: Canary | None
    certificates: Certificates
    health: Health
    overview: Overview
    gate: Gate


def build_edges(
    config: Config,
    storage: Storage,
    core: Core,
    outward: Outward,
    backups: Backups,
    blobs: BlobStore,
    client: HttpClient,
    gateway: EvolutionClient,
    free_bytes: Callable[[], int],
    log_dropped: Callable[[], int],
) -> Edges:
    """Gate, WebSockets, HTTP, and who may come in."""
    sessions = Sessions(core.hub, core.metrics, now=now_ms)
    jwks = Jwks(config.auth.jwks_url, client, now_ms) if config.auth.jwks_url else None
    authenticator = Authenticator(config.auth, jwks, now_ms)
    epoch = storage.readers[0].epoch()
    engine = Engine(core.hub, core.cache, core.reads, core.desk, core.catchup, epoch)
    overview = Overview(
        core.totals,
        core.reads,
        partial(standing, sessions, core.pipeline, core.lanes),
        now=now_ms,
        sizes=storage.sizes,
    )
    traces = Traces(core.reads, core.journal)
    rpc = Rpc(
        core.desk,
        core.hub,
        core.replay,
        outward.reconnects,
        outward.outbox,
        overview,
        traces,
        backups,
    )
    centrifuge = CentrifugeEdge(engine, sessions, rpc, authenticator, new_id=new_id, now=now_ms)
    dialect = SocketIoDialect(epoch)
    socketio = SocketIoEdge(
        engine,
        sessions,
        SocketMemory(core.ledger, core.reads),
        Events(dialect, core.desk, outward.outbox, rpc, authenticator, new_id=new_id),
        authenticator,
        dialect,
    )
    engineio = EngineServer(
        socketio, EngineOptions(sockets_max=config.server.max_connections), config.auth
    )
    websockets = WebSocketEdge(centrifuge, config.auth, core.flusher, WebSockets(engineio))
    ingest = Ingest(config.webhook, core.journal, blobs, core.metrics, now=now_ms)
    certificates = Certificates(servers_of(config.evolution))
    canary = _canary(config.health, core, CanaryClient(engine, core.flusher))
    health = Health(
        core.journal,
        core.pipeline,
        core.store_probe,
        sessions,
        core.metrics,
        now=now_ms,
        free_bytes=free_bytes,
        free_bytes_min=config.webhook.min_free_bytes,
        limits=config.health,
        surroundings=Surroundings(
            canary=lambda: None if canary is None else canary.facts(),
            outside=partial(_outside, outward, core.lanes, certificates),
            keys=partial(_key_facts, jwks),
            backup=backups.facts,
            log_dropped=log_dropped,
            evolution_configured=can_send(gateway),
            certificate_until=_certificate_until(config.server),
        ),
    )
    http = make_app(
        HttpDeps(
            desk=core.desk,
            replay=core.replay,
            eraser=core.eraser,
            outbox=outward.outbox,
            evolution=gateway,
            secrets=all_secrets(config),
            reconnects=outward.reconnects,
            reconciler=outward.reconciler,
            blobs=blobs,
            uploads=outward.uploads,
            overview=overview,
            traces=traces,
            backups=backups,
            sessions=sessions,
            health=health,
            authenticator=authenticator,
            metrics=core.metrics,
            registry=core.registry,
            auth=config.auth,
            scrape=config.metrics,
            version=__version__,
            started_at=trio.current_time(),
        )
    )
    gate = Gate(
        config.server,
        ingest,
        websockets,
        Handover(UnusualWebhooks(ingest, http)),
        core.metrics,
        Polling(engineio, config.auth),
    )
    return Edges(
        sessions=sessions,
        jwks=jwks,
        engineio=engineio,
        canary=canary,
        certificates=certificates,
        health=health,
        overview=overview,
        gate=gate,
    )


def can_send(gateway: EvolutionClient) -> bool:
    """Whether there are address and key: of each named instance, or for all where none is named.

    Beside named ones ``[evolution]`` may hold no more than what they have in common.
    """
    return all(gateway.is_configured(name) for name in gateway.instances() or ("",))


def _canary(config: HealthConfig, core: Core, client: CanaryClient) -> Canary | None:
    if not config.canary_every:
        return None
    return Canary(
        core.journal,
        client,
        core.metrics,
        handled=lambda: core.pipeline.cursor,
        every_s=config.canary_every,
        lost_s=config.canary_fail,
        new_id=new_id,
        now=now_ms,
    )


def _outside(outward: Outward, lanes: Lanes, certificates: Certificates) -> Outside:
    found = outward.watch.troubles()
    return Outside(
        unreachable=found.unreachable,
        suspected=found.suspected,
        missing=found.missing,
        unasked=found.unasked,
        unregistered=found.unregistered,
        parked=tuple((name, message) for name, _, message in lanes.trouble()),
        oldest_reply_s=lanes.oldest_waiting_s(),
        fetches=outward.fetching.waiting,
        unreconciled=tuple(outward.reconciler.failing()),
        certificates=tuple(sorted(certificates.until.items())),
    )


def _key_facts(jwks: Jwks | None) -> KeyFacts | None:
    if jwks is None:
        return None
    found = jwks.statistics()
    return KeyFacts(fetched_at=found.last_success_at, failure=found.last_error)


def _certificate_until(server: ServerConfig) -> int | None:
    return None if server.tls_cert is None else certificate_until(server.tls_cert)
