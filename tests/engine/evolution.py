"""An Evolution in memory, honest about what it sent: ``Gateway`` for tests of the engine alone.

What tests ask of it goes wrong in the order they asked; ``delivered`` is what WhatsApp has.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import trio

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

Trouble = Callable[["PlayedEvolution", str, Delivery], Awaitable[Accepted]]


class Sent(msgspec.Struct):
    instance: str
    number: str
    type: str
    text: str
    whatsapp_id: str
    at_ms: int
    from_me: bool = True

    @property
    def jid(self) -> str:
        return self.number if "@" in self.number else f"{self.number}@s.whatsapp.net"

    def row(self) -> dict[str, Any]:
        """As in ``chat/findMessages`` of 2.3."""
        return {
            "id": f"row-{self.whatsapp_id}",
            "key": {"id": self.whatsapp_id, "fromMe": self.from_me, "remoteJid": self.jid},
            "pushName": "Você",
            "messageType": "conversation",
            "message": {"conversation": self.text},
            "messageTimestamp": self.at_ms // 1000,
            "MessageUpdate": [],
        }


class PlayedEvolution:
    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.delivered: list[Sent] = []
        self.trouble: deque[Trouble] = deque()
        self.looked = 0
        self.calls = 0
        self.keeps_messages = True
        self.states: dict[str, str | GatewayFault] = {}
        self.latency_s = 0.0
        self.patience = 0.0
        self.unconfigured: set[str] = set()
        self.on_delivery: Callable[[Sent], Awaitable[None]] | None = None

    def is_configured(self, instance: str) -> bool:
        return instance not in self.unconfigured

    def host(self, instance: str) -> str | None:
        return "evolution:8080"

    def instances(self) -> Sequence[str]:
        return ()

    def patience_s(self, instance: str, outgoing: Outgoing) -> float:
        return self.patience

    async def send(self, instance: str, delivery: Delivery) -> Accepted:
        self.calls += 1
        if self.latency_s:
            await trio.sleep(self.latency_s)
        else:
            await trio.lowlevel.checkpoint()
        if self.trouble:
            return await self.trouble.popleft()(self, instance, delivery)
        state = self.states.get(instance, "open")
        if isinstance(state, GatewayFault):
            raise state
        if state != "open":
            raise down()
        return await self.deliver(instance, delivery)

    async def deliver(self, instance: str, delivery: Delivery) -> Accepted:
        sent = Sent(
            instance=instance,
            number=delivery.number,
            type=delivery.outgoing.type,
            text=delivery.outgoing.content,
            whatsapp_id=f"WA{len(self.delivered):06d}",
            at_ms=self._now(),
        )
        self.delivered.append(sent)
        if self.on_delivery is not None:
            await self.on_delivery(sent)
        return Accepted(whatsapp_id=sent.whatsapp_id, jid=sent.jid)

    async def find_messages(
        self, instance: str, window: MessageWindow, *, page: int, page_size: int
    ) -> FoundPage:
        self.looked += 1
        await trio.lowlevel.checkpoint()
        state = self.states.get(instance, "open")
        if isinstance(state, GatewayFault):
            raise state
        rows = [
            sent.row()
            for sent in reversed(self.delivered)
            if self.keeps_messages
            and sent.instance == instance
            and window.whatsapp_id in (None, sent.whatsapp_id)
            and (window.since_ms is None or sent.at_ms >= window.since_ms)
        ]
        first = (page - 1) * page_size
        pages = max(1, -(-len(rows) // page_size))
        return FoundPage(records=rows[first : first + page_size], pages=pages)

    async def connection_state(self, instance: str) -> str | None:
        await trio.lowlevel.checkpoint()
        state = self.states.get(instance, "open")
        if isinstance(state, GatewayFault):
            raise state
        return state

    async def statuses(self, instance: str, whatsapp_id: str) -> list[str]:
        return []

    async def probe(self, instance: str) -> None:
        if await self.connection_state(instance) != "open":
            raise down()

    async def connect(self, instance: str) -> Pairing:
        return Pairing(state="open")

    async def restart(self, instance: str) -> None: ...

    async def media(self, instance: str, whatsapp_id: str) -> FetchedMedia:
        raise GatewayFault(FaultKind.PERMANENT, "media_unavailable", "it has no file")

    async def registration(self, instance: str) -> Registration | None:
        return None

    async def register(self, instance: str, registration: Registration) -> None: ...


def down() -> GatewayFault:
    return GatewayFault(FaultKind.INSTANCE_DOWN, "instance_closed", "WhatsApp is not connected")


def refuses(kind: FaultKind, code: str = "played", **more: Any) -> Trouble:
    """It was not sent."""

    async def play(evolution: PlayedEvolution, instance: str, delivery: Delivery) -> Accepted:
        raise GatewayFault(kind, code, "played by a test", **more)

    return play


async def sends_and_does_not_say(
    evolution: PlayedEvolution, instance: str, delivery: Delivery
) -> Accepted:
    """It was sent, and the answer is lost."""
    await evolution.deliver(instance, delivery)
    raise GatewayFault(FaultKind.UNKNOWN, "cut", "the connection was cut")


async def hangs(evolution: PlayedEvolution, instance: str, delivery: Delivery) -> Accepted:
    await trio.sleep_forever()
    raise AssertionError


async def sends_and_hangs(
    evolution: PlayedEvolution, instance: str, delivery: Delivery
) -> Accepted:
    await evolution.deliver(instance, delivery)
    await trio.sleep_forever()
    raise AssertionError
