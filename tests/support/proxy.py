"""A TCP proxy between a client and the daemon, so that a test can cut the line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.support.daemon import Daemon


class Proxy:
    def __init__(self, daemon: Daemon) -> None:
        self.url = ""
        self.accepted = 0
        """Connections that were let through."""
        self._daemon = daemon
        self._is_cut = False
        self._scopes: set[trio.CancelScope] = set()

    def cut(self) -> None:
        """End every connection without a word, and refuse new ones until ``mend``."""
        self._is_cut = True
        for scope in self._scopes:
            scope.cancel()

    def mend(self) -> None:
        self._is_cut = False

    async def serve(self, client: trio.SocketStream) -> None:
        async with client:
            if self._is_cut:
                return
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                try:
                    await self._connect(client, scope)
                except OSError:
                    pass  # the daemon is away
                finally:
                    self._scopes.discard(scope)

    async def _connect(self, client: trio.SocketStream, scope: trio.CancelScope) -> None:
        async with await trio.open_tcp_stream(self._daemon.host, self._daemon.port) as server:
            self.accepted += 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, client, server, scope)
                nursery.start_soon(_pump, server, client, scope)


async def _pump(
    source: trio.SocketStream, target: trio.SocketStream, over: trio.CancelScope
) -> None:
    try:
        async for data in source:
            await target.send_all(data)
    except trio.BrokenResourceError:
        pass
    over.cancel()


@asynccontextmanager
async def proxied(daemon: Daemon) -> AsyncIterator[Proxy]:
    proxy = Proxy(daemon)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, proxy.serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        proxy.url = f"ws://127.0.0.1:{port}/connection/websocket"
        yield proxy
        nursery.cancel_scope.cancel()
