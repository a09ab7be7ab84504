"""What a lane begins next: order within a conversation, pace, and nothing lost (P4, P5)."""

import random
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.protocol.lane import Job, Lane
from evorelay.protocol.manners import Manners
from evorelay.protocol.pacing import Pace, TokenBucket


def make(
    *,
    rate: float = 1e6,
    burst: int = 1_000_000,
    recipient_rate: float = 1e6,
    recipient_burst: int = 1_000_000,
    in_flight: int = 8,
    manners: Manners | None = None,
) -> Lane:
    pace = Pace(TokenBucket(rate, burst, 0.0), manners or Manners(), rand=lambda: 0.5)
    return Lane(
        pace,
        in_flight_max=in_flight,
        recipient_rate=recipient_rate,
        recipient_burst=recipient_burst,
    )


def job(number: int, conversation: str = "ana", **fields: object) -> Job:
    return Job(id=f"{number:05d}", conversation=conversation, place=(number, ""), **fields)  # type: ignore[arg-type]


def test_a_conversation_is_sent_one_by_one_and_in_order() -> None:
    lane = make()
    for number in range(3):
        lane.add(job(number))
    first = lane.next(0, 0, may_send=True)
    assert isinstance(first, Job)
    assert lane.next(0, 0, may_send=True) == inf
    lane.finish(first)
    second = lane.next(0, 0, may_send=True)
    assert isinstance(second, Job)
    assert (first.id, second.id) == ("00000", "00001")


def test_what_waits_for_a_retry_keeps_its_conversation_waiting_and_no_other() -> None:
    lane = make()
    lane.add(job(0))
    lane.add(job(1))
    lane.add(job(2, "bia"))
    first = lane.next(0, 0, may_send=True)
    assert isinstance(first, Job)
    lane.again(first, "send", 5.0)
    other = lane.next(0, 0, may_send=True)
    assert isinstance(other, Job)
    assert other.id == "00002"
    assert lane.next(0, 0, may_send=True) == 5.0
    again = lane.next(5.0, 5000, may_send=True)
    assert again is first


def test_while_nothing_may_be_sent_what_is_in_doubt_is_looked_up() -> None:
    lane = make()
    lane.add(job(0))
    lane.add(job(1, "bia", stage="look"))
    look = lane.next(0, 0, may_send=False)
    assert isinstance(look, Job)
    assert look.id == "00001"
    assert lane.next(0, 0, may_send=False) == inf


def test_the_instances_rate_is_kept_within_a_percent() -> None:
    """10 a second, 20 at once: 620 messages in a minute."""
    lane = make(rate=10, burst=20)
    for number in range(2000):
        lane.add(job(number, f"person {number}"))
    now, begun = 0.0, 0
    while now < 60.0:
        found = lane.next(now, int(now * 1000), may_send=True)
        if isinstance(found, Job):
            begun += 1
            lane.finish(found)
        else:
            now += found
    assert abs(begun - 620) <= 6


def test_a_recipients_rate_holds_nobody_else_up() -> None:
    lane = make(recipient_rate=1, recipient_burst=5)
    for number in range(20):
        lane.add(job(number))
    for number in range(100, 120):
        lane.add(job(number, f"person {number}"))
    begun: list[str] = []
    while isinstance(found := lane.next(0, 0, may_send=True), Job):
        begun.append(found.conversation)
        lane.finish(found)
    assert begun.count("ana") == 5
    assert len(begun) == 25
    assert found == 1.0


def test_what_the_pace_holds_back_is_counted_with_how_long() -> None:
    """P8: the instance's pace by the time until it goes, asked however often."""
    lane = make(rate=2, burst=1)
    for number in range(3):
        lane.add(job(number, f"person {number}"))
    assert isinstance(lane.next(0, 0, may_send=True), Job)
    for now in (0.0, 0.1, 0.3):
        assert not isinstance(lane.next(now, 0, may_send=True), Job)
    assert lane.paced.times == 0
    assert isinstance(lane.next(0.5, 0, may_send=True), Job)
    assert (lane.paced.times, lane.paced.seconds) == (1, 0.5)
    assert lane.tokens(0.5) == 0
    assert isinstance(lane.next(2.0, 0, may_send=True), Job)  # nobody asked in between
    assert lane.paced.times == 1


