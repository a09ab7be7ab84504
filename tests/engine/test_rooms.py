"""P3 for clients with one offset for all they are in: any interleaving of commits, reads, joins,
slow lines and cuts."""

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.relay.feed import State
from tests.engine.rooms import CLIENTS, STATES, RoomModel

STEPS = st.tuples(
    st.sampled_from(
        [
            *("commit", "commit", "publish", "publish", "release", "release", "read", "read"),
            *("states", "between", "cut", "open", "join", "join"),
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
)
def test_whatever_happens_a_client_is_told_everything_once_and_in_order(
    steps: list[tuple[str, int, int]], cache_events: int, room: int
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
            told = {id_ for id_ in client.told if not is_state(model, id_)}
            assert set(client.due()) <= told <= set(client.allowed())

    trio.run(scenario)


def is_state(model: RoomModel, id_: int) -> bool:
    """An instance's state, which everybody is told without joining."""
    return any(channel == STATES for channel, _ in model.log.events[id_ - 1].positions)
