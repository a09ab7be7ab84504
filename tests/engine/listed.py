"""An Evolution that has a list of messages, and a reconciler that compares it with a world's."""

from collections.abc import Sequence
from typing import Any

import trio

from evorelay.model.outcome import FaultKind, FoundPage, GatewayFault, MessageWindow
from evorelay.relay.comparison import Comparer
from evorelay.relay.reconciler import Reconciler
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.evolution import PlayedEvolution
from tests.engine.harness import HOUR, NEW_ID, T0, World

PHONE = "5531988887777"
UNREACHABLE = GatewayFault(FaultKind.GATEWAY_DOWN, "unreachable", "Evolution cannot be reached.")


def row(id_: str, text: str = "oi", *, at: int = T0, **fields: Any) -> dict[str, Any]:
    """As 2.3 answers; ``at`` is Unix ms, ``from_me`` and ``statuses`` may be given."""
    statuses: Sequence[str] = fields.pop("statuses", ())
    key = {
        "id": id_,
        "fromMe": fields.pop("from_me", False),
        "remoteJid": f"{PHONE}@s.whatsapp.net",
    }
    return {
        "id": f"row-{id_}",
        "key": key,
        "pushName": "Ana",
        "messageType": "conversation",
        "message": {"conversation": text},
        "messageTimestamp": at // 1000,
        "MessageUpdate": [{"status": status} for status in statuses],
        **fields,
    }


def reaction(id_: str, target: str, *, at: int = T0) -> dict[str, Any]:
    message = {"reactionMessage": {"key": {"id": target}, "text": "👍"}}
    return row(id_, at=at, message=message, messageType="reactionMessage")


class ListedEvolution(PlayedEvolution):
    """``rows`` by instance; ``generation`` 1 knows neither windows nor pages."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        super().__init__(lambda: T0)
        self.rows: dict[str, list[dict[str, Any]]] = rows
        self.hosts: dict[str, str] = {}
        self.generation = 2
        self.faults: list[GatewayFault] = []
        """Raised by the next calls, in this order."""
        self.answered = 0
        """Rows that went out."""
        self.most = 0
        """Of them in one answer."""
        self.asked: list[str] = []
        self.hangs: set[str] = set()
        self.hung = trio.Event()
        self.said: dict[str, list[str]] = {}
        """Statuses by WhatsApp id."""

    def host(self, instance: str) -> str | None:
        return self.hosts.get(instance, "evolution:8080")

    async def probe(self, instance: str) -> None: ...

    async def find_messages(
        self, instance: str, window: MessageWindow, *, page: int, page_size: int
    ) -> FoundPage:
        await self._called(instance)
        rows = sorted(
            self.rows.get(instance, []), key=lambda row: row["messageTimestamp"], reverse=True
        )
        if self.generation == 1:
            return self._out(rows[:page_size], 1)
        since, until = window.since_ms, window.until_ms
        assert since is not None
        assert until is not None
        inside = [r for r in rows if since <= r["messageTimestamp"] * 1000 <= until]
        first = (page - 1) * page_size
        return self._out(inside[first : first + page_size], -(-len(inside) // page_size))

    async def statuses(self, instance: str, whatsapp_id: str) -> list[str]:
        await self._called(instance)
        return self.said.get(whatsapp_id, [])

    async def _called(self, instance: str) -> None:
        self.asked.append(instance)
        await trio.lowlevel.checkpoint()
        if instance in self.hangs:
            self.hung.set()
            await trio.sleep_forever()
        if self.faults:
            raise self.faults.pop(0)

    def _out(self, rows: list[dict[str, Any]], pages: int) -> FoundPage:
        self.answered += len(rows)
        self.most = max(self.most, len(rows))
        return FoundPage(records=rows, pages=pages)


class Counted(NopMetrics):
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.outcomes: list[tuple[str, str]] = []

    def recovered(self, kind: str) -> None:
        self.kinds.append(kind)

    def reconciled(self, trigger: str, outcome: str) -> None:
        self.outcomes.append((trigger, outcome))


def comparer(
    world: World,
    evolution: ListedEvolution,
    metrics: NopMetrics,
    *,
    rows_max: int = 10_000,
    **changed: Any,
) -> Comparer:
    return Comparer(
        evolution,
        world.journal,
        world.ledger,
        metrics,
        handled=lambda: world.pipeline.cursor,
        now=world.now,
        rows_max=rows_max,
        **{"settle_s": 0.0, "retry_s": (0.0, 0.0), **changed},
    )


class Reconciled:
    """A reconciler over a world; ``settled`` waits until it has nothing to do."""

    def __init__(self, world: World, evolution: ListedEvolution, **changed: Any) -> None:
        self.metrics = Counted()
        self.reconciler = Reconciler(
            evolution,
            comparer(world, evolution, self.metrics),
            world.reads,
            world.ledger,
            world.signals,
            self.metrics,
            **{
                "silence_s": HOUR / 1000,
                "back_s": 24 * HOUR / 1000,
                "new_id": NEW_ID,
                "now": world.now,
                "opened_s": 0.0,
                "tick_s": 0.01,
                **changed,
            },
        )

    async def has_heard(self, instance: str, state: str) -> None:
        with trio.fail_after(30):
            while (instance in self.reconciler._open) != (state == "open"):
                await trio.sleep(0.002)

    async def ended(self, count: int = 1) -> None:
        with trio.fail_after(30):
            while len(self.metrics.outcomes) < count:
                await trio.sleep(0.002)