def test_a_parked_instance_is_not_held_back_by_its_pace() -> None:
    lane = make(rate=2, burst=1)
    for number in range(2):
        lane.add(job(number, f"person {number}"))
    lane.next(0, 0, may_send=True)
    lane.next(0, 0, may_send=True)
    lane.next(0.1, 0, may_send=False)
    assert isinstance(lane.next(3600.0, 0, may_send=True), Job)
    assert lane.paced.times == 0


def test_what_a_recipients_pace_holds_back_is_counted_apart() -> None:
    lane = make(recipient_rate=0.5, recipient_burst=1)
    lane.add(job(0))
    lane.add(job(1))
    first = lane.next(0, 0, may_send=True)
    assert isinstance(first, Job)
    lane.finish(first)
    assert lane.next(0, 0, may_send=True) == 2.0
    assert (lane.paced_recipients.times, lane.paced_recipients.seconds) == (1, 2.0)
    assert lane.paced.times == 0


def test_what_is_hurried_is_looked_up_at_once() -> None:
    lane = make()
    waiting = job(0, stage="look", due=100.0)
    lane.add(waiting)
    assert lane.next(0, 0, may_send=True) == 100.0
    lane.hurry(waiting, 1.0)
    assert lane.next(1.0, 1000, may_send=True) is waiting


def test_what_is_overdue_is_taken_out_behind_a_parked_lane() -> None:
    lane = make()
    for number in (1, 2, 9):
        lane.add(job(number))
    lane.add(job(3, "bia"))
    lane.next(0, 0, may_send=False)
    assert sorted(lane.drop_overdue(5)) == ["00001", "00002", "00003"]
    assert lane.waiting == 1
    left = lane.next(0, 0, may_send=True)
    assert isinstance(left, Job)
    assert left.id == "00009"


def test_first_messages_to_strangers_have_a_budget_of_their_own() -> None:
    lane = make(manners=Manners(new_contacts_per_day=2))
    for number in range(4):
        lane.add(job(number, f"stranger {number}", is_new=True))
    lane.add(job(9, "ana"))
    begun = []
    while isinstance(found := lane.next(0, 1_000_000, may_send=True), Job):
        begun.append(found.id)
    assert begun == ["00000", "00001", "00009"]
    assert found > 0


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000))
def test_whatever_happens_each_command_ends_once_and_in_its_turn(seed: int) -> None:
    """P4: retries, look-ups, parking and time in any mixture."""
    rng = random.Random(seed)
    lane = make(rate=50, burst=3, recipient_rate=20, recipient_burst=2, in_flight=3)
    added: dict[str, list[str]] = {}
    ended: dict[str, list[str]] = {}
    running: list[Job] = []
    now, number = 0.0, 0
    for _ in range(300):
        act = rng.random()
        if act < 0.3 and number < 60:
            name = rng.choice("abcde")
            lane.add(job(number, name, due=now + rng.choice([0, 0, 0.5])))
            added.setdefault(name, []).append(f"{number:05d}")
            number += 1
        elif act < 0.7:
            found = lane.next(now, int(now * 1000), may_send=rng.random() < 0.8)
            if isinstance(found, Job):
                assert found.conversation not in {other.conversation for other in running}
                running.append(found)
        elif running:
            done = running.pop(rng.randrange(len(running)))
            if rng.random() < 0.4:
                stage = rng.choice(["send", "look"])
                lane.again(done, stage, now + rng.random())  # type: ignore[arg-type]
            else:
                lane.finish(done)
                ended.setdefault(done.conversation, []).append(done.id)
        now += rng.random() / 10
    for _ in range(10_000):
        for done in running:
            lane.finish(done)
            ended.setdefault(done.conversation, []).append(done.id)
        running.clear()
        found = lane.next(now, int(now * 1000), may_send=True)
        if isinstance(found, Job):
            running.append(found)
        elif found == inf:
            break
        else:
            now += found
    assert ended == added
    assert lane.waiting == 0
