"""A feed's four rules, one by one. Whole interleavings are in tests/engine/test_hub.py."""

from collections.abc import Sequence

import pytest

from evorelay.model.close import Close
from evorelay.model.event import ChannelEvent
from evorelay.relay import feed as feeds
from evorelay.relay.feed import Feed, Run, State
from evorelay.storage.ports import ChannelPage


class Dialect:
    name = "test"
    ping_frame = b""

    def __init__(self) -> None:
        self.encoded = 0

    def encode_run(self, channel: str, events: Sequence[ChannelEvent]) -> bytes:
        self.encoded += 1
        return b" ".join(b"%d" % event.offset for event in events)

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        return data


class Receiver:
    is_closed = False

    def __init__(self, dialect: Dialect, *, takes: bool = True) -> None:
        self.dialect: feeds.ChannelDialect = dialect
        self.takes = takes
        self.frames: list[bytes] = []

    def push(self, frame: bytes) -> bool:
        if self.takes:
            self.frames.append(frame)
        return self.takes

    def idle(self) -> bool:
        return self.takes

    def close_asap(self, reason: Close) -> None:
        self.is_closed = True


@pytest.fixture
def receiver() -> Receiver:
    return Receiver(Dialect())


def feed(receiver: Receiver, state: State, cursor: int) -> Feed:
    made = Feed("inbox:a", receiver)
    made.state, made.cursor = state, cursor
    return made


def run(first: int, last: int) -> Run:
    return Run("inbox:a", [ChannelEvent(offset, b"{}") for offset in range(first, last + 1)])


def test_a_live_feed_hands_on_what_follows_its_cursor(receiver: Receiver) -> None:
    live = feed(receiver, State.LIVE, 4)
    assert live.offer(run(5, 7))
    assert (live.cursor, receiver.frames) == (7, [b"5 6 7"])


@pytest.mark.parametrize("state", [State.OPENING, State.CATCHING_UP, State.CLOSED])
def test_a_feed_that_is_not_live_ignores_what_is_published(
    receiver: Receiver, state: State
) -> None:
    other = feed(receiver, state, 4)
    assert other.offer(run(5, 7))
    assert (other.cursor, other.state, receiver.frames) == (4, state, [])


@pytest.mark.parametrize(("first", "last"), [(1, 4), (4, 4), (2, 3)])
def test_what_was_read_already_is_not_told_again(receiver: Receiver, first: int, last: int) -> None:
    """P3: a read may see what is committed and not published yet."""
    live = feed(receiver, State.LIVE, 4)
    assert live.offer(run(first, last))
    assert (live.cursor, live.state, receiver.frames) == (4, State.LIVE, [])


def page(first: int, last: int) -> ChannelPage:
    return ChannelPage(head=last, floor=1, events=list(run(first, last).events))


@pytest.mark.parametrize(("first", "last"), [(4, 6), (1, 9), (6, 6)])
def test_an_overlap_or_a_hole_sends_it_back_to_reading(
    receiver: Receiver, first: int, last: int
) -> None:
    """P3: nothing is told twice and nothing is passed over."""
    live = feed(receiver, State.LIVE, 4)
    assert not live.offer(run(first, last))
    assert (live.cursor, live.state, receiver.frames) == (4, State.CATCHING_UP, [])


def test_a_full_client_falls_back_and_loses_nothing(receiver: Receiver) -> None:
    """P5."""
    receiver.takes = False
    live = feed(receiver, State.LIVE, 4)
    assert not live.offer(run(5, 5))
    assert (live.cursor, live.state) == (4, State.CATCHING_UP)
    assert live.offer(run(6, 6))  # behind already: no second alarm


def test_delivering_moves_the_cursor_only_when_taken(receiver: Receiver) -> None:
    behind = feed(receiver, State.CATCHING_UP, 4)
    assert behind.take({"inbox:a": page(5, 6)}, 0, 1000) == 2
    assert behind.cursor == 6
    receiver.takes = False
    assert behind.take({"inbox:a": page(7, 7)}, 0, 1000) is None
    assert behind.cursor == 6


@pytest.mark.parametrize(
    ("head", "state"), [(4, State.LIVE), (3, State.LIVE), (5, State.CATCHING_UP)]
)
def test_a_feed_is_live_exactly_when_it_reached_the_head(
    receiver: Receiver, head: int, state: State
) -> None:
    settling = feed(receiver, State.OPENING, 4)
    assert settling.settle({"inbox:a": head}) is (state is State.LIVE)
    assert settling.state is state


def test_a_run_is_encoded_once_for_all_feeds_of_a_dialect() -> None:
    dialect = Dialect()
    published = run(1, 3)
    for _ in range(100):
        feed(Receiver(dialect), State.LIVE, 0).offer(published)
    assert dialect.encoded == 1


def test_a_feed_shows_its_state(receiver: Receiver) -> None:
    assert repr(feed(receiver, State.LIVE, 4)) == "<Feed inbox:a live at 4>"
