"""When a client is pinged and given up, on a clock that is an argument."""

import pytest

from evorelay.edge.engineio.heartbeat import Heartbeat


def test_a_ping_is_due_after_each_interval_that_began_with_a_pong() -> None:
    heart = Heartbeat(100.0, 25.0, 20.0)
    assert not heart.is_ping_due(124.9)
    assert heart.is_ping_due(125.0)
    heart.pinged(125.0)
    assert not heart.is_ping_due(140.0)
    heart.ponged(127.0)
    assert not heart.is_ping_due(151.9)
    assert heart.is_ping_due(152.0)


@pytest.mark.parametrize(
    ("pinged_at", "late_at"),
    [(125.0, 145.0), (125.4, 145.0), (135.0, 145.0), (150.0, 160.0)],
    ids=["at once", "a little late", "at the edge", "after a long pause of ours"],
)
def test_a_pong_is_late_by_the_moment_the_client_counts_with(
    pinged_at: float, late_at: float
) -> None:
    heart = Heartbeat(100.0, 25.0, 20.0)
    heart.pinged(pinged_at)
    assert not heart.is_late(late_at - 0.1)
    assert heart.is_late(late_at)
    heart.ponged(late_at)
    assert not heart.is_late(late_at + 20)


def test_time_in_which_we_did_not_listen_does_not_count() -> None:
    heart = Heartbeat(100.0, 25.0, 20.0)
    heart.excuse(10.0)
    assert heart.is_ping_due(125.0)
    heart.pinged(125.0)
    heart.excuse(19.0)
    assert not heart.is_late(163.9)
    assert heart.is_late(164.0)
    assert heart.due_at == 164.0


def test_who_takes_nothing_is_given_up_though_no_ping_fits() -> None:
    heart = Heartbeat(100.0, 25.0, 20.0)
    assert not heart.is_unpinged(144.9, progressed_at=100.0)
    assert heart.is_unpinged(145.0, progressed_at=100.0)
    assert not heart.is_unpinged(145.0, progressed_at=125.1)


def test_before_its_moment_there_is_nothing_to_do() -> None:
    heart = Heartbeat(100.0, 25.0, 20.0)
    assert heart.due_at == 125.0
    heart.pinged(125.0)
    assert heart.due_at == 145.0
    heart.ponged(126.0)
    assert heart.due_at == 151.0
