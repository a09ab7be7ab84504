"""P3 for clients with one offset for all they are in: any interleaving of commits, reads, joins,
slow lines and cuts."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.event import ENDLESS
from evorelay.relay import catchup
from evorelay.relay.feed import State
from evorelay.storage.ports import ChannelPage
from tests.engine.rooms import CLIENTS, STATES, Log, RoomModel

STEPS = st.tuples(
    st.sampled_from(
        [
            *("commit", "commit", "publish", "publish", "release", "release", "read", "read"),
            *("states", "between", "cut", "open", "join", "join", "leave"),
        ]
    ),
    st.integers(0, CLIENTS - 1),
    st.integers(0, 5),
)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEPS, min_size=20, max_size=80),
    cache_events=st.sampled_from([0, 4, 1000]),
    room=st.sampled_from([6, 20, 1000]),
    page_events=st.sampled_from([1, 3, 256]),
)
def test_whatever_happens_a_client_is_told_everything_once_and_in_order(
    steps: list[tuple[str, int, int]], cache_events: int, room: int, page_events: int
) -> None:
    """P3: of all rooms it joined since it joined them, over any number of connections; its own
    commands left out."""

    async def scenario() -> None:
        model = RoomModel(cache_events, room)
        async with trio.open_nursery() as nursery:
            await nursery.start(model.catchup.run, model.hub)
            for client in model.clients:
                nursery.start_soon(client.open)
            await trio.testing.wait_all_tasks_blocked()
            for name, which, number in steps:
                model.step(nursery, name, which, number)
                await trio.testing.wait_all_tasks_blocked()
                for client in model.clients:
                    client.check()
            await model.settle(nursery)
            nursery.cancel_scope.cancel()
        assert model.states() == {State.LIVE}
        for client in model.clients:
            client.check()
            told = set(client.told)
            assert set(client.due()) <= told
            assert {id_ for id_ in told if not is_state(model, id_)} <= set(client.allowed())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catchup, "PAGE_EVENTS", page_events)
        trio.run(scenario)


async def test_what_is_read_for_a_client_does_not_grow_with_its_rooms() -> None:
    """P5: one that is behind in many busy rooms costs a turn's worth of events in a turn."""
    model = RoomModel(cache_events=0, room=1000)
    client = model.clients[0]
    names = [f"inbox:{number}" for number in range(100)]
    for _ in range(50):
        for name in names:
            model.log.commit(frozenset({name}))
    read = 0

    class Counted(Log):
        def events_after(
            self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
        ) -> ChannelPage:
            nonlocal read
            page = super().events_after(channel, offset, limit, until=until)
            read += len(page.events)
            return page

    counted = Counted()
    counted.channels = model.log.channels
    model.reads._log = counted  # type: ignore[assignment]  # has what is asked for here
    (feed,) = client.line.session.all_feeds()
    feed.cursors.update(dict.fromkeys(names, 0))
    for name in names:
        model.hub.attach_merged(feed, name)
    model.publish(len(model.log.events))
    feed.state = State.CATCHING_UP
    model.catchup.enlist(feed)
    async with trio.open_nursery() as nursery:
        await nursery.start(model.catchup.run, model.hub)
        await trio.testing.wait_all_tasks_blocked()
        assert read < 2 * catchup.PAGE_EVENTS + 10 * len(names)
        for _ in range(100):
            model.reads.release(1)
            await trio.testing.wait_all_tasks_blocked()
            client.read()
        nursery.cancel_scope.cancel()
    assert client.told == list(range(1, 5001))


def is_state(model: RoomModel, id_: int) -> bool:
    """An instance's state, which everybody is told without joining."""
    return any(channel == STATES for channel, _ in model.log.events[id_ - 1].positions)
