"""socket.io-client in a Node process of its own, as an asynchronous object."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.interop.node import PATIENCE_S, Line, NodeClient, open_node

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
"""Ways to carry a connection, as ``transports`` of the client's options."""


class Sio(NodeClient):
    """One client. What the daemon told it is in ``told`` lines of ``name`` and ``args``."""

    async def connect(self, url: str, *, way: str = "upgrade", **options: Any) -> Line:
        """Connect and wait for it.

        ``token``, ``tokens`` (one for each time), ``claim`` (to be put into ``auth``, too), and
        options of the client's.
        """
        ours = ("token", "tokens", "claim")
        auth = {name: options.pop(name) for name in ours if name in options}
        given = {"transports": TRANSPORTS[way], **options}
        await self.call("connect", url=url, options=given, **auth)
        line = await self.told("connect")
        if way == "upgrade":
            await self.told("upgrade")
        return line

    async def again(self, nth: int = 2) -> Line:
        """Wait until it has connected for the ``nth`` time."""
        return await self.told("connect", nth=nth)

    async def emit(self, name: str, *args: Any) -> None:
        """An event that asks for no answer."""
        await self.call("emit", name=name, args=args)

    async def ask(self, name: str, *args: Any) -> Any:
        """An event and its answer."""
        within_ms = PATIENCE_S * 1000
        return await self.call("ask", name=name, args=args, within_ms=within_ms)

    async def event(self, name: str, *, nth: int = 1) -> Any:
        """The first argument of the ``nth`` event of this name, whether it came or is to come."""
        return (await self.told("told", name=name, nth=nth))["args"][0]

    def heard(self, name: str) -> list[Any]:
        """First arguments of all events of this name so far."""
        return [
            line["args"][0]
            for line in self.lines
            if line.get("event") == "told" and line["name"] == name
        ]

    def texts(self) -> list[str]:
        """The text of each new message, in the order of arrival."""
        return [message["content"] for message in self.heard("new-message")]

    async def has_texts(self, last: str) -> None:
        """Wait until the newest message is this one."""
        await self.wait_until(lambda: self.texts()[-1:] == [last], f"message {last!r}")


def open_sio() -> AbstractAsyncContextManager[Sio]:
    """A Node process with a client that has not connected yet."""
    return open_node("sio_client.mjs", Sio)
