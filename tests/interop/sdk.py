"""The centrifuge SDK in a Node process of its own, as an asynchronous object."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.interop.node import Line, NodeClient, open_node


class Sdk(NodeClient):
    """One SDK client."""

    async def rpc(self, method: str, **data: Any) -> Any:
        return (await self.call("rpc", method=method, data=data))["data"]

    async def connect(self, url: str, **options: Any) -> Line:
        """Connect and wait for it."""
        await self.call("connect", url=url, **options)
        return await self.told("connected")

    async def subscribe(self, channel: str, **options: Any) -> Line:
        """Subscribe and wait for it."""
        await self.call("subscribe", channel=channel, options=options)
        return await self.told("subscribed", channel=channel)

    def publications(self, channel: str) -> list[Line]:
        """What came through a subscription, recovered and live, in the order of arrival."""
        return [
            line
            for line in self.lines
            if line.get("event") == "publication" and line["channel"] == channel
        ]


def open_sdk() -> AbstractAsyncContextManager[Sdk]:
    """A Node process with an SDK that has not connected yet."""
    return open_node("client.mjs", Sdk)
