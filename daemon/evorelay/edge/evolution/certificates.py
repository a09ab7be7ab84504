"""How long Evolution's certificates are good for: looked at now and then, before they end.

One that is pinned is left out: of it neither dates nor names count (``trust.py``).
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import trio
from msgspec import Struct

from evorelay.config import EvolutionConfig
from evorelay.edge.evolution.peek import peek_certificate
from evorelay.edge.evolution.routes import trust_of
from evorelay.edge.evolution.trust import Trust
from evorelay.model.outcome import GatewayFault

LOOK_EVERY_S = 12 * 3600.0
RETRY_S = 600.0
"""After a look that failed, as at an Evolution that starts after us."""


class Server(Struct, frozen=True):
    host: str
    port: int
    trust: Trust


class Certificates:
    """``until`` is Unix milliseconds by ``host:port``, of those that were seen."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self.until: dict[str, int] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled. Whether a certificate is trusted, each call finds out itself."""
        task_status.started()
        if not self._servers:
            await trio.sleep_forever()
        while True:
            looks = [await self._look(server) for server in self._servers]
            await trio.sleep(LOOK_EVERY_S if all(looks) else RETRY_S)

    async def _look(self, server: Server) -> bool:
        try:
            seen = await peek_certificate(server.host, server.port, server.trust)
        except (GatewayFault, OSError):
            return False  # health says already that it does not answer
        until = int(seen.not_after.timestamp() * 1000)
        self.until[f"{server.host}:{server.port}"] = until
        return True


def servers_of(config: EvolutionConfig) -> list[Server]:
    """Each server whose certificate has an end that matters, once."""
    return list(dict.fromkeys(_servers(config)))


def _servers(config: EvolutionConfig) -> Iterator[Server]:
    for own in (None, *config.instances.values()):
        url = urlsplit((own and own.url) or config.url or "")
        trust = trust_of(config, own)
        if url.scheme == "https" and url.hostname and trust.fingerprint is None:
            yield Server(url.hostname, url.port or 443, trust)
