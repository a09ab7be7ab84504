"""The cache serves a stretch without a hole, or says that it has none."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.event import ChannelEvent
from evorelay.model.records import EventRecord
from evorelay.relay.cache import OVERHEAD_BYTES, RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.hub import Hub
from evorelay.relay.reads import Reads
from evorelay.telemetry.metrics import NopMetrics

A, B = "ticket:a", "ticket:b"
SIZE = 10 + OVERHEAD_BYTES


def filled(count: int, *, ttl_ms: int = 1000, bytes_max: int = 100 * SIZE) -> RecentEvents:
    """Events 1..count of A, one every ms, of 10 bytes each."""
    cache = RecentEvents(ttl_ms=ttl_ms, bytes_max=bytes_max)
    for offset in range(1, count + 1):
        cache.add(offset, [(A, ChannelEvent(offset, b"%010d" % offset))])
    return cache


def test_a_page_starts_right_after_the_offset() -> None:
    page = filled(9).page(A, 3, 2)
    assert page is not None
    assert (page.head, page.floor) == (9, 1)
    assert page.events == [ChannelEvent(4, b"%010d" % 4), ChannelEvent(5, b"%010d" % 5)]


def test_a_page_may_end_behind_a_place_of_the_log() -> None:
    cache = RecentEvents(ttl_ms=9, bytes_max=100 * SIZE)
    for offset in range(1, 10):
        cache.add(0, [(A, ChannelEvent(offset, b"x", 10 * offset))])
    for until, last in ((1, 3), (40, 5), (49, 5), (90, 9)):
        page = cache.page(A, 2, 99, until=until)
        assert page is not None
        assert [event.offset for event in page.events] == list(range(3, last + 1))


def test_at_the_head_there_is_an_empty_page() -> None:
    cache = filled(9)
    for after in (9, 99):
        page = cache.page(A, after, 5)
        assert page is not None
        assert (page.head, page.events) == (9, [])


def test_what_it_does_not_hold_it_does_not_answer() -> None:
    cache = filled(9, bytes_max=3 * SIZE)
    assert cache.page(A, 5, 9) is None
    assert cache.page(A, 6, 9) is not None
    assert cache.page(B, 0, 9) is None


def test_old_events_go_with_time_and_the_oldest_with_bytes() -> None:
    assert len(filled(9, bytes_max=3 * SIZE + 5)) == 3
    cache = filled(9, ttl_ms=4)
    assert len(cache) == 5
    cache.evict(100)
    assert (len(cache), cache.bytes, cache.page(A, 9, 1)) == (0, 0, None)


def test_an_event_over_the_whole_bound_is_not_kept() -> None:
    assert len(filled(3, bytes_max=5)) == 0


def test_an_event_of_two_channels_counts_once() -> None:
    cache = RecentEvents(ttl_ms=10, bytes_max=10 * SIZE)
    cache.add(0, [(A, ChannelEvent(1, b"x" * 60)), (B, ChannelEvent(7, b"x" * 60))])
    assert cache.bytes == 60 + OVERHEAD_BYTES
    page = cache.page(B, 6, 1)
    assert page is not None
    assert page.events == [ChannelEvent(7, b"x" * 60)]


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from([A, B, "inbox:c"]), min_size=1), st.integers(0, 50)),
        max_size=60,
    ),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_a_page_never_has_a_hole(told: list[tuple[set[str], int]], after: int, limit: int) -> None:
    """P3: whatever was evicted, a page is exactly what follows the offset."""
    cache = RecentEvents(ttl_ms=20, bytes_max=10 * SIZE)
    heads: dict[str, int] = {}
    for now, (channels, size) in enumerate(told):
        for channel in channels:
            heads[channel] = heads.get(channel, 0) + 1
        cache.add(now, [(name, ChannelEvent(heads[name], b"x" * size)) for name in channels])
        assert cache.bytes <= 10 * SIZE
    for channel, head in heads.items():
        page = cache.page(channel, after, limit)
        if page is not None:
            wanted = list(range(after + 1, min(after + limit, head) + 1))
            assert [event.offset for event in page.events] == wanted
            assert page.head == head
            assert page.floor <= after + 1


def test_what_it_counts_is_what_it_takes() -> None:
    """P5: the bound of bytes is one of memory, whatever an event carries beside its data."""
    metrics = NopMetrics()
    cache = RecentEvents(ttl_ms=1, bytes_max=1 << 30)
    hub = Hub(cache, CatchUp(cache, Reads([]), metrics), metrics, position=0)
    tracemalloc.start()
    try:
        for number in range(1, 3001):
            places = [("inbox:loja", number), (f"ticket:{number % 10:032}", 1 + number // 10)]
            data = "x" * 500 + str(number)
            hub.publish([EventRecord(at=0, type="t", data=data, positions=places, id=number)])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 < taken / cache.bytes < 1.2
