"""What the HTTP application works with."""

from msgspec import Struct
from prometheus_client import CollectorRegistry

from evorelay.config import AuthConfig, MetricsConfig
from evorelay.edge.auth import Authenticator
from evorelay.relay.blobs import BlobStore
from evorelay.relay.desk import Desk
from evorelay.relay.health import Health
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.replay import Replay
from evorelay.relay.sessions import Sessions
from evorelay.telemetry.metrics import Metrics


class HttpDeps(Struct, frozen=True, kw_only=True):
    desk: Desk
    replay: Replay
    reconnects: Reconnects
    blobs: BlobStore
    sessions: Sessions
    health: Health
    authenticator: Authenticator
    metrics: Metrics
    registry: CollectorRegistry
    """What ``/metrics`` shows."""
    auth: AuthConfig
    scrape: MetricsConfig
    version: str
    started_at: float
    """Trio's clock: uptime must not jump with the wall clock."""
