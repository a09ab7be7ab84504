"""A simulated Evolution API for tests that block: it runs in a thread of its own."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

from evorelay.simulator.controls import Simulator
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.support.daemon import Daemon
from tests.support.webhooks import PATH

T = TypeVar("T")
API_KEY = "simulated-evolution-of-the-tests"


class Evolution:
    """The simulator, asked from another thread."""

    def __init__(self, simulator: Simulator, token: trio.lowlevel.TrioToken) -> None:
        self._simulator = simulator
        self._token = token

    @property
    def instance(self) -> str:
        return self._simulator.instances[0]

    def ask(self, question: Callable[[Simulator], T]) -> T:
        return trio.from_thread.run_sync(question, self._simulator, trio_token=self._token)


@contextmanager
def with_evolution(state_dir: Path, **settings: str) -> Iterator[tuple[Daemon, Evolution]]:
    """A started daemon whose replies go to a simulated Evolution, which posts webhooks back."""
    daemon = Daemon(state_dir, settings)
    options = SimulatorOptions(
        target=f"{daemon.url}{PATH}",
        rate_per_minute=0,
        duplicates=0,
        shuffle=0,
        api_key=API_KEY,
        dialects=("2.3.6 baileys",),
    )
    started: queue.Queue[tuple[Simulator, trio.lowlevel.TrioToken]] = queue.Queue()
    over = trio.Event()

    async def play() -> None:
        async with open_simulator(options) as simulator:
            started.put((simulator, trio.lowlevel.current_trio_token()))
            await over.wait()

    thread = threading.Thread(target=trio.run, args=(play,))
    thread.start()
    simulator, token = started.get(timeout=60)
    daemon.settings |= {"EVOLUTION__URL": simulator.url, "EVOLUTION__API_KEY": API_KEY}
    try:
        daemon.start()
        yield daemon, Evolution(simulator, token)
    finally:
        daemon.kill()
        print(daemon.log()[-4000:])
        stop: Any = over.set
        trio.from_thread.run_sync(stop, trio_token=token)
        thread.join()
