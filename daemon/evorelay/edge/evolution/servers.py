"""What is known of one Evolution: the dialect it speaks, asked for once in ten minutes."""

from typing import Final

import trio

from evorelay.edge.evolution.wire import Outgoing, Wire
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.version import UNKNOWN_SERVER, Server, server_of

KNOWN_FOR_S: Final = 600.0
ASSUMED_FOR_S: Final = 60.0
"""Where it did not say what it is: it may be starting, or waiting for its licence."""
_ROOT_BYTES_MAX: Final = 64 * 1024
_ROOT_S: Final = 10.0


class Site:
    """One base URL. Nothing secret is sent to find out what it is."""

    def __init__(self, wire: Wire, base_url: str) -> None:
        self._wire = wire
        self._request = Outgoing(method="GET", url=f"{base_url}/", headers={})
        self._known: Server | None = None
        self._corrected: dict[str, Server] = {}
        self._until = 0.0
        self._failed_at = -1.0
        self._failure = ("", "")
        self._asking = trio.Lock()

    async def server(self, instance: str, deadline: float) -> Server:
        """What it is; assumed to be 2.x where it does not say. Raises ``GatewayFault``, "gateway
        down", when it does not answer: nothing was sent then."""
        came_at = trio.current_time()
        async with self._asking:  # many lanes want to know at once, one asks
            if self._failed_at >= came_at:  # the others do not wait as long again, in turn
                raise GatewayFault(FaultKind.GATEWAY_DOWN, *self._failure)
            if self._known is None or trio.current_time() >= self._until:
                try:
                    self._learn_from(await self._ask(deadline))
                except GatewayFault as fault:
                    # Who does not even say what it is does not take messages either.
                    self._failed_at = trio.current_time()
                    self._failure = (fault.code, fault.message)
                    raise GatewayFault(FaultKind.GATEWAY_DOWN, *self._failure) from fault
            assert self._known is not None
            return self._corrected.get(instance, self._known)

    def learn(self, instance: str, server: Server) -> None:
        """An answer showed what it is for this instance, until it is asked again: behind one
        address there may be several, with instances of their own."""
        self._corrected[instance] = server

    def learn_own_ids_are_ignored(self, instance: str) -> None:
        if self._known is not None:
            server = self._corrected.get(instance, self._known)
            self.learn(instance, Server(server.generation, takes_own_ids=False))

    async def _ask(self, deadline: float) -> bytes | None:
        soon = min(deadline, trio.current_time() + _ROOT_S)
        answer = await self._wire.exchange(self._request, bytes_max=_ROOT_BYTES_MAX, deadline=soon)
        return answer.body if answer.status == 200 and not answer.is_cut else None

    def _learn_from(self, root: bytes | None) -> None:
        said = None if root is None else server_of(root)
        self._known = said or UNKNOWN_SERVER
        self._until = trio.current_time() + (KNOWN_FOR_S if said else ASSUMED_FOR_S)
        self._corrected.clear()
