"""A running simulator, as tests hold it: where it answers, what it is told, what it has sent."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio
from msgspec import convert
from msgspec.structs import replace

from evorelay.simulator.aftermath import QUIET
from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import Message, row_id
from evorelay.simulator.connections import Connections
from evorelay.simulator.conversations import file_for
from evorelay.simulator.emission import Emission
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.media import FilesIn
from evorelay.simulator.misbehaviour import Chances, Misbehaviour, Trouble
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.sender import Sender, Sent
from evorelay.simulator.station import Condition, State, Station


class Simulator:
    """Its methods take effect at once, whether they are awaited for or not."""

    def __init__(
        self,
        stations: Mapping[str, Station],
        *,
        api_key: str,
        seed: int,
        trouble: Trouble,
        sender: Sender,
        connections: Connections,
        scenario: Scenario,
        archive: Archive,
        ledger: Ledger,
        emit: Callable[[Emission], Awaitable[None]],
        now_s: Callable[[], float],
    ) -> None:
        self.url = ""
        """Of the REST API, once it listens."""
        self.fingerprint: str | None = None
        """SHA-256 of its certificate in hex, where it speaks TLS."""
        self.certificate: bytes | None = None
        """The same certificate as PEM, for whoever trusts a CA file."""
        self.api_key = api_key
        self.stations = stations
        self.ledger = ledger
        self.needs_licence = False
        """Every call is answered 503 as 2.4 does until it is activated."""
        self._trouble = trouble
        self._sender = sender
        self._connections = connections
        self._scenario = scenario
        self._archive = archive
        self._emit = emit
        self._now_s = now_s
        self._rng = random.Random(f"customers {seed} {scenario.start_ms}")

    def serves_at(self, url: str) -> None:
        self.url = url
        for station in self.stations.values():
            station.media_url = f"{url}/simulator/media"

    @property
    def instances(self) -> list[str]:
        return list(self.stations)

    def misbehave(self, kind: str, **more: Any) -> None:
        """The next calls go wrong; ``more`` as the fields of ``Misbehaviour``. Raises
        ``msgspec.ValidationError`` for what it does not know."""
        self.ask_for(convert({"kind": kind, **more}, Misbehaviour))

    def ask_for(self, misbehaviour: Misbehaviour) -> None:
        self._trouble.ask_for(misbehaviour)

    def chance(self, chances: Chances) -> None:
        self._trouble.chances = chances

    def sent(self) -> list[Sent]:
        """What reached WhatsApp, in that order, whatever the client was told."""
        return self._sender.sent()

    def counts(self) -> Counter[tuple[str, str]]:
        """How often each (recipient, text) reached WhatsApp."""
        return self._sender.counts()

    def set_condition(self, instance: str, condition: Condition) -> None:
        """Evolution posts nothing about it; ``instance/restart`` cures it."""
        self.stations[instance].condition = condition

    async def set_state(
        self, instance: str, state: State, *, reason: int | None = None, is_told: bool = True
    ) -> None:
        """The instance's connection opens or closes; ``is_told``: with a ``connection.update``."""
        station = self.stations[instance]
        if is_told:
            await self._connections.become(station, state, reason=reason)
        else:
            station.state = state

    async def log_out(self, instance: str) -> None:
        """From its phone: it has to be paired again."""
        await self._connections.log_out(self.stations[instance])

    async def scan(self, instance: str) -> None:
        """Pair it, as if somebody scanned its code."""
        await self._connections.scan(self.stations[instance])

    async def flood(self, instance: str, count: int) -> None:
        """So many ``connection.update`` in a row, 112 a second."""
        await self._connections.flood(self.stations[instance], count)

    def drop_webhooks(self, seconds: float, instance: str | None = None) -> None:
        """For so long what happens is in the database and nobody is told; 0 ends it."""
        for name, station in self.stations.items():
            if instance in (None, name):
                station.silent_until = trio.current_time() + seconds

    def wipe_webhook(self, instance: str) -> None:
        """As 2.3 was seen to do when its container restarts (evolution-api#2694)."""
        station = self.stations[instance]
        station.webhook_url = ""
        station.webhook_events = ()
        station.webhook_headers = None

    def put_files(self, where: FilesIn) -> None:
        """How files come with webhooks from now on."""
        for station in self.stations.values():
            station.files_in = where

    async def say(self, instance: str, text: str, *, kind: str = "text", person: int = 0) -> str:
        """A customer writes, the one of that number among the instance's people; its id."""
        station = self.stations[instance]
        author = station.instance.people[person]
        at_s = self._now_s()
        message = Message(
            id=station.dialect.new_id(self._rng, author, through_api=False),
            row_id=row_id(self._rng),
            chat=author,
            author=author,
            sent_ms=self._scenario.start_ms + round(at_s * 1000),
            text=text,
            kind=kind,
            media=file_for(kind, self._rng, number=1),
            address=station.address_of(author),
        )
        heard, *others = self._scenario.webhooks_of(station, message, at_s, self._rng, QUIET)
        self._archive.keep(heard)
        await self._emit(replace(heard, is_lost=station.is_silent))
        for emission in others:
            await self._emit(emission)
        return message.id
