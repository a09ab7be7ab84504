"""The one task that looks after every session: pings, expiry, stalls, draining."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.model.close import Close
from evorelay.model.principal import Principal
from evorelay.relay.channel_session import ChannelSession
from evorelay.relay.sessions import (
    EXPIRY_GRACE_S,
    PING_EVERY_S,
    PONG_WITHIN_S,
    STALLED_S,
    Sessions,
    look_after,
)
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import BoundedWire, World, message, open_blobs, stored
from tests.engine.interleaving import Model

NOW = 1000.0
WALL = 1_795_000_000


class Counts(NopMetrics):
    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[tuple[str, str]] = []

    def session_opened(self, dialect: str) -> None:
        self.opened.append(dialect)

    def session_closed(self, dialect: str, reason: str) -> None:
        self.closed.append((dialect, reason))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


def make(
    world: World, *, heard: float = NOW, expires_at: int | None = None
) -> tuple[ChannelSession, BoundedWire]:
    who = Principal(sub="ana", role="admin", expires_at=expires_at)
    session, wire = world.session(who)
    session.last_heard_at = session.pinged_at = heard
    wire.last_progress_at = NOW
    return session, wire


async def test_a_silent_client_is_pinged_then_closed(world: World) -> None:
    session, wire = make(world)
    look_after(session, NOW + PING_EVERY_S, WALL)
    assert wire.frames == []
    pinged = NOW + PING_EVERY_S + 1
    look_after(session, pinged, WALL)
    look_after(session, pinged + 1, WALL)
    assert wire.frames == [session.dialect.ping_frame]
    wire.drain()
    look_after(session, pinged + PONG_WITHIN_S, WALL)
    assert not session.is_closed
    look_after(session, pinged + PONG_WITHIN_S + 1, WALL)
    assert session.close_reason is Close.NO_PONG


async def test_a_client_that_answers_is_pinged_again_later(world: World) -> None:
    session, wire = make(world)
    now = NOW
    for _ in range(3):
        now += PING_EVERY_S + 1
        look_after(session, now, WALL)
        wire.drain()
        session.last_heard_at = now + 1
        look_after(session, now + PONG_WITHIN_S + 2, WALL)
        now += 1
    assert (len(wire.frames), session.is_closed) == (3, False)


async def test_a_client_that_talks_is_pinged_all_the_same(world: World) -> None:
    """Its SDK takes silence for a dead connection, and some commands have no answer."""
    session, wire = make(world)
    for second in range(100):
        session.last_heard_at = NOW + second
        look_after(session, NOW + second, WALL)
        wire.drain()
    assert len(wire.frames) == 3


async def test_an_expired_credential_has_a_grace(world: World) -> None:
    """P7."""
    session, _ = make(world, expires_at=WALL)
    look_after(session, NOW, WALL + EXPIRY_GRACE_S)
    assert not session.is_closed
    look_after(session, NOW, WALL + EXPIRY_GRACE_S + 1)
    assert session.close_reason is Close.EXPIRED
    assert session.close_reason.reconnect


async def test_a_refreshed_credential_goes_on(world: World) -> None:
    session, _ = make(world, expires_at=WALL)
    await session.renew(Principal(sub="ana", role="admin", expires_at=WALL + 3600))
    look_after(session, NOW, WALL + EXPIRY_GRACE_S + 1)
    assert not session.is_closed


async def test_a_client_that_takes_nothing_is_told_to_reconnect(world: World) -> None:
    """P5: hopeless ones are closed; slow ones that take something are not."""
    session, wire = make(world)
    wire.push(b"waiting")
    session.last_heard_at = NOW + STALLED_S
    look_after(session, NOW + STALLED_S, WALL)
    wire.last_progress_at = NOW + 10
    look_after(session, NOW + STALLED_S + 5, WALL)
    assert not session.is_closed
    look_after(session, NOW + STALLED_S + 11, WALL)
    assert session.close_reason is Close.SLOW
    assert session.close_reason.reconnect


async def test_sessions_are_counted_from_open_to_close(world: World) -> None:
    """P8."""
    counts = Counts()
    sessions = Sessions(world.hub, counts, now=world.now)
    one, two = make(world)[0], make(world)[0]
    sessions.add(one)
    sessions.add(two)
    assert (len(sessions), set(sessions)) == (2, {one, two})
    two.close_asap(Close.SLOW)
    sessions.remove(one)
    sessions.remove(two)
    assert len(sessions) == 0
    assert counts.opened == ["plain", "plain"]
    assert counts.closed == [("plain", "client"), ("plain", "slow")]


async def test_draining_sends_everybody_to_the_next_process(world: World) -> None:
    sessions = Sessions(world.hub, NopMetrics(), now=world.now)
    several = [make(world)[0] for _ in range(3)]
    for session in several:
        sessions.add(session)
    sessions.close_all_asap()
    assert {session.close_reason for session in several} == {Close.SHUTDOWN}
    assert Close.SHUTDOWN.reconnect


async def test_draining_waits_for_no_client_that_has_not_said_who_it_is(world: World) -> None:
    """Also one that is let in a moment later: it had held the drain up for ten seconds."""
    sessions = Sessions(world.hub, NopMetrics(), now=world.now)
    with trio.fail_after(30):
        for is_late in (False, True):
            with trio.CancelScope() as patience, sessions.stranger(patience):
                if not is_late:
                    sessions.close_all_asap()
                await trio.sleep_forever()
            assert patience.cancelled_caught


async def test_watched_tickets_are_counted_by_connection(world: World) -> None:
    sessions = Sessions(world.hub, NopMetrics(), now=world.now)
    await world.apply(message("A"))
    (ticket,) = world.tickets()
    for _ in range(2):
        session, _wire = make(world)
        session.answered(await session.subscribe("ticket:" + ticket.id, None))
        session.answered(await session.subscribe("inbox:loja", None))
    assert sessions.watchers_by_ticket() == {ticket.id: 2}


async def test_every_session_is_looked_after_once_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Virtual time; no session here touches a store, so there is no thread."""
    model = Model(cache_events=0, room=1000)
    sessions = Sessions(model.hub, NopMetrics(), now=lambda: WALL * 1000)
    client = model.clients[0]
    sessions.add(client.session)
    async with trio.open_nursery() as nursery:
        await nursery.start(sessions.run)
        await trio.sleep(PING_EVERY_S + 2)
        assert client.wire.frames == [client.session.dialect.ping_frame]
        client.wire.drain()
        await trio.sleep(PONG_WITHIN_S + 2)
        assert client.session.close_reason is Close.NO_PONG
        nursery.cancel_scope.cancel()
