"""What clients are told of WhatsApp instances: everything that lasts, at a bearable rate (P5)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.model.fact import InstanceFact, QrCodeFact
from evorelay.protocol.recovery import recovered_envelope
from tests.engine.harness import (
    HOUR,
    T0,
    World,
    connection,
    envelope,
    open_blobs,
    stored,
    webhook,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


def told(world: World) -> list[Any]:
    return [event["instance"] for event in world.events("instance:loja")]


def states(world: World) -> list[str]:
    return [instance["state"] for instance in told(world)]


async def test_a_flood_is_told_once_and_what_it_came_to_a_moment_later(world: World) -> None:
    """Evolution repeats "connecting" 112 times a second (research: evolution-live)."""
    flood = [connection("connecting"), connection("close", reason=408)] * 100
    applied = await world.apply(*flood)
    assert not applied.has_untold  # the first news in a while is told at once
    for _ in range(50):
        applied = await world.apply(connection("connecting"), connection("close", reason=408))
        applied = await world.apply(connection("connecting"))
    assert applied.has_untold
    assert states(world) == ["close"]
    await world.news.tell()
    assert states(world) == ["close", "connecting"]
    await world.news.tell()
    assert states(world) == ["close", "connecting"]


async def test_what_a_crash_left_untold_is_told_after_the_next_start(world: World) -> None:
    await world.apply(connection("open", phone="5511", profile_name="Loja"))
    await world.apply(connection("close", reason=401))
    assert states(world) == ["open"]
    again = World(world.storage, world.blobs)
    await again.news.tell()
    assert states(world) == ["open", "close"]
    assert told(world)[-1]["cause"] == "logged_out"


async def test_a_state_that_repeats_itself_is_no_news(world: World) -> None:
    for _ in range(3):
        await world.apply(connection("open", phone="5511", profile_name="Loja"))
        world.now.ms += 5000
    (instance,) = world.storage.readers[0].instances()
    assert (instance.state, instance.phone, instance.profile_name) == ("open", "5511", "Loja")
    assert (instance.state_since, states(world)) == (T0, ["open"])


async def test_a_code_is_shown_while_it_can_be_scanned(world: World) -> None:
    image = "data:image/png;base64,AAAA"
    await world.apply(QrCodeFact(instance="loja", code="2@abc", pairing_code="WZ", image=image))
    assert told(world)[-1]["qrcode"]["image"] == image
    world.now.ms += 5000
    await world.apply(connection("open"))
    assert told(world)[-1]["qrcode"] is None


async def test_a_code_that_comes_late_is_not_shown_on_an_instance_that_is_connected(
    world: World,
) -> None:
    code = QrCodeFact(instance="loja", code="2@abc")
    await world.apply(code, connection("open"), code)
    (instance,) = world.storage.readers[0].instances()
    assert instance.qrcode is None


async def test_no_further_code_is_told(world: World) -> None:
    await world.apply(QrCodeFact(instance="loja", code="2@abc"))
    world.now.ms += 5000
    await world.apply(QrCodeFact(instance="loja"))
    assert told(world)[-1]["qrcode"] is None


async def test_an_instance_that_was_removed_says_so(world: World) -> None:
    await world.apply(InstanceFact(instance="loja", state="close", is_removed=True))
    assert (told(world)[-1]["state"], told(world)[-1]["cause"]) == ("close", "removed")


async def test_what_was_recovered_does_not_hide_a_silence(world: World) -> None:
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        await world.journal.submit(webhook("A1"))
        row = {"key": {"id": "A2", "remoteJid": "5531988887777@s.whatsapp.net", "fromMe": False}}
        row |= {"message": {"conversation": "oi"}}
        await world.journal.submit(recovered_envelope("loja", row, received_at=T0 + HOUR))
        await world.handled()
        nursery.cancel_scope.cancel()
    assert world.ids() == ["A1", "A2"]
    (instance,) = world.storage.readers[0].instances()
    assert instance.last_event_at == T0


async def test_two_thousand_changes_in_a_second_are_two_events(world: World) -> None:
    """P5; and what waits inside the daemon hears of changes, not of repetitions."""
    changed = world.signals.subscribe()
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        for number in range(2000):
            state = "close" if number % 100 == 99 else "connecting"
            data = {"instance": "loja", "state": state, "statusReason": 408}
            body = json.dumps({"instance": "loja", "data": data}).encode()
            at = T0 + number // 2
            await world.journal.submit(envelope(body, event="connection.update", at=at))
        await world.handled()
        nursery.cancel_scope.cancel()
    await world.news.tell()
    (instance,) = world.storage.readers[0].instances()
    assert (instance.state, instance.cause) == ("close", "connection_lost")
    assert states(world)[-1] == "close"
    assert len(told(world)) <= 2
    assert world.signals.state("loja") == "close"
    assert changed.statistics().current_buffer_used <= 40
