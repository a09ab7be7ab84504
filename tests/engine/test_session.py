"""A session: what it may watch, and what a returning client is given (P3, P7)."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from evorelay.model.close import Close
from evorelay.model.errors import Code, Refusal, StoreUnavailable
from evorelay.model.principal import Principal
from evorelay.relay import channel_session as sessions
from evorelay.relay.feed import State
from evorelay.relay.reads import Reads
from evorelay.relay.session import Position
from evorelay.storage.ports import StoreReader
from tests.engine.harness import HOUR, World, message, open_blobs, stored

T = TypeVar("T")
INBOX = "inbox:loja"
AGENT = Principal(sub="ana", role="agent", instances=frozenset({"loja"}))
STRANGER = Principal(sub="bia", role="agent", instances=frozenset({"filial"}))
NOBODY = Principal(sub="caio")


class MoodyReads(Reads):
    """The real reads, which fail when they are told to."""

    is_away = False

    async def __call__(self, read: Callable[[StoreReader], T]) -> T:
        if self.is_away:
            raise StoreUnavailable("the database is away")
        return await super().__call__(read)


@pytest.fixture(params=[0, 1 << 20], ids=["from store", "from cache"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Ten messages are told in the inbox: 11 events, the first of which makes the ticket."""
    with stored(tmp_path) as storage:
        world = World(
            storage,
            await open_blobs(tmp_path),
            cache_bytes=request.param,
            reads=MoodyReads(storage.readers),
        )
        await world.apply(*(message(f"W{n}") for n in range(10)))
        yield world


async def recovered(world: World, since: Position | None) -> tuple[bool, list[int], int]:
    session, _ = world.session(AGENT)
    answer = await session.subscribe(INBOX, since)
    assert answer.position.epoch == world.engine.epoch
    return answer.recovered, [event.offset for event in answer.missed], answer.position.offset


def at(world: World, offset: int, epoch: str | None = None) -> Position:
    return Position(offset, world.engine.epoch if epoch is None else epoch)


@pytest.mark.parametrize("offset", [0, 1, 6, 10])
async def test_a_returning_client_gets_exactly_what_it_missed(world: World, offset: int) -> None:
    """P3."""
    assert await recovered(world, at(world, offset)) == (True, [*range(offset + 1, 12)], 11)


async def test_who_missed_nothing_is_told_so(world: World) -> None:
    assert await recovered(world, at(world, 11)) == (True, [], 11)


async def test_a_first_visit_starts_at_the_head(world: World) -> None:
    assert await recovered(world, None) == (False, [], 11)


@pytest.mark.parametrize("epoch", ["", "another"])
async def test_an_offset_of_another_epoch_counts_for_nothing(world: World, epoch: str) -> None:
    """P3: the store was restored; the client must reload."""
    assert await recovered(world, at(world, 5, epoch)) == (False, [], 11)


async def test_an_offset_ahead_of_the_log_counts_for_nothing(world: World) -> None:
    assert await recovered(world, at(world, 12)) == (False, [], 11)


async def test_who_is_behind_retention_must_reload(world: World) -> None:
    world.cache.evict(world.now() + 2 * HOUR)
    assert world.storage.maintenance.trim_events(world.now() + 1, 4) == 4
    assert await recovered(world, at(world, 3)) == (False, [], 11)
    assert await recovered(world, at(world, 4)) == (True, [*range(5, 12)], 11)


async def test_when_everything_is_trimmed_only_the_head_is_a_position(world: World) -> None:
    world.cache.evict(world.now() + 2 * HOUR)
    while world.storage.maintenance.trim_events(world.now() + 1, 4):
        pass
    assert await recovered(world, at(world, 10)) == (False, [], 11)
    assert await recovered(world, at(world, 11)) == (True, [], 11)


async def test_more_than_an_answer_holds_is_left_to_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract §5: 1,000 missed events come in the reply, more do not."""
    monkeypatch.setattr(sessions, "RECOVER_EVENTS_MAX", 5)
    assert await recovered(world, at(world, 6)) == (True, [7, 8, 9, 10, 11], 11)
    assert await recovered(world, at(world, 5)) == (False, [], 11)


async def test_an_answer_is_bounded_in_bytes_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: one answer never outgrows a client's buffer."""
    events = world.storage.readers[0].events_after(INBOX, 9, 9).events
    monkeypatch.setattr(sessions, "RECOVER_BYTES_MAX", sum(len(event.data) for event in events))
    assert await recovered(world, at(world, 9)) == (True, [10, 11], 11)
    assert await recovered(world, at(world, 8)) == (False, [], 11)


