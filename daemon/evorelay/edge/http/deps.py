"""What the HTTP application works with."""

from typing import Protocol

from msgspec import Struct
from prometheus_client import CollectorRegistry

from evorelay.config import AuthConfig, MetricsConfig
from evorelay.edge.auth import Authenticator
from evorelay.relay.backups import Backups
from evorelay.relay.blobs import BlobStore
from evorelay.relay.desk import Desk
from evorelay.relay.erasing import Eraser
from evorelay.relay.gateway import Gateway
from evorelay.relay.health import Health
from evorelay.relay.outbox import Outbox
from evorelay.relay.overview import Overview
from evorelay.relay.reconciler import Reconciler
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.replay import Replay
from evorelay.relay.sessions import Sessions
from evorelay.relay.trace import Traces
from evorelay.relay.uploads import Uploads
from evorelay.telemetry.metrics import Metrics


class Evolution(Gateway, Protocol):
    """Evolution as this application needs it: ``edge/evolution/client.py``."""

    async def call(
        self, instance: str, method: str, path: str, body: bytes | None
    ) -> tuple[int, bytes]:
        """Ask the Evolution of an instance (``""``: the one of ``evolution.url``) with its key.

        ``path`` is encoded, with its query. Returns status and body, of at most 4 MiB; raises
        ``GatewayFault`` for what is no answer, a redirect included. Bounded in time.
        """


class HttpDeps(Struct, frozen=True, kw_only=True):
    desk: Desk
    replay: Replay
    eraser: Eraser
    outbox: Outbox
    evolution: Evolution
    secrets: tuple[str, ...]
    """Every configured one: they come out in no answer of Evolution's that is passed on."""
    reconnects: Reconnects
    reconciler: Reconciler
    backups: Backups
    blobs: BlobStore
    uploads: Uploads
    overview: Overview
    traces: Traces
    sessions: Sessions
    health: Health
    authenticator: Authenticator
    metrics: Metrics
    registry: CollectorRegistry
    """What ``/metrics`` shows."""
    auth: AuthConfig
    scrape: MetricsConfig
    version: str
    patience_s: float = 10.0
    """How long the old endpoints wait for Evolution before they answer that a message is queued."""
    started_at: float
    """Trio's clock: uptime must not jump with the wall clock."""
