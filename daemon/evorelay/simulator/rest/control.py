"""``/simulator/*``: what tests ask the simulator for, over HTTP as by ``Simulator``'s methods."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from evorelay.model.errors import ConfigError
from evorelay.simulator.controls import Simulator
from evorelay.simulator.media import FilesIn
from evorelay.simulator.misbehaviour import Chances, Misbehaviour
from evorelay.simulator.rest.call import RestError
from evorelay.simulator.rest.wire import Answer, Request, as_json
from evorelay.simulator.station import Condition, State

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Asked = TypeVar("Asked")


class InstanceChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    instance: str
    state: State | None = None
    reason: int | None = None
    is_told: bool = True
    """Whether ``state`` is posted as ``connection.update``."""
    condition: Condition | None = None
    logged_out: bool = False
    scanned: bool = False
    flood: Annotated[int, Meta(ge=0, le=10_000)] = 0


class WebhookChange(Struct, frozen=True, forbid_unknown_fields=True):
    drop_s: Seconds | None = None
    instance: str | None = None
    """Whose webhooks are dropped; None: everybody's."""
    wipe: str | None = None
    """Whose registration is wiped."""
    files_in: FilesIn | None = None


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    instance: str
    text: str = ""
    kind: str = "text"
    person: Annotated[int, Meta(ge=0, le=15)] = 0


class Licence(Struct, frozen=True, forbid_unknown_fields=True):
    is_missing: bool


class Control:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._posts: dict[str, Callable[[bytes], Awaitable[Answer]]] = {
            "misbehave": self._misbehave,
            "chance": self._chance,
            "instance": self._instance,
            "webhooks": self._webhooks,
            "say": self._say,
            "licence": self._licence,
        }

    @property
    def needs_licence(self) -> bool:
        return self._simulator.needs_licence

    async def __call__(self, request: Request, path: list[str]) -> Answer:
        """``path`` is what follows ``/simulator/``. Raises ``RestError``."""
        door = path[0] if path else ""
        if request.method == "POST" and door in self._posts:
            return await self._posts[door](request.body)
        if request.method == "GET" and door == "ledger":
            return self._ledger()
        if request.method == "GET" and door == "sent":
            return self._sent()
        raise RestError(404, [f"Cannot {request.method} {request.path}"])

    async def _misbehave(self, body: bytes) -> Answer:
        asked = _read(body, Misbehaviour)
        self._simulator.ask_for(asked)
        return as_json(asked)

    async def _chance(self, body: bytes) -> Answer:
        asked = _read(body, Chances)
        self._simulator.chance(asked)
        return as_json(asked)

    async def _instance(self, body: bytes) -> Answer:
        asked = _read(body, InstanceChange)
        self._known(asked.instance)
        simulator, name = self._simulator, asked.instance
        if asked.condition is not None:
            simulator.set_condition(name, asked.condition)
        if asked.logged_out:
            await simulator.log_out(name)
        if asked.scanned:
            await simulator.scan(name)
        if asked.state is not None:
            await simulator.set_state(name, asked.state, reason=asked.reason, is_told=asked.is_told)
        await simulator.flood(name, asked.flood)
        return as_json(asked)

    async def _webhooks(self, body: bytes) -> Answer:
        asked = _read(body, WebhookChange)
        for name in (asked.instance, asked.wipe):
            if name is not None:
                self._known(name)
        if asked.drop_s is not None:
            self._simulator.drop_webhooks(asked.drop_s, asked.instance)
        if asked.wipe is not None:
            self._simulator.wipe_webhook(asked.wipe)
        if asked.files_in is not None:
            self._simulator.put_files(asked.files_in)
        return as_json(asked)

    async def _say(self, body: bytes) -> Answer:
        asked = _read(body, Words)
        station = self._simulator.stations[self._known(asked.instance)]
        if asked.kind not in station.dialect.kinds:
            raise RestError(400, [f"No kind of message here: {asked.kind}"])
        said = await self._simulator.say(
            asked.instance, asked.text, kind=asked.kind, person=asked.person
        )
        return as_json({"id": said})

    async def _licence(self, body: bytes) -> Answer:
        asked = _read(body, Licence)
        self._simulator.needs_licence = asked.is_missing
        return as_json(asked)

    def _sent(self) -> Answer:
        counts = [
            {"recipient": recipient, "text": text, "count": count}
            for (recipient, text), count in self._simulator.counts().items()
        ]
        sent = [
            {
                "instance": one.instance,
                "recipient": one.recipient,
                "type": one.type,
                "text": one.text,
                "id": one.id,
                "at_s": one.at_s,
                "quotes": one.quotes,
            }
            for one in self._simulator.sent()
        ]
        return as_json({"sent": sent, "counts": counts})

    def _ledger(self) -> Answer:
        ledger = self._simulator.ledger
        return as_json(
            {
                "totals": ledger.totals,
                "by_event": ledger.by_event,
                "forgotten": ledger.forgotten,
                "messages": ledger.messages(),
            }
        )

    def _known(self, instance: str) -> str:
        if instance not in self._simulator.stations:
            raise RestError(404, [f'The "{instance}" instance does not exist'])
        return instance


def _read(body: bytes, type_: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, ConfigError) as error:
        raise RestError(400, [str(error)]) from None
