"""What an operator reads about refused webhooks."""

import logging

import pytest
import trio
import trio.testing

from evorelay.relay.refusal_log import MANY, REASONS_MAX, REPEATED_AFTER_S, RefusalLog


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    return [
        (record.getMessage(), record.__dict__["more_since_last_line"]) for record in caplog.records
    ]


async def test_each_reason_and_peer_is_told_and_repetitions_are_counted(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    """P8: one cause must not hide another, nor a flood everything else."""
    refusals = RefusalLog("webhook")
    for _ in range(100):
        refusals.note(logging.ERROR, "no credential", peer="10.0.0.1", advice="look")
        refusals.note(logging.ERROR, "wrong credential", peer="10.0.0.1", advice="look")
        refusals.note(logging.ERROR, "no credential", peer="10.0.0.2", advice="look")
    assert [count for _, count in lines(caplog)] == [0, 0, 0]
    caplog.clear()
    await trio.sleep(REPEATED_AFTER_S)
    refusals.note(logging.ERROR, "no credential", peer="10.0.0.1", advice="look")
    assert lines(caplog) == [("webhook refused: no credential; look", 99)]


async def test_invented_peers_neither_grow_it_nor_fill_the_log(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    """P5, P8: an ``Origin`` costs its sender nothing, so a flood of them is told as one."""
    refusals = RefusalLog("webhook")

    def flood() -> None:
        for number in range(3 * REASONS_MAX):
            refusals.note(logging.ERROR, "a reason", peer=f"{number}" * 1000, advice="look")

    flood()
    assert len(lines(caplog)) == len(refusals._told) == REASONS_MAX + 1
    assert {len(record.__dict__["peer"]) for record in caplog.records[:-1]} == {100}
    assert caplog.records[-1].__dict__["peer"] == MANY
    caplog.clear()
    await trio.sleep(REPEATED_AFTER_S)
    flood()
    assert len(lines(caplog)) <= REASONS_MAX + 2
    assert len(refusals._told) <= REASONS_MAX + 2
