"""P3 as a model: commits, publications, reads, slow clients and reconnects in any interleaving."""

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evorelay.relay.feed import State
from tests.engine.interleaving import A, B, Model, subscribed

STEPS = st.tuples(
    st.sampled_from(
        [
            "commit",
            "commit",
            "publish",
            "publish",
            "release",
            "drain",
            "subscribe",
            "recover",
            "leave",
        ]
    ),
    st.integers(0, 3),
    st.integers(0, 5),
)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(STEPS, min_size=20, max_size=60),
    cache_events=st.sampled_from([0, 4, 1000]),
    room=st.sampled_from([20, 60, 1000]),
)
@example(  # a read that saw what was committed and not published
    steps=[("subscribe", 0, 0), ("commit", 0, 2), ("release", 0, 0), ("publish", 0, 0)],
    cache_events=0,
    room=1000,
)
def test_every_reader_sees_every_event_once_in_order(
    steps: list[tuple[str, int, int]], cache_events: int, room: int
) -> None:
    """P3: some 8,000 steps; after each, nobody has a gap, a duplicate or a wrong order."""

    async def scenario() -> None:
        model = Model(cache_events, room)
        async with trio.open_nursery() as nursery:
            await nursery.start(model.catchup.run, model.hub)
            for name, which, number in steps:
                await model.step(nursery, name, which, number)
                await trio.testing.wait_all_tasks_blocked()
                for client in model.clients:
                    client.check()
            await model.finish()
            nursery.cancel_scope.cancel()

    trio.run(scenario)


@pytest.fixture
async def model() -> Model:
    return Model(cache_events=1000, room=1000)


async def test_one_stuck_client_costs_the_others_nothing(model: Model) -> None:
    """P5: its feed falls behind, theirs stay live."""
    stuck, other = await subscribed(model, 0), await subscribed(model, 1)
    stuck.wire.room = 0
    model.hub.publish(model.log.commit(A, 1))
    model.hub.publish(model.log.commit(A, 1))
    assert stuck.session.feeds[A].state is State.CATCHING_UP
    assert other.session.feeds[A].state is State.LIVE
    assert other.told(A) == [1, 2]


async def test_only_what_somebody_was_sent_is_measured(model: Model) -> None:
    """P8: nobody watches B, the stuck client of A is sent nothing, and a command is no webhook."""
    stuck, _ = await subscribed(model, 0), await subscribed(model, 1)
    stuck.wire.room = 0
    ofa, ofb = model.log.commit(A, 3), model.log.commit(B, 1)
    for moment, event in enumerate([*ofa, *ofb]):
        event.id, event.arrived = moment, float(moment)
    ofa[1].arrived = None
    model.hub.publish([*ofa, *ofb])
    assert sorted(model.pushed) == [0.0, 2.0]


async def test_a_channel_is_told_its_own_events_only(model: Model) -> None:
    """P7."""
    a, b = await subscribed(model, 0, A), await subscribed(model, 1, B)
    model.hub.publish(model.log.commit(A, 2))
    assert (a.told(A), b.wire.frames) == ([1, 2], [])


async def test_transient_events_reach_whoever_is_live_but_their_sender(model: Model) -> None:
    sender, live, behind = [await subscribed(model, index) for index in range(3)]
    behind.session.feeds[A].state = State.CATCHING_UP
    model.hub.publish_transient(A, b'"typing"', but=sender.session)
    assert [client.wire.frames for client in (sender, live, behind)] == [[], [b'"typing"'], []]


async def test_watched_channels_are_counted_and_forgotten(model: Model) -> None:
    clients = [await subscribed(model, index) for index in range(2)]
    assert model.hub.watched() == {A: 2}
    assert set(model.hub.feeds(A)) == {client.session.feeds[A] for client in clients}
    for client in clients:
        client.session.leave()
    assert model.hub.watched() == {}
    assert list(model.hub.feeds(A)) == []
    model.hub.publish(model.log.commit(A, 1))
    assert clients[0].wire.frames == []
