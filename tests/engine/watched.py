"""An Evolution as the engine sees it, whose instances a test sets, and a watch over them."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import trio

from evorelay.config import EvolutionConfig, WebhookConfig
from evorelay.model.outcome import (
    Accepted,
    FaultKind,
    FetchedMedia,
    FoundPage,
    GatewayFault,
    MessageWindow,
    Pairing,
    Registration,
)
from evorelay.model.outgoing import Delivery, Outgoing
from evorelay.model.records import InstanceRecord
from evorelay.protocol.registration import wanted
from evorelay.relay.instance_look import Looks
from evorelay.relay.instances import Instances
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.watch import InstanceWatch
from tests.engine.harness import World

SECRET = "the-secret-of-this-relay"
OURS = wanted(f"https://relay.example/hook/{SECRET}", None, base64=False)
DOWN = GatewayFault(FaultKind.GATEWAY_DOWN, "unreachable", "Evolution cannot be reached: refused.")


class Evolution:
    """A ``Gateway`` without HTTP. ``faults`` by method win over answers."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.hosts: dict[str, str] = {}
        self.states: dict[str, str | None] = dict.fromkeys(names, "open")
        self.registrations: dict[str, Registration | None] = dict.fromkeys(names, OURS)
        self.pairing = Pairing(state="connecting")
        self.faults: dict[str, GatewayFault] = {}
        self.stuck = trio.Event()
        """Calls about instances of a host named ``hangs`` wait for it."""
        self.calls: Counter[str] = Counter()

    def is_configured(self, instance: str) -> bool:
        return instance not in self.hosts or bool(self.hosts[instance])

    def host(self, instance: str) -> str | None:
        return self.hosts.get(instance, "evolution:8080")

    def instances(self) -> Sequence[str]:
        return self.names

    async def connection_state(self, instance: str) -> str | None:
        await self._called("connection_state", instance)
        return self.states[instance]

    async def registration(self, instance: str) -> Registration | None:
        await self._called("registration", instance)
        return self.registrations[instance]

    async def probe(self, instance: str) -> None:
        await self._called("probe", instance)

    async def connect(self, instance: str) -> Pairing:
        await self._called("connect", instance)
        return self.pairing

    async def restart(self, instance: str) -> None:
        await self._called("restart", instance)

    def patience_s(self, instance: str, outgoing: Outgoing) -> float:
        return 0.0

    async def send(self, instance: str, delivery: Delivery) -> Accepted:
        raise NotImplementedError

    async def find_messages(
        self, instance: str, window: MessageWindow, *, page: int, page_size: int
    ) -> FoundPage:
        raise NotImplementedError

    async def statuses(self, instance: str, whatsapp_id: str) -> list[str]:
        raise NotImplementedError

    async def media(self, instance: str, whatsapp_id: str) -> FetchedMedia:
        raise NotImplementedError

    async def register(self, instance: str, registration: Registration) -> None:
        raise NotImplementedError

    async def _called(self, method: str, instance: str) -> None:
        self.calls[method] += 1
        self.calls[f"{method} {instance}"] += 1
        await trio.lowlevel.checkpoint()
        if self.host(instance) == "hangs":
            await self.stuck.wait()
        fault = self.faults.get(method)
        if fault is not None:
            raise fault


class Watched:
    """A watch over ``evolution``, writing into a world's store."""

    def __init__(self, world: World, evolution: Evolution, **settings: Any) -> None:
        self.world = world
        self.evolution = evolution
        config = msgspec.structs.replace(EvolutionConfig(), **settings)
        self.signals = world.signals
        self.reconnects = Reconnects(
            evolution,
            world.ledger,
            world.reads,
            world.news,
            cooldown_s=config.reconnect_cooldown,
            now=world.now,
        )
        looks = Looks(
            evolution,
            world.ledger,
            world.news,
            evolution=config,
            webhook=WebhookConfig(secret=SECRET),
            public_url=None,
            now=world.now,
        )
        self.watch = InstanceWatch(
            evolution,
            world.reads,
            looks,
            self.reconnects,
            poll_every_s=config.poll_every,
            rand=lambda: 0.5,
        )

    async def look(self, name: str = "loja") -> InstanceRecord:
        """One look, and the row as it is then."""
        await self.watch.look(name)
        return self.row(name)

    def row(self, name: str = "loja") -> InstanceRecord:
        row = self.world.storage.readers[0].instance(name)
        assert row is not None
        return row

    def told(self, name: str = "loja") -> list[Any]:
        return [event["instance"] for event in self.world.events(f"instance:{name}")]

    async def know(self, name: str = "loja", **fields: Any) -> None:
        """Put a row into the store."""
        await self.world.ledger.change(partial(_put, name=name, fields=fields))


def _put(draft: Any, *, name: str, fields: dict[str, Any]) -> None:
    instances = Instances(draft, [name])
    instances.polled(name, "open", asked_at=draft.now)
    for field, value in fields.items():
        setattr(instances[name], field, value)
