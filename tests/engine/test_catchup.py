"""Bringing feeds up to date: one page at a time, once, and never past a client that is full."""

from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.model.close import Close
from evorelay.model.errors import StoreUnavailable
from evorelay.model.event import ENDLESS
from evorelay.relay import catchup
from evorelay.relay.feed import State
from evorelay.relay.session import Position
from evorelay.storage.ports import ChannelPage
from tests.engine.harness import HOUR, World, message, open_blobs, stored
from tests.engine.interleaving import EPOCH, A, B, Log, Model, subscribed


async def test_two_workers_on_one_feed_tell_nothing_twice() -> None:
    """P3: a feed is enlisted again, by its client's other feed, while a worker reads for it."""
    model = Model(cache_events=0, room=4000)
    noise = b'["",[]]'.ljust(3980)
    async with trio.open_nursery() as nursery:
        await nursery.start(model.catchup.run, model.hub)
        client = await subscribed(model, 0, A)
        nursery.start_soon(client.subscribe, B, None)
        await trio.testing.wait_all_tasks_blocked()
        model.reads.release(1)
        await trio.testing.wait_all_tasks_blocked()
        client.wire.push(noise)
        model.hub.publish(model.log.commit(A, 300))  # refused: A falls behind, by two pages
        client.wire.drain()
        await trio.testing.wait_all_tasks_blocked()  # a worker reads for A
        model.hub.publish(model.log.commit(B, 1))
        client.wire.push(noise)
        model.hub.publish(model.log.commit(B, 1))  # refused: B falls behind, too
        await trio.testing.wait_all_tasks_blocked()
        client.wire.drain()  # enlists both, A for the second time
        await trio.testing.wait_all_tasks_blocked()
        await model.finish()
        assert (client.told(A), client.told(B)) == ([*range(1, 301)], [1, 2])
        nursery.cancel_scope.cancel()


async def test_a_page_refused_by_a_client_that_filled_up_meanwhile_is_told_later() -> None:
    """P3: nobody would have enlisted the feed again, and it had stayed silent for ever."""
    model = Model(cache_events=0, room=30)
    async with trio.open_nursery() as nursery:
        await nursery.start(model.catchup.run, model.hub)
        client = await subscribed(model, 0, A)
        client.wire.push(b'["",[]]' + b" " * 20)
        model.hub.publish(model.log.commit(A, 1))
        client.wire.drain()
        await trio.testing.wait_all_tasks_blocked()  # a worker reads for A
        client.wire.push(b'["",[]]' + b" " * 20)
        model.reads.release(1)
        await trio.testing.wait_all_tasks_blocked()
        assert client.told(A) == []
        await model.finish()
        assert client.told(A) == [1]
        nursery.cancel_scope.cancel()


async def test_ten_thousand_missed_events_come_in_order_page_by_page() -> None:
    """P3, P5: beyond what a subscription answers with, and never more than a page at once."""
    model = Model(cache_events=0, room=1 << 20)
    model.log.commit(A, 10_000)
    async with trio.open_nursery() as nursery:
        await nursery.start(model.catchup.run, model.hub)
        client = await subscribed(model, 0, A)
        feed = client.session.feeds[A]
        feed.state, feed.cursor, client.start[A] = State.CATCHING_UP, 0, 0
        model.catchup.enlist(feed)
        while feed.state is not State.LIVE:
            await trio.testing.wait_all_tasks_blocked()
            model.reads.release(1)
            client.wire.drain()
        assert client.told(A) == list(range(1, 10_001))
        assert len(client.wire.frames) == -(-10_000 // catchup.PAGE_EVENTS)
        nursery.cancel_scope.cancel()


async def test_a_feed_is_queued_once() -> None:
    model = Model(cache_events=0, room=30)
    client = await subscribed(model, 0, A)
    feed = client.session.feeds[A]
    for _ in range(3):
        model.catchup.enlist(feed)
    assert len(model.catchup) == 1


async def test_a_feed_that_left_its_channel_is_told_nothing_more() -> None:
    model = Model(cache_events=0, room=1000)
    async with trio.open_nursery() as nursery:
        await nursery.start(model.catchup.run, model.hub)
        client = await subscribed(model, 0, A)
        feed = client.session.feeds[A]
        model.log.commit(A, 1)
        feed.state = State.CATCHING_UP
        model.catchup.enlist(feed)
        await trio.testing.wait_all_tasks_blocked()
        client.session.unsubscribe(A)
        model.reads.release(1)
        await trio.testing.wait_all_tasks_blocked()
        assert (client.wire.frames, feed.state) == ([], State.CLOSED)
        nursery.cancel_scope.cancel()


async def test_who_was_away_longer_than_retention_is_told_to_reload(tmp_path: Path) -> None:
    """P3: told plainly, never a silent gap."""
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path), cache_bytes=0)
        await world.apply(*(message(f"W{n}") for n in range(5)))
        async with trio.open_nursery() as nursery:
            await nursery.start(world.catchup.run, world.hub)
            session, wire = world.session()
            session.answered(await session.subscribe("inbox:loja", None))
            feed = session.feeds["inbox:loja"]
            feed.state, feed.cursor = State.CATCHING_UP, 1
            assert storage.maintenance.trim_events(world.now() + HOUR, 4) > 0
            world.catchup.enlist(feed)
            with trio.fail_after(30):
                while not session.is_closed:
                    await trio.sleep(0.002)
            assert session.close_reason is Close.INSUFFICIENT_STATE
            assert wire.frames == []
            nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_read_for_a_while_delays_and_loses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """P3: virtual time, and no thread anywhere."""

    class FailingLog(Log):
        failures = 0

        def events_after(
            self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
        ) -> ChannelPage:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("disk")
            return super().events_after(channel, offset, limit, until=until)

    log = FailingLog()
    model = Model(cache_events=0, room=1000, log=log)
    client = await subscribed(model, 0, A)
    log.commit(A, 3)
    log.failures = 2
    feed = client.session.feeds[A]
    feed.state = State.CATCHING_UP
    model.catchup.enlist(feed)
    async with trio.open_nursery() as nursery:
        await nursery.start(model.catchup.run, model.hub)
        await trio.sleep(10)
        model.reads.release(9)
        await trio.testing.wait_all_tasks_blocked()
        assert (log.failures, client.told(A)) == (0, [1, 2, 3])
        nursery.cancel_scope.cancel()


async def test_a_crash_leaves_no_client_silent() -> None:
    """P3: whom the workers held comes back to ask again; nobody else had enlisted them."""

    class BuggyLog(Log):
        def events_after(
            self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
        ) -> ChannelPage:
            if channel == B:
                raise ZeroDivisionError("a bug")
            return super().events_after(channel, offset, limit, until=until)

    model = Model(cache_events=0, room=1000)
    clients = [await subscribed(model, 0, A), await subscribed(model, 1, B)]
    buggy = BuggyLog()
    model.reads._log = buggy
    for client, channel in zip(clients, (A, B), strict=True):
        buggy.commit(channel, 1)
        client.session.feeds[channel].state = State.CATCHING_UP
        model.catchup.enlist(client.session.feeds[channel])
    with pytest.raises(ExceptionGroup):
        await model.catchup.run(model.hub)
    assert [client.session.close_reason for client in clients] == [Close.SERVER_ERROR] * 2


async def test_the_cache_spares_the_store() -> None:
    model = Model(cache_events=1000, room=1000)
    model.hub.publish(model.log.commit(A, 5))
    client = model.clients[0]
    await client.subscribe(A, Position(2, EPOCH))  # no read is released, and none is needed
    assert client.told(A) == [3, 4, 5]
