"""A real relay on a temporary directory behind the real HTTP application; only the port is missing.

Webhooks are submitted to the journal, the pipeline stores them, requests go through Quart's client.
"""

import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jwt
import msgspec
import trio
from prometheus_client import CollectorRegistry
from quart import Response
from quart_trio import QuartTrio

from evorelay.config import (
    AuthConfig,
    EvolutionConfig,
    HealthConfig,
    MediaConfig,
    MetricsConfig,
    OutboxConfig,
)
from evorelay.edge.auth import Authenticator
from evorelay.edge.downloads import Downloads, public_web
from evorelay.edge.evolution.client import EvolutionClient, open_gateway
from evorelay.edge.http.app import make_app
from evorelay.edge.http.deps import HttpDeps
from evorelay.model.clock import now_ms
from evorelay.model.envelope import Envelope
from evorelay.model.ids import new_id
from evorelay.protocol.manners import Manners
from evorelay.relay.blobs import BlobStore
from evorelay.relay.cache import RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.comparison import Comparer
from evorelay.relay.desk import Desk
from evorelay.relay.erased import Erased
from evorelay.relay.erasing import Eraser
from evorelay.relay.health import Health, Surroundings
from evorelay.relay.hub import Hub
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import Journal
from evorelay.relay.lanes import Lanes
from evorelay.relay.ledger import Ledger
from evorelay.relay.outbox import Outbox
from evorelay.relay.overview import Overview, standing
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reading import Reader
from evorelay.relay.reads import Reads
from evorelay.relay.reconciler import Reconciler
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.replay import Replay
from evorelay.relay.sessions import Sessions
from evorelay.relay.store_probe import StoreProbe
from evorelay.relay.trace import Traces
from evorelay.relay.uploads import Uploads
from evorelay.storage.open import Storage, open_storage
from evorelay.telemetry.metrics import PrometheusMetrics, Totals
from tests.engine.watched import Evolution
from tests.support.backups import backups_of

SECRET = "http-tests-secret-" + "0123456789abcdef" * 3
EVOLUTION_KEY = "http-tests-key-of-evolution"
GIB = 1 << 30
FAST = OutboxConfig(
    rate=10_000, burst=10_000, recipient_rate=10_000, recipient_burst=10_000, settle_after=0.1
)
UPLOAD_BYTES_MAX = 300_000


