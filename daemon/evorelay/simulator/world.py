"""The parts of one run of the simulator, put together."""

import random
import time
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import make_instances
from evorelay.simulator.delivery import Credentials, Delivery
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.emission import Emission, disturb
from evorelay.simulator.http import Post
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.station import Station

GRACE_S = 30.0
"""After the duration: time for what is under way, as long as one request may take."""
ARCHIVED_MESSAGES = 5_000


class World:
    """The parts of one run, which share its start, its stations and its ledger."""

    def __init__(self, options: SimulatorOptions) -> None:
        instances = make_instances(options.instances, options.seed, tuple(DIALECTS))
        self.stations = {i.name: Station(i, options.target) for i in instances}
        self.started_at = trio.current_time()
        self.scenario = Scenario(
            self.stations,
            seed=options.seed,
            start_ms=time.time_ns() // 1_000_000,
            rate_per_minute=options.rate_per_minute,
        )
        self.ledger = Ledger()
        self.archive = Archive(ARCHIVED_MESSAGES if options.listen else 0)
        self.emit, self._emissions = trio.open_memory_channel[Emission](0)

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

    async def deliver(self, post: Post, options: SimulatorOptions) -> None:
        """Until ``emit`` is closed and what is under way has had its grace."""
        delivery = Delivery(
            post,
            self.ledger,
            self.archive,
            self.stations,
            Credentials(secret_header=options.secret_header, jwt_key=options.jwt_key),
            max_in_flight=options.max_in_flight,
            jitter=random.Random(f"jitter {options.seed}").random,
        )
        await delivery.run(self._emissions, started_at=self.started_at, grace_s=GRACE_S)

    def rest_server(self, options: SimulatorOptions) -> Callable[..., Awaitable[None]]:
        """Listens already; what is returned serves until cancelled and starts with its URL."""
        # Imported late: Quart and Hypercorn take long to load, and most runs have no REST API.
        from evorelay.simulator.rest import RestApi
        from evorelay.simulator.rest_server import open_listener, serve_rest

        assert options.listen is not None
        api = RestApi(
            self.stations,
            self.scenario,
            self.archive,
            self.ledger,
            api_key=options.api_key,
            emit=self.emit.send,
            now_s=lambda: trio.current_time() - self.started_at,
        )
        return partial(serve_rest, api.app(), open_listener(options.listen))
