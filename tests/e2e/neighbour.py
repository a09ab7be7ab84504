"""A healthy client beside an attack: it must notice nothing (P5)."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.agent import Agent, signed_in
from tests.support.daemon import Daemon
from tests.support.http import Connection, connected
from tests.support.webhooks import PATH, as_body, text_message

CHANNEL = "inbox:vizinho"
PHONE = "5521977776666"
NOTICE_S = 15.0
"""What a busy machine may take; a neighbour that an attack holds up would wait for longer."""


class Neighbour:
    """Its own customer, agent and keep-alive connection, all opened before the attack."""

    def __init__(self, agent: Agent, evolution: Connection) -> None:
        self._agent = agent
        self._evolution = evolution
        self._posted = 0
        self._offset: int | None = None

    async def notices_nothing(self) -> None:
        """A webhook is answered and its message seen live, on the connections of before."""
        self._posted += 1
        text = f"mensagem {self._posted}"
        message = text_message(
            f"N{time.monotonic_ns()}", text, phone=PHONE, instance=CHANNEL.partition(":")[2]
        )
        body = as_body(message)
        with trio.fail_after(NOTICE_S):
            assert (await self._evolution.ask("POST", PATH, body)).status == 200
            content = None
            while content != text:
                event = await self._agent.event()
                assert self._offset is None or event.offset == self._offset + 1
                self._offset = event.offset
                content = event.data.get("message", {}).get("content")


@asynccontextmanager
async def neighbour(daemon: Daemon) -> AsyncIterator[Neighbour]:
    """Somebody who works before, during and after the block."""
    async with signed_in(daemon) as agent, connected(daemon) as evolution:
        assert "subscribe" in await agent.ask(subscribe={"channel": CHANNEL})
        healthy = Neighbour(agent, evolution)
        await healthy.notices_nothing()
        yield healthy
        await healthy.notices_nothing()
