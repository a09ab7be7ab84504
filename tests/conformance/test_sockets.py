"""What a store keeps for clients that come back by the order of all events (P3)."""

from collections.abc import Iterator

import pytest

from evorelay.model.records import SocketRecord
from tests.conformance.harness import T0, Driver, Store, event, every_driver, opened

LOJA, OUTRA, T1 = "inbox:loja", "inbox:outra", "ticket:t1"
STEPS = 100


@pytest.fixture
def store(driver: Driver) -> Iterator[Store]:
    with opened(driver) as store:
        yield store


def tell(store: Store, *positions: tuple[str, int], at: int = T0, origin: str | None = None) -> int:
    """Write one event; returns its id."""
    told = event(*positions, at=at)
    told.origin = origin
    store.write(events=[told])
    return told.id


@every_driver
def test_every_event_has_its_place_among_all_of_them(store: Store) -> None:
    """Contiguous, over all channels; the one who writes learns it, and every reader sees it."""
    ids = [tell(store, (LOJA, 1)), tell(store, (OUTRA, 1), (T1, 1)), tell(store, (T1, 2))]
    assert ids == [1, 2, 3]
    events = store.reader.events_after(T1, 0, 9).events
    assert [(one.id, one.places) for one in events] == [
        (2, ((OUTRA, 1), (T1, 1))),
        (3, ((T1, 2),)),
    ]


@every_driver
def test_an_id_is_never_given_twice_even_when_retention_took_everything(store: Store) -> None:
    tell(store, (LOJA, 1))
    tell(store, (LOJA, 2))
    assert store.writer.trim_events(T0 + 1, 100) == 2
    assert tell(store, (LOJA, 3)) == 3


@every_driver
def test_whose_command_an_event_is_stays_with_it(store: Store) -> None:
    tell(store, (LOJA, 1), origin="pid-1")
    tell(store, (LOJA, 2))
    events = store.reader.events_after(LOJA, 0, 9).events
    assert [one.origin for one in events] == ["pid-1", None]


@every_driver
def test_the_offset_a_channel_had_at_any_moment(store: Store) -> None:
    first = tell(store, (LOJA, 1))
    tell(store, (OUTRA, 1))
    third = tell(store, (LOJA, 2), (OUTRA, 2))
    at = store.reader.offset_at
    assert [at(LOJA, moment, STEPS) for moment in (0, first, 2, third)] == [0, 1, 1, 2]
    assert [at(OUTRA, moment, STEPS) for moment in (0, first, 2, third)] == [0, 0, 1, 2]
    assert at("inbox:nobody", 2, STEPS) == 0


@every_driver
def test_a_moment_too_many_events_ago_has_no_offset(store: Store) -> None:
    for offset in range(1, 6):
        tell(store, (LOJA, offset))
    assert store.reader.offset_at(LOJA, 2, 3) == 2
    assert store.reader.offset_at(LOJA, 2, 2) is None


@every_driver
def test_a_moment_before_what_retention_left_has_no_offset(store: Store) -> None:
    """P3: what was taken may have been this channel's; nobody can say that nothing was missed."""
    tell(store, (LOJA, 1), at=T0)
    second = tell(store, (OUTRA, 1), at=T0)
    third = tell(store, (LOJA, 2), at=T0 + 10)
    store.writer.trim_events(T0 + 5, 100)
    assert store.reader.offset_at(LOJA, 1, STEPS) is None
    assert store.reader.offset_at(LOJA, second, STEPS) == 1
    assert store.reader.offset_at(OUTRA, second, STEPS) == 1
    store.writer.trim_events(T0 + 50, 100)
    assert store.reader.offset_at(LOJA, second, STEPS) is None
    assert store.reader.offset_at(LOJA, third, STEPS) == 2


@every_driver
def test_a_moment_that_has_not_come_has_no_offset(store: Store) -> None:
    tell(store, (LOJA, 1))
    assert store.reader.offset_at(LOJA, 2, STEPS) is None


@every_driver
def test_what_a_client_is_in_is_kept_until_nobody_has_heard_of_it_for_long(store: Store) -> None:
    old = SocketRecord(pid="p1", agent="ana", rooms={LOJA: 4}, at=T0)
    new = SocketRecord(pid="p2", agent="rui", rooms={}, at=T0 + 10)
    store.write(sockets=[old, new])
    assert store.reader.socket("p1") == old
    store.write(sockets=[SocketRecord(pid="p2", agent="rui", rooms={T1: 1}, at=T0 + 20)])
    assert store.reader.socket("p2") == SocketRecord(
        pid="p2", agent="rui", rooms={T1: 1}, at=T0 + 20
    )
    assert store.writer.trim_sockets(T0 + 5, 10) == 1
    assert store.reader.socket("p1") is None


@every_driver
def test_of_one_agent_the_latest_clients_are_kept(store: Store) -> None:
    """P5: who opens page after page does not fill the disk."""
    for number in range(6):
        for agent in ("ana", "rui"):
            record = SocketRecord(pid=f"{agent}{number}", agent=agent, rooms={}, at=T0 + number)
            store.write(sockets=[record])
    assert store.writer.trim_sockets(T0, 4) == 4
    left = [number for number in range(6) if store.reader.socket(f"ana{number}") is not None]
    assert left == [2, 3, 4, 5]
