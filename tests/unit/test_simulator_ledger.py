"""Every webhook is in exactly one place of the ledger at any time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.simulator import ledger as ledger_module
from evorelay.simulator.emission import Emission, MessageRef
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.retry import Verdict

ENDS = (Verdict.ACCEPTED, Verdict.DROPPED, Verdict.LOST)


def _webhook(message_id: str, status: str | None = None, *, again: bool = False) -> Emission:
    return Emission(
        due_s=0.0,
        instance="a",
        version="2.3.6",
        event="messages.update" if status else "messages.upsert",
        body=b"{}",
        message=MessageRef("a", message_id, "c1"),
        status=status,
        is_duplicate=again,
    )


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from([*ENDS, None]))))
def test_the_totals_always_add_up(story: list[tuple[str, Verdict | None]]) -> None:
    ledger = Ledger()
    for message_id, end in story:
        emission = _webhook(message_id)
        ledger.emitted(emission)
        if end:
            ledger.settled(emission, end)
        totals = ledger.totals
        settled = totals.accepted_2xx + totals.dropped + totals.lost_by_redirect
        assert totals.emitted == settled + totals.in_flight
    assert ledger.totals.unique_messages == len({message_id for message_id, _ in story})
    assert ledger.totals.in_flight == sum(end is None for _, end in story)


def test_a_message_line_counts_its_webhooks_and_knows_its_furthest_status() -> None:
    ledger = Ledger()
    for emission in (
        _webhook("m"),
        _webhook("m", again=True),
        _webhook("m", "READ"),
        _webhook("m", "DELIVERY_ACK"),
    ):
        ledger.emitted(emission)
        ledger.settled(emission, Verdict.ACCEPTED)
    [line] = ledger.messages()
    assert (line.emitted, line.accepted, line.status) == (2, 2, "READ")
    assert ledger.totals.duplicates == 1


def test_a_dropped_message_is_not_accepted() -> None:
    ledger = Ledger()
    ledger.emitted(_webhook("m"))
    ledger.settled(_webhook("m"), Verdict.DROPPED)
    assert [line.accepted for line in ledger.messages()] == [0]


def test_the_ledger_is_bounded_and_says_what_it_forgot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MESSAGES_KEPT", 2)
    ledger = Ledger()
    for message_id in "abc":
        ledger.emitted(_webhook(message_id))
    assert [line.id for line in ledger.messages()] == ["b", "c"]
    assert ledger.forgotten == 1
    assert ledger.totals.unique_messages == 3
