"""Two instances, the people who work there, and short ways to ask the desk."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.relay.questions import TicketParams, TicketRef
from tests.engine.harness import T0, World, message, open_blobs, stored

ANA = Principal(sub="ana", name="Ana", role="agent", instances=frozenset({"loja"}))
BIA = Principal(sub="bia", role="agent", instances=frozenset({"loja", "filial"}))
CHEFE = Principal(sub="chefe", role="supervisor", instances=frozenset({"loja"}))
STRANGER = Principal(sub="x", role="supervisor", instances=frozenset({"filial"}))
ADMIN = Principal(sub="root", role="admin")
NOBODY = Principal(sub="caio", instances="*")


@asynccontextmanager
async def office(tmp_path: Path) -> AsyncIterator[World]:
    """A ticket with ten messages in ``loja``, one with one in ``filial``."""
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(*(message(f"W{n}", sent_at=T0 + n) for n in range(10)))
        await world.apply(message("F", instance="filial", phone="5511911112222", sent_at=T0 + 99))
        yield world


def ids(world: World) -> tuple[str, str]:
    """The ticket in ``loja`` and the one in ``filial``."""
    by_instance = {ticket.instance: ticket.id for ticket in world.tickets()}
    return by_instance["loja"], by_instance["filial"]


def ref(ticket_id: str, version: int | None = None) -> TicketParams:
    return TicketParams(ticket_id=ticket_id, version=version)


def only(ticket_id: str) -> TicketRef:
    return TicketRef(ticket_id=ticket_id)


async def refused(call: Awaitable[Any]) -> tuple[Code, str]:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.code, caught.value.message
