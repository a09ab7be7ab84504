"""The watch: every instance is looked at, again and again, whatever it says of itself.

One task per instance, so that a slow one delays no other; a few calls at a time to one Evolution.
An Evolution that is away is asked once per round and not once per instance.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
from msgspec import Struct

from evorelay.model.errors import RelayError
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.records import InstanceRecord
from evorelay.relay.gateway import Gateway
from evorelay.relay.instance_look import NO_INSTANCE, Looks
from evorelay.relay.reads import Reads
from evorelay.relay.reconnects import Reconnects

log = logging.getLogger(__name__)

T = TypeVar("T")

WATCHED_MAX = 1000
CALLS_MAX = 4
"""At a time to one Evolution, beside its replies."""
FIRST_LOOKS_S = 5.0
"""Over which the first looks after a start are spread."""
DISCOVER_S = 5.0


class Troubles(Struct, frozen=True):
    """What is wrong with instances, for health and metrics: names, or ``host: why``."""

    unreachable: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    """They say they are open, and WhatsApp does not answer through them."""
    missing: tuple[str, ...] = ()
    """Their Evolution does not have them."""
    unasked: tuple[tuple[str, str], ...] = ()
    """(instance, why): their Evolution answers, but not how they are."""
    unregistered: tuple[str, ...] = ()


class _Host:
    """One Evolution: its turns, and the fault that spares the others of the round theirs."""

    def __init__(self) -> None:
        self.turns = trio.CapacityLimiter(CALLS_MAX)
        self.fault: GatewayFault | None = None
        self.failed_at = 0.0

    async def asked(self, call: Callable[[], Awaitable[T]], *, round_s: float) -> T:
        async with self.turns:
            # Half a round: whoever's fault it was has to ask itself, the next time.
            if self.fault is not None and trio.current_time() - self.failed_at < round_s / 2:
                # Not the same object: every raise would add to its traceback.
                raise GatewayFault(self.fault.kind, self.fault.code, self.fault.message)
            try:
                answer = await call()
            except GatewayFault as fault:
                if fault.kind in (FaultKind.GATEWAY_DOWN, FaultKind.LICENCE):
                    self.fault, self.failed_at = fault, trio.current_time()
                raise
            self.fault = None
            return answer


class InstanceWatch:
    def __init__(
        self,
        gateway: Gateway,
        reads: Reads,
        looks: Looks,
        reconnects: Reconnects,
        *,
        poll_every_s: float,
        rand: Callable[[], float],
    ) -> None:
        self._gateway = gateway
        self._reads = reads
        self._looks = looks
        self._reconnects = reconnects
        self._poll_every_s = poll_every_s
        self._rand = rand
        self._hosts: dict[str, _Host] = {}
        self._rows: dict[str, InstanceRecord] = {}
        """Of each watched instance, as its last look found it."""
        self._faults: dict[str, GatewayFault] = {}
        """Why the last look at an instance learned nothing."""
        self._followed: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled; instances that appear later are watched as well."""
        self._followed.clear()
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                for name in await self._names():
                    if name not in self._followed and len(self._followed) < WATCHED_MAX:
                        self._followed.add(name)
                        nursery.start_soon(self._follow, name)
                await trio.sleep(DISCOVER_S)

    def troubles(self) -> Troubles:
        rows = [row for _, row in sorted(self._rows.items()) if row.cause != "removed"]
        # An Evolution that cannot be asked is told of as such, not with each of its instances.
        faults = {
            row.name: self._faults[row.name]
            for row in rows
            if row.name in self._faults and not self._is_unreachable(row.name)
        }
        return Troubles(
            unreachable=tuple(
                f"{name}: {host.fault.message}"
                for name, host in sorted(self._hosts.items())
                if host.fault is not None
            ),
            suspected=tuple(
                row.name
                for row in rows
                if row.suspicion is not None and row.name not in self._faults
            ),
            missing=tuple(name for name, fault in faults.items() if fault.code == NO_INSTANCE),
            unasked=tuple(
                (name, fault.message) for name, fault in faults.items() if fault.code != NO_INSTANCE
            ),
            unregistered=tuple(row.name for row in rows if _is_unregistered(row)),
        )

    def _is_unreachable(self, name: str) -> bool:
        host = self._hosts.get(self._gateway.host(name) or "")
        return host is not None and host.fault is not None

    async def look(self, name: str) -> None:
        """One look at one instance, and whatever has to be done about it.

        Raises ``StoreUnavailable``.
        """
        row = await self._reads(lambda reader: reader.instance(name))
        is_removed = row is not None and row.cause == "removed"
        if not is_removed and self._gateway.is_configured(name):
            row, fault = await self._looks.look(name, row, self._asker(name))
            self._faults.pop(name, None)
            if fault is not None:
                self._faults[name] = fault
            await self._reconnects.automatically(row)
        if row is not None:
            self._rows[name] = row

    async def _follow(self, name: str) -> None:
        await trio.sleep(self._rand() * min(FIRST_LOOKS_S, self._poll_every_s))
        while True:
            try:
                await self.look(name)
            except RelayError as error:
                log.warning("instance %s could not be looked at: %s", name, error)
            except Exception as error:  # a bug met this look: the other instances are watched on
                log.error(
                    "looking at an instance met a bug", exc_info=error, extra={"instance": name}
                )
            await trio.sleep(self._poll_every_s * (0.9 + 0.2 * self._rand()))

    async def _names(self) -> list[str]:
        """Of the store and of the configuration; only the latter while the store is away."""
        names = list(self._gateway.instances())
        try:
            rows = await self._reads(lambda reader: reader.instances())
        except RelayError as error:
            log.warning("the list of instances could not be read: %s", error)
        else:
            names += [row.name for row in rows]
        return names

    def _asker(self, name: str) -> Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]:
        host = self._hosts.setdefault(self._gateway.host(name) or "", _Host())

        def ask(call: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
            return host.asked(call, round_s=self._poll_every_s)

        return ask


def _is_unregistered(row: InstanceRecord) -> bool:
    return row.registration is not None and row.registration["state"] != "ok"
