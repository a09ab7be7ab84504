"""One simulated instance and a client of its REST API, for the tests of the simulator itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from evorelay.simulator.controls import Simulator
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from evorelay.simulator.station import Station
from tests.webhook_receiver import Receiver, open_receiver

V2, V1, META, NEXT = "2.3.6 baileys", "1.8.2 baileys", "2.3.6 business", "2.4.0 baileys"
FEED = "2.3.6 evolution"
TO = "5511988880001"


class Bench:
    def __init__(self, simulator: Simulator, receiver: Receiver, client: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.receiver = receiver
        self.client = client
        [self.instance] = simulator.instances

    @property
    def station(self) -> Station:
        return self.simulator.stations[self.instance]

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(f"/{path}/{self.instance}")

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.client.post(f"/{path}/{self.instance}", json=body)

    async def send(self, text: str = "Oi", **more: Any) -> httpx.Response:
        """A text, as 2.x takes it."""
        return await self.post("message/sendText", number=TO, text=text, **more)

    def texts(self) -> list[str]:
        return [sent.text for sent in self.simulator.sent()]

    def events(self, event: str) -> list[Any]:
        return [body["data"] for body in self.receiver.of(event)]

    def echoes(self) -> list[Any]:
        return self.events("send.message")

    async def found(self, **where: Any) -> list[dict[str, Any]]:
        """Rows of 2.x."""
        answer = (await self.post("chat/findMessages", where=where)).json()
        rows: list[dict[str, Any]] = answer["messages"]["records"]
        return rows

    async def settle(self, count: int = 1) -> None:
        """Until so many ``send.message`` have come."""
        await until(lambda: len(self.echoes()) >= count)


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.005)


@asynccontextmanager
async def a_bench(dialect: str = V2, **changed: Any) -> AsyncIterator[Bench]:
    """One instance of that dialect where nobody talks, once it is open."""
    async with open_receiver() as receiver:
        options = SimulatorOptions(
            **{
                "target": receiver.url,
                "instances": 1,
                "rate_per_minute": 0,
                "dialects": (dialect,),
                "duplicates": 0.0,
                "shuffle": 0.0,
                **changed,
            }
        )
        async with open_simulator(options) as simulator:
            headers = {"apikey": simulator.api_key}
            async with httpx.AsyncClient(
                base_url=simulator.url, headers=headers, trust_env=False, timeout=60
            ) as client:
                bench = Bench(simulator, receiver, client)
                linked = bench.station.dialect.links_a_phone
                await until(lambda: not linked or len(bench.events("connection.update")) > 1)
                yield bench
