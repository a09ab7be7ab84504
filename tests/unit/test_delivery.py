"""The lattice of delivery states (P2)."""

from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.delivery import OUTBOUND, advance

STATES = ["pending", "failed", "sent", "delivered", "read", "played"]
states = st.sampled_from(STATES)


@pytest.mark.parametrize("current", STATES)
@pytest.mark.parametrize("reported", STATES)
def test_a_status_moves_forward_only(current: str, reported: str) -> None:
    expected = STATES[max(STATES.index(current), STATES.index(reported))]
    assert advance(current, reported) == expected


def test_the_table_is_the_contracts() -> None:
    assert frozenset(STATES) == OUTBOUND


@pytest.mark.parametrize("word", ["received", "", "READ", "deleted"])
def test_an_unknown_word_moves_nothing(word: str) -> None:
    assert advance("sent", word) == "sent"
    assert advance(word, "read") == word


@given(st.lists(states, min_size=1), st.randoms())
def test_order_and_repetition_do_not_matter(reports: list[str], random: Random) -> None:
    """P2: late, twice, backwards: the end is the same."""
    shuffled = [*reports, *reports]
    random.shuffle(shuffled)
    assert reduce(advance, reports, "pending") == reduce(advance, shuffled, "pending")
