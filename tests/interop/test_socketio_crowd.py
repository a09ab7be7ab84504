"""A thousand socket.io-clients in one room, a tenth of them by polling (P3, P5).

Each is told each message once and in order, through a cut, a stop and two ``kill -9``.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio

from tests.interop.node import NodeClient, open_node
from tests.interop.socketio_sdk import TRANSPORTS
from tests.support.daemon import Daemon, token
from tests.support.posting import post_texts
from tests.support.webhooks import INSTANCE

PROCESSES = 2
WAYS = {"websocket": 400, "upgrade": 50, "polling": 50}
"""So many clients in each process."""
CLIENTS = PROCESSES * sum(WAYS.values())
ALL_BACK_S = 60.0
AT_A_TIME = 40
"""Messages posted before a disaster, and after it, while everybody comes back."""


class Crowd:
    def __init__(self, processes: list[NodeClient]) -> None:
        self._processes = processes
        self.expected: list[str] = []

    async def ask_all(self, command: str, **options: Any) -> list[Any]:
        answers: list[Any] = []

        async def ask(process: NodeClient) -> None:
            answers.append(await process.call(command, **options))

        async with trio.open_nursery() as nursery:
            for process in self._processes:
                nursery.start_soon(ask, process)
        return answers

    async def post(self, daemon: Daemon, name: str) -> None:
        texts = {f"{name}{n}": f"{name} {n}" for n in range(AT_A_TIME)}
        await post_texts(daemon, texts)
        self.expected += texts.values()

    async def has_everything(self) -> None:
        """Wait until everybody is connected and was told as much as there is."""
        with trio.fail_after(ALL_BACK_S):
            while True:
                progress = await self.ask_all("progress")
                connected = sum(part["connected"] for part in progress)
                least = min(part["least"] for part in progress)
                if connected == CLIENTS and least >= len(self.expected):
                    return
                await trio.sleep(0.1)

    async def report(self, what: str) -> Counter[tuple[Any, ...]]:
        """What clients were told: each sequence with the number of clients."""
        told: Counter[tuple[Any, ...]] = Counter()
        for part in await self.ask_all("report"):
            told.update({tuple(json.loads(text)): count for text, count in part[what].items()})
        return told


@asynccontextmanager
async def crowd_in(daemon: Daemon) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(open_node("sio_crowd.mjs", NodeClient))
            for _ in range(PROCESSES)
        ]
        crowd = Crowd(opened)
        ways = [{"transports": TRANSPORTS[way], "count": count} for way, count in WAYS.items()]
        joined = await crowd.ask_all(
            "open", url=daemon.url, token=token(), room=INSTANCE, ways=ways
        )
        assert sum(joined) == CLIENTS
        yield crowd


@pytest.mark.timeout(400)
async def test_a_thousand_clients_miss_nothing(daemon: Daemon) -> None:
    async with crowd_in(daemon) as crowd:
        await crowd.post(daemon, "ao vivo")
        await crowd.has_everything()

        await crowd.ask_all("drop")
        await crowd.post(daemon, "linha cortada")
        await crowd.has_everything()

        stops: list[Callable[[], object]] = [daemon.kill, daemon.terminate, daemon.kill]
        for round_, stop in enumerate(stops):
            await crowd.post(daemon, f"antes {round_}")
            await trio.to_thread.run_sync(stop)
            began = time.monotonic()
            await trio.to_thread.run_sync(daemon.start)
            await crowd.post(daemon, f"depois {round_}")
            await crowd.has_everything()
            print(f"{CLIENTS} clients were back after {time.monotonic() - began:.1f} s")

        assert await crowd.report("texts") == {tuple(crowd.expected): CLIENTS}
        histories = await crowd.report("returns")
        assert histories.total() == CLIENTS
        for history in histories:
            assert history[0] is False
            assert all(history[1:])
            assert len(history) >= 5