async def test_a_feed_is_silent_until_its_answer_and_misses_nothing_meanwhile(
    world: World,
) -> None:
    """P3: what is published between the read and the answer follows the answer."""
    async with trio.open_nursery() as nursery:
        await nursery.start(world.catchup.run, world.hub)
        session, wire = world.session(AGENT)
        answer = await session.subscribe(INBOX, at(world, 10))
        await world.apply(message("during"))
        assert (wire.frames, answer.feed.state) == ([], State.OPENING)
        session.answered(answer)
        with trio.fail_after(30):
            while wire.offsets != [12]:
                await trio.sleep(0.002)
        await world.apply(message("after"))
        assert (wire.offsets, answer.feed.state) == ([12, 13], State.LIVE)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (AGENT, {INBOX, "instance:loja", "TICKET"}),
        (STRANGER, {"inbox:filial"}),
        (NOBODY, set()),
        (Principal(sub="x", role="admin"), {INBOX, "inbox:filial", "instance:loja", "TICKET"}),
        (
            Principal(sub="x", role="supervisor", instances=frozenset({"loja"})),
            {INBOX, "instance:loja", "TICKET"},
        ),
    ],
    ids=["agent", "stranger", "nobody", "admin", "supervisor"],
)
async def test_channels_are_open_to_whom_they_belong(
    world: World, who: Principal, allowed: set[str]
) -> None:
    """P7: a foreign channel and one that does not exist are alike."""
    ticket = "ticket:" + world.tickets()[0].id
    names = {name.replace("TICKET", ticket) for name in allowed}
    session, _ = world.session(who)
    for channel in (INBOX, "inbox:filial", "instance:loja", ticket):
        assert await session.may_watch(channel) is (channel in names)
    for channel in ("ticket:never", "", "loja", "user:ana", "ticket:"):
        assert await session.may_watch(channel) is False
        with pytest.raises(Refusal) as refused:
            await session.subscribe(channel, None)
        assert refused.value.code is Code.FORBIDDEN
        with pytest.raises(Refusal):
            await session.history(channel, since=None, limit=1, reverse=False)
    assert session.feeds == {}
    assert world.hub.watched() == {}


async def test_a_subscription_that_failed_or_was_cancelled_leaves_nothing(world: World) -> None:
    session, _ = world.session(AGENT)
    assert isinstance(world.reads, MoodyReads)
    world.cache.evict(world.now() + 2 * HOUR)
    world.reads.is_away = True
    with pytest.raises(StoreUnavailable):
        await session.subscribe(INBOX, None)
    world.reads.is_away = False
    with trio.CancelScope() as scope:
        scope.cancel()
        await session.subscribe(INBOX, None)
    assert (session.feeds, world.hub.watched()) == ({}, {})
    await session.subscribe(INBOX, None)


async def test_channels_of_one_connection_are_limited(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5."""
    monkeypatch.setattr(sessions, "CHANNELS_MAX", 1)
    session, _ = world.session(AGENT)
    await session.subscribe(INBOX, None)
    with pytest.raises(Refusal, match="at most 1 channels"):
        await session.subscribe("instance:loja", None)


async def test_a_narrower_credential_closes_what_it_no_longer_allows(world: World) -> None:
    """P7."""
    session, wire = world.session(Principal(sub="x", role="admin"))
    ticket = "ticket:" + world.tickets()[0].id
    for channel in (INBOX, "inbox:filial", ticket):
        session.answered(await session.subscribe(channel, None))
    lost = await session.renew(STRANGER)
    assert {feed.channel for feed in lost} == {INBOX, ticket}
    assert {feed.state for feed in lost} == {State.CLOSED}
    assert set(session.feeds) == set(world.hub.watched()) == {"inbox:filial"}
    await world.apply(message("secret"))
    assert wire.frames == []


async def test_a_refresh_that_cannot_be_judged_changes_nothing(world: World) -> None:
    """P7: not half of it: the old credential counts until the client tries again."""
    session, _ = world.session(AGENT)
    for channel in (INBOX, "ticket:" + world.tickets()[0].id):
        session.answered(await session.subscribe(channel, None))
    world.desk._directory.clear()  # as if so many tickets had been asked for since
    assert isinstance(world.reads, MoodyReads)
    world.reads.is_away = True
    with pytest.raises(StoreUnavailable):
        await session.renew(STRANGER)
    assert (session.principal, len(session.feeds)) == (AGENT, 2)
    world.reads.is_away = False
    assert len(await session.renew(STRANGER)) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"since": None, "limit": 3}, [1, 2, 3]),
        ({"since": 9, "limit": 50}, [10, 11]),
        ({"since": 11, "limit": 50}, []),
        ({"since": None, "limit": 0}, []),
        ({"since": None, "limit": 3, "reverse": True}, [11, 10, 9]),
        ({"since": 3, "limit": 50, "reverse": True}, [2, 1]),
        ({"since": 0, "limit": 2, "reverse": True}, [11, 10]),
    ],
)
async def test_history_is_paged_in_both_directions(
    world: World, arguments: dict[str, Any], expected: list[int]
) -> None:
    session, _ = world.session(AGENT)
    since = arguments["since"]
    page = await session.history(
        INBOX,
        since=None if since is None else at(world, since),
        limit=arguments["limit"],
        reverse=arguments.get("reverse", False),
    )
    assert [event.offset for event in page.events] == expected
    assert (page.head, page.floor) == (11, 1)


async def test_a_drained_client_has_its_lagging_feeds_enlisted(world: World) -> None:
    session, wire = world.session(AGENT, room=1)
    answer = await session.subscribe(INBOX, None)
    session.answered(answer)
    await world.apply(message("a"))  # fits into the empty buffer
    await world.apply(message("b"))
    assert answer.feed.state is State.CATCHING_UP
    assert not session.idle()
    answer.feed.is_queued = False
    wire.drain()
    assert answer.feed.is_queued
    assert session.idle()


async def test_the_first_reason_to_close_counts(world: World) -> None:
    session, _ = world.session(AGENT)
    session.close_asap(Close.SLOW)
    session.close_asap(Close.SHUTDOWN)
    assert session.is_closed
    assert session.close_reason is Close.SLOW


async def test_leaving_drops_every_feed(world: World) -> None:
    session, _ = world.session(AGENT)
    for channel in (INBOX, "instance:loja"):
        session.answered(await session.subscribe(channel, None))
    assert {feed.channel for feed in session.leave()} == {INBOX, "instance:loja"}
    assert (session.feeds, session.leave(), world.hub.watched()) == ({}, [], {})
