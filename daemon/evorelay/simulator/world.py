"""The parts of one run of the simulator, put together."""

import random
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import make_instances
from evorelay.simulator.connections import Connections
from evorelay.simulator.controls import Simulator
from evorelay.simulator.delivery import Credentials, Delivery
from evorelay.simulator.emission import Emission, disturb
from evorelay.simulator.http import Post
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.misbehaviour import Trouble
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.sender import Sender
from evorelay.simulator.station import Station

GRACE_S = 30.0
"""After the duration: time for what is under way, as long as one request may take."""
ARCHIVED_MESSAGES = 20_000


class World:
    """The parts of one run, which share its start, its stations and its ledger."""

    def __init__(
        self, options: SimulatorOptions, post: Post, listener: socket.socket | None
    ) -> None:
        instances = make_instances(options.instances, options.seed, options.dialects)
        self.stations = {i.name: Station(i, options.target) for i in instances}
        for station in self.stations.values():
            station.files_in = options.files_in
        self.started_at = trio.current_time()
        self.scenario = Scenario(
            self.stations,
            seed=options.seed,
            start_ms=time.time_ns() // 1_000_000,
            rate_per_minute=options.rate_per_minute,
        )
        self.ledger = Ledger()
        self._listener = listener
        self._has_rest = listener is not None or options.listen is not None
        keeps = self._has_rest and options.keeps_messages
        self.archive = Archive(ARCHIVED_MESSAGES if keeps else 0)
        self.emit, self._emissions = trio.open_memory_channel[Emission](0)
        self._delivery = Delivery(
            post,
            self.ledger,
            self.archive,
            self.stations,
            Credentials(secret_header=options.secret_header, jwt_key=options.jwt_key),
            max_in_flight=options.max_in_flight,
            jitter=random.Random(f"jitter {options.seed}").random,
        )
        self._trouble = Trouble(options.chances, random.Random(f"chance {options.seed}"))
        for asked in options.trouble:
            self._trouble.ask_for(asked)
        self._sender = Sender(
            self.scenario,
            self.archive,
            seed=options.seed,
            emit=self.emit.send,
            post=self._delivery.deliver,
            now_s=self.now_s,
        )
        self._connections = Connections(
            start_ms=self.scenario.start_ms, emit=self.emit.send, now_s=self.now_s
        )
        self.simulator = Simulator(
            self.stations,
            api_key=options.api_key,
            seed=options.seed,
            trouble=self._trouble,
            sender=self._sender,
            connections=self._connections,
            scenario=self.scenario,
            archive=self.archive,
            ledger=self.ledger,
            emit=self.emit.send,
            now_s=self.now_s,
        )

    def now_s(self) -> float:
        return trio.current_time() - self.started_at

    async def play(self, options: SimulatorOptions) -> None:
        """Hand each webhook of the scenario to delivery when it is due; never ends by itself."""
        for emission in disturb(
            self.scenario.emissions(),
            duplicates=options.duplicates,
            shuffle=options.shuffle,
            rng=random.Random(f"disorder {options.seed}"),
        ):
            await trio.sleep_until(self.started_at + emission.due_s)
            await self.emit.send(emission)
        await trio.sleep_forever()

    async def deliver(self) -> None:
        """Until ``emit`` is closed and what is under way has had its grace."""
        await self._delivery.run(self._emissions, started_at=self.started_at, grace_s=GRACE_S)

    def rest_server(self, options: SimulatorOptions) -> Callable[..., Awaitable[None]] | None:
        """Listens already; what is returned serves until cancelled and starts with its URL. None:
        no REST API is wanted."""
        if not self._has_rest:
            return None
        # Imported late: most runs have no REST API.
        from evorelay.simulator.rest.api import RestApi
        from evorelay.simulator.rest.chats import Chats
        from evorelay.simulator.rest.control import Control
        from evorelay.simulator.rest.instances import Instances
        from evorelay.simulator.rest.listen import open_listener
        from evorelay.simulator.rest.sending import Sending
        from evorelay.simulator.rest.wire import serve

        listener = self._listener
        if listener is None:
            assert options.listen is not None
            listener = open_listener(options.listen)
        api = RestApi(
            self.stations,
            api_key=options.api_key,
            trouble=self._trouble,
            archive=self.archive,
            sending=Sending(self._sender, self.archive),
            chats=Chats(self.archive, self._sender),
            instances=Instances(self.stations, self._connections),
            control=Control(self.simulator),
        )
        if options.tls:
            from evorelay.simulator.certificate import self_signed

            made = self_signed(listener.getsockname()[0])
            self.simulator.fingerprint, self.simulator.certificate = made.fingerprint, made.pem
            return partial(serve, api, listener, tls=made.context)
        return partial(serve, api, listener)
