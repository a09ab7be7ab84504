"""Many agents on the centrifuge SDK in one Node process, and what they must have been told."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.interop.node import NodeClient, open_node
from tests.support.steady_load import SteadyLoad

ALL_BACK_S = 60.0


class Crowd:
    """``size`` agents, each of whom watches the inbox of one instance."""

    def __init__(self, node: NodeClient, size: int) -> None:
        self.size = size
        self._node = node

    async def all_back(self, since_ms: int) -> int:
        """Wait until everybody has subscribed again since a moment; Unix ms of the last one.

        What they missed has come with the answer to that.
        """
        with trio.fail_after(ALL_BACK_S):
            while True:
                back = await self._node.call("back", since=since_ms)
                if back["count"] == self.size:
                    return int(back["last"])
                await trio.sleep(0.05)

    async def problems(self, load: SteadyLoad) -> list[str]:
        """How what the agents were told differs from what was accepted; empty if nothing does.

        Waits for what is still on its way, as long as something comes.
        """
        deadline = time.monotonic() + ALL_BACK_S
        while (found := await self._compare(load)) and time.monotonic() < deadline:
            await trio.sleep(0.2)
        return found

    async def _compare(self, load: SteadyLoad) -> list[str]:
        found = []
        for agent in await self._node.call("report"):
            instance, texts = agent["channel"].removeprefix("inbox:"), agent["texts"]
            by_sender: dict[int, list[str]] = {n: [] for n in load.accepted_by(instance)}
            for text in texts:
                by_sender[int(text.partition("-")[0])].append(text)
            for sender, accepted in load.accepted_by(instance).items():
                if by_sender[sender] != accepted:
                    found.append(
                        f"an agent of {instance} was told {len(by_sender[sender])} texts of sender"
                        f" {sender}, not the {len(accepted)} accepted, or not in order"
                    )
            if agent["unrecovered"]:
                found.append(f"an agent of {instance} was told to load everything again")
        return found


@asynccontextmanager
async def crowd_at(url: str, token: str, load: SteadyLoad, *, size: int) -> AsyncIterator[Crowd]:
    """Agents who are connected and subscribed, dealt out to the instances of ``load``."""
    async with open_node("crowd.mjs", NodeClient) as node:
        channels = [f"inbox:{load.instance(n)}" for n in range(size)]
        assert await node.call("open", url=url, token=token, channels=channels) == size
        yield Crowd(node, size)
