"""Which call something goes wrong with, in order and by chance."""

import random
from collections import Counter

import pytest

from evorelay.model.errors import ConfigError
from evorelay.simulator.misbehaviour import Chances, Misbehaviour, Trouble

SEND, FIND = "message/sendText", "chat/findMessages"


def _trouble(**shares: float) -> Trouble:
    return Trouble(Chances(**shares), random.Random(1))


def _kinds(trouble: Trouble, count: int, call: str = SEND) -> list[str | None]:
    found = (trouble.next(call, "a", "55") for _ in range(count))
    return [odd.kind if odd else None for odd in found]


def test_what_was_asked_for_comes_as_often_and_in_that_order() -> None:
    trouble = _trouble()
    trouble.ask_for(Misbehaviour("reset", count=2))
    trouble.ask_for(Misbehaviour("500"))
    assert _kinds(trouble, 5) == ["reset", "reset", "500", None, None]


def test_a_count_of_0_calls_everything_off() -> None:
    trouble = _trouble()
    trouble.ask_for(Misbehaviour("reset", count=5))
    trouble.ask_for(Misbehaviour("reset", count=0))
    assert _kinds(trouble, 1) == [None]


def test_it_waits_for_the_call_instance_and_number_it_is_meant_for() -> None:
    trouble = _trouble()
    trouble.ask_for(Misbehaviour("reset", instance="b"))
    trouble.ask_for(Misbehaviour("500", number="66"))
    trouble.ask_for(Misbehaviour("html-502", call=FIND))
    assert _kinds(trouble, 1) == [None]
    assert _kinds(trouble, 2, FIND) == ["html-502", None]
    assert trouble.next(SEND, "b", "55") == Misbehaviour("reset", instance="b")
    assert trouble.next(SEND, "a", "66") == Misbehaviour("500", number="66")


def test_unless_said_a_failure_sends_nothing_and_an_oddity_does() -> None:
    assert not Misbehaviour("reset").is_processed
    assert not Misbehaviour("connection-closed").is_processed
    assert Misbehaviour("webhook-lost").is_processed
    assert Misbehaviour("cut").is_processed
    assert Misbehaviour("reset", sent=True).is_processed
    assert not Misbehaviour("cut", sent=False).is_processed


def test_where_the_truth_is_answered_the_call_is_processed_whatever_was_said() -> None:
    assert Misbehaviour("slow", sent=False).is_processed


def test_chance_has_its_shares_of_sends_and_of_nothing_else() -> None:
    trouble = _trouble(drop_before=0.1, drop_answer=0.2, delay=0.3, duplicate_webhook=0.1)
    drawn: Counter[tuple[str, bool] | None] = Counter()
    for _ in range(4000):
        odd = trouble.next(SEND, "a", "55")
        drawn[(odd.kind, odd.is_processed) if odd else None] += 1
    expected = {
        ("reset", False): 400,
        ("reset", True): 800,
        ("slow", True): 1200,
        ("webhook-twice", True): 400,
        None: 1200,
    }
    assert set(drawn) == set(expected)
    assert all(abs(drawn[kind] - count) < 120 for kind, count in expected.items())
    assert set(_kinds(trouble, 500, FIND)) == {None}


def test_the_same_seed_has_the_same_bad_luck() -> None:
    assert _kinds(_trouble(drop_before=0.5), 50) == _kinds(_trouble(drop_before=0.5), 50)


@pytest.mark.parametrize(
    "shares", [{"delay": 1.1}, {"delay": -0.1}, {"delay": 0.6, "drop_before": 0.6}]
)
def test_shares_that_cannot_be_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"^chance: "):
        Chances(**shares)
