"""What is known of one Evolution: the dialect it speaks, asked for once in ten minutes."""

from typing import Final

import trio

from evorelay.edge.evolution.wire import Outgoing, Wire
from evorelay.protocol.evolution.version import UNKNOWN_SERVER, Server, server_of

KNOWN_FOR_S: Final = 600.0
_ROOT_BYTES_MAX: Final = 64 * 1024
_ROOT_S: Final = 10.0


class Site:
    """One base URL. Nothing secret is sent to find out what it is."""

    def __init__(self, wire: Wire, base_url: str) -> None:
        self._wire = wire
        self._url = f"{base_url}/"
        self._known: Server | None = None
        self._until = 0.0
        self._asking = trio.Lock()

    @property
    def takes_own_ids(self) -> bool:
        return self._known is not None and self._known.takes_own_ids

    async def server(self, deadline: float) -> Server:
        """What it is; assumed to be 2.x where it does not say. Raises ``GatewayFault`` when it
        cannot be reached: nothing was sent then."""
        async with self._asking:  # many lanes want to know at once
            if self._known is None or trio.current_time() >= self._until:
                soon = min(deadline, trio.current_time() + _ROOT_S)
                request = Outgoing(method="GET", url=self._url, headers={})
                answer = await self._wire.exchange(
                    request, bytes_max=_ROOT_BYTES_MAX, deadline=soon
                )
                found = answer.status == 200 and not answer.is_cut
                self.learn(server_of(answer.body) if found else UNKNOWN_SERVER)
            assert self._known is not None
            return self._known

    def learn(self, server: Server) -> None:
        """An answer showed that it is another one than it seemed."""
        self._known = server
        self._until = trio.current_time() + KNOWN_FOR_S