class World:
    """``free_bytes`` is what the disk pretends to have."""

    def __init__(
        self,
        storage: Storage,
        blobs: BlobStore,
        auth: AuthConfig,
        client: EvolutionClient,
        patience_s: float,
    ) -> None:
        self.storage, self.blobs = storage, blobs
        self.free_bytes = 100 * GIB
        self.registry = CollectorRegistry()
        self.reads = Reads(storage.readers)
        self.totals = Totals()
        metrics = PrometheusMetrics(self.registry, self.totals)
        cache = RecentEvents(ttl_ms=60_000, bytes_max=1 << 20)
        catchup = CatchUp(cache, self.reads, metrics)
        self.hub = Hub(cache, catchup, metrics, position=storage.readers[0].position())
        ledger = Ledger(storage.writer, self.hub, new_id=new_id, now=now_ms)
        self.journal = Journal(
            storage.journal, metrics, free_bytes=lambda: self.free_bytes, free_bytes_min=GIB
        )
        signals = InstanceSignals()
        news = InstanceNews(ledger, signals)
        manners = Manners(zone=ZoneInfo("America/Sao_Paulo"))
        self.lanes = Lanes(client, ledger, self.reads, signals, FAST, manners, metrics, now=now_ms)
        self.pipeline = Pipeline(
            self.journal,
            ledger,
            Reader(blobs),
            news,
            self.lanes,
            metrics,
            now=now_ms,
            reopen_within_ms=3_600_000,
        )
        self.desk = Desk(self.reads, ledger, self.hub)
        self.evolution = Evolution()
        reconnects = Reconnects(
            self.evolution, ledger, self.reads, news, cooldown_s=60.0, now=now_ms
        )
        self.reconciler = Reconciler(
            client,
            Comparer(
                client,
                self.journal,
                ledger,
                metrics,
                handled=lambda: self.pipeline.cursor,
                now=now_ms,
                rows_max=10_000,
                settle_s=0.0,
                retry_s=(),
            ),
            self.reads,
            ledger,
            signals,
            metrics,
            silence_s=3600.0,
            back_s=86_400.0,
            new_id=new_id,
            now=now_ms,
        )
        self.uploads = Uploads(
            blobs,
            ledger,
            self.reads,
            Downloads(
                blobs,
                bytes_max=UPLOAD_BYTES_MAX,
                may_reach=public_web,
                tls=ssl.create_default_context(),
            ),
            media_of=self.desk.media_of,
            refusal=lambda: self.journal.refusal,
            bytes_max=UPLOAD_BYTES_MAX,
        )
        self.sessions = Sessions(self.hub, metrics, now=now_ms)
        self.overview = Overview(
            self.totals,
            self.reads,
            partial(standing, self.sessions, self.pipeline, self.lanes),
            now=now_ms,
        )
        self.health = Health(
            self.journal,
            self.pipeline,
            StoreProbe(self.reads, ledger, storage.maintenance, now=now_ms),
            self.sessions,
            metrics,
            now=now_ms,
            free_bytes=lambda: self.free_bytes,
            free_bytes_min=GIB,
            limits=HealthConfig(),
            surroundings=Surroundings(),
        )
        self.outbox = Outbox(
            ledger,
            self.reads,
            self.lanes,
            client,
            self.uploads,
            manners,
            metrics,
            reopen_within_ms=3_600_000,
            queued_max=FAST.max_queued,
            same_command_within_ms=10_000,
        )
        self.backups = backups_of(storage, ledger, self.reads, metrics)
        self.app: QuartTrio = make_app(
            HttpDeps(
                desk=self.desk,
                replay=Replay(
                    self.reads,
                    ledger,
                    self.journal,
                    Reader(blobs),
                    handled=lambda: self.pipeline.cursor,
                    reopen_within_ms=3_600_000,
                ),
                eraser=Eraser(
                    ledger,
                    self.reads,
                    self.journal,
                    blobs,
                    storage.maintenance,
                    Erased.load(storage.directory),
                    handled=lambda: self.pipeline.cursor,
                    forget=lambda taken: self.desk.forget(id_ for id_, _ in taken.tickets),
                    now=now_ms,
                    settled_ms=10,
                ),
                reconnects=reconnects,
                reconciler=self.reconciler,
                blobs=blobs,
                uploads=self.uploads,
                outbox=self.outbox,
                evolution=client,
                secrets=(SECRET, EVOLUTION_KEY),
                patience_s=patience_s,
                overview=self.overview,
                traces=Traces(self.reads, self.journal),
                backups=self.backups,
                sessions=self.sessions,
                health=self.health,
                authenticator=Authenticator(auth, None, now_ms),
                metrics=metrics,
                registry=self.registry,
                auth=auth,
                scrape=MetricsConfig(),
                version="9.9.9",
                started_at=trio.current_time(),
            )
        )
        self._whatsapp_ids = itertools.count(1)

    async def webhook(self, body: dict[str, Any]) -> None:
        """Store one webhook and wait until it is applied."""
        envelope = Envelope(
            received_at=now_ms(),
            event=body["event"],
            instance=body["instance"],
            body=msgspec.json.encode(body),
        )
        seq = await self.journal.submit(envelope)
        with trio.fail_after(30):
            while self.pipeline.cursor < seq:
                await trio.sleep(0.001)

    async def message(self, phone: str, text: str, instance: str = "loja") -> None:
        number = next(self._whatsapp_ids)
        await self.webhook(
            {
                "event": "messages.upsert",
                "instance": instance,
                "data": {
                    "key": {
                        "remoteJid": f"{phone}@s.whatsapp.net",
                        "fromMe": False,
                        "id": f"3EB0{number:016d}",
                    },
                    "pushName": f"Cliente {phone[-2:]}",
                    "message": {"conversation": text},
                    "messageType": "conversation",
                    "messageTimestamp": now_ms() // 1000 - 1000 + number,
                },
            }
        )

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        token: str | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
        peer: str | None = "127.0.0.1",
    ) -> Response:
        """One request. ``body`` is sent as JSON, bytes as they are."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        client = self.app.test_client()
        return await client.open(  # type: ignore[call-arg]  # ``json`` has a default in fact
            path, method=method, headers=sent, data=data, scope_base={"evorelay.peer": peer}
        )

    async def get(self, path: str, token: str | None) -> Any:
        """The JSON of a 200."""
        response = await self.ask(path, token=token)
        assert response.status_code == 200, await response.get_data()
        return await response.get_json()


@asynccontextmanager
async def open_world(
    tmp_path: Path, *, evolution: str | None = None, patience_s: float = 0.2, **auth: Any
) -> AsyncIterator[World]:
    """``evolution``: the address of one whose key is ``EVOLUTION_KEY``; without it replies wait.

    ``patience_s`` is the old endpoints'.
    """
    config = EvolutionConfig(url=evolution, api_key=EVOLUTION_KEY)
    with open_storage(tmp_path, None) as storage:
        blobs = await BlobStore.open(tmp_path / "blobs")
        async with (
            open_gateway(config, MediaConfig(), blobs) as client,
            trio.open_nursery() as nursery,
        ):
            auth_config = AuthConfig(jwt_secret=SECRET, **auth)
            world = World(storage, blobs, auth_config, client, patience_s)
            await nursery.start(world.lanes.run)
            await nursery.start(world.journal.run)
            await nursery.start(world.pipeline.run)
            await nursery.start(world.health.run)
            await nursery.start(world.overview.run)
            yield world
            nursery.cancel_scope.cancel()


def token(
    role: str | None = "agent",
    instances: list[str] | str = "*",
    sub: str = "ana",
    ttl_s: int = 86_400,
) -> str:
    claims: dict[str, Any] = {"sub": sub, "exp": now_ms() // 1000 + ttl_s}
    if role is not None:
        claims["app_metadata"] = {"evorelay": {"role": role, "instances": instances}}
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def text_of(response: Response) -> str:
    data = await response.get_data()
    return data if isinstance(data, str) else data.decode()


async def error_of(response: Response) -> tuple[int, str]:
    """Status and code; checks the form of the error on the way."""
    body = await response.get_json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    return response.status_code, body["error"]["code"]
