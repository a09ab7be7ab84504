"""What every journal promises: seq without holes, all or nothing, there again after a restart."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evorelay.model.envelope import Entry
from tests.conformance.harness import T0, Driver, envelope, every_driver

pytestmark = every_driver
FUTURE = 1 << 60


def test_entries_come_back_as_they_were_numbered_without_holes(driver: Driver) -> None:
    """P1, P3: the first batch starts at 1 and nothing is skipped between batches."""
    batches = [[envelope(b"%d" % number)] * (number % 3 + 1) for number in range(5)]
    with driver.journal() as journal:
        assert [journal.append(batch) for batch in batches] == [1, 2, 4, 7, 8]
        stored = journal.read(0, FUTURE)
        assert stored == [
            Entry(seq, one) for seq, one in enumerate((one for b in batches for one in b), 1)
        ]
        assert journal.last_seq() == 9


def test_every_field_of_an_envelope_survives(driver: Driver) -> None:
    odd = envelope(
        b'{"text":"\xf0\x9f\x98\x80 \\u2028 \'\\""}\xff\x00',
        event="",
        instance="ação 'x'",
        body_blob="ab",
    )
    with driver.journal() as journal:
        journal.append([odd])
        assert journal.read(0, FUTURE) == [Entry(1, odd)]


def test_one_entry_is_found_by_its_number(driver: Driver) -> None:
    """P8: for the trace of a message; with when its commit began, None when it is not there."""
    before = time.time_ns() // 1_000_000
    with driver.journal() as journal:
        assert journal.find(1) is None
        for batch in ([b"1", b"2"], [b"3"], [b"4", b"5", b"6"]):
            journal.append([envelope(body) for body in batch])
        for seq in range(1, 7):
            found = journal.find(seq)
            assert found is not None
            assert found.entry == Entry(seq, envelope(b"%d" % seq))
            assert before <= found.committed_at <= time.time_ns() // 1_000_000
        assert journal.find(0) is None
        assert journal.find(7) is None
        journal.trim(3, FUTURE)
        found = journal.find(4)
        assert [journal.find(seq) for seq in (1, 2, 3)] == [None] * 3
        assert found is not None


def test_a_new_journal_is_empty(driver: Driver) -> None:
    with driver.journal() as journal:
        assert (journal.last_seq(), journal.read(0, FUTURE)) == (0, [])


def test_what_was_appended_is_there_after_a_restart(driver: Driver) -> None:
    """P1."""
    with driver.journal() as journal:
        journal.append([envelope(b"1"), envelope(b"2")])
        identity = journal.identity
    with driver.journal() as journal:
        assert journal.identity == identity
        assert [entry.envelope.body for entry in journal.read(0, FUTURE)] == [b"1", b"2"]
        assert journal.append([envelope(b"3")]) == 3


def test_what_was_appended_is_there_though_nobody_closed_it(driver: Driver) -> None:
    """P1: durable on return, not on close. The second opening is the process after kill -9."""
    with driver.journal() as first:
        first.append([envelope(b"1")])
        with driver.journal() as second:
            assert [entry.seq for entry in second.read(0, FUTURE)] == [1]


def test_read_gives_what_lies_behind_the_cursor(driver: Driver) -> None:
    with driver.journal() as journal:
        journal.append([envelope()] * 3)
        journal.append([envelope()] * 3)
        assert [entry.seq for entry in journal.read(1, FUTURE)] == [2, 3, 4, 5, 6]
        assert [entry.seq for entry in journal.read(5, FUTURE)] == [6]
        assert journal.read(6, FUTURE) == []


def test_a_byte_limit_still_gives_at_least_one_entry(driver: Driver) -> None:
    """A reader with a small limit gets on, however large the next body is."""
    with driver.journal() as journal:
        for _ in range(3):
            journal.append([envelope(b"x" * 1000)])
        position = 0
        turns = 0
        while entries := journal.read(position, 1):
            assert entries[0].seq == position + 1
            position = entries[-1].seq
            turns += 1
        assert (position, turns) == (3, 3)


def test_trim_keeps_what_is_not_handled_or_not_old(driver: Driver) -> None:
    with driver.journal() as journal:
        for _ in range(4):
            journal.append([envelope(), envelope()])
        assert journal.trim(8, 0) == 0
        assert journal.trim(3, FUTURE) == 2
        assert [entry.seq for entry in journal.read(0, FUTURE)] == [3, 4, 5, 6, 7, 8]


def test_a_trimmed_journal_numbers_on_after_a_restart(driver: Driver) -> None:
    """P1: a seq given twice would be taken for handled, and its webhook lost."""
    with driver.journal() as journal:
        for _ in range(3):
            journal.append([envelope()])
        while journal.trim(3, FUTURE):
            pass
    with driver.journal() as journal:
        assert journal.last_seq() == 3
        assert journal.append([envelope()]) == 4


def test_a_cursor_behind_the_log_is_led_to_the_head(driver: Driver) -> None:
    """A store restored from an old backup asks for what is trimmed, and must not wait for ever."""
    with driver.journal() as journal:
        for _ in range(3):
            journal.append([envelope()])
        while journal.trim(3, FUTURE):
            pass
        entries = journal.read(0, FUTURE)
        assert entries
        assert entries[-1].seq == 3


def test_two_journals_have_two_identities(
    driver: Driver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = type(driver)(tmp_path_factory.mktemp("other"))  # type: ignore[call-arg]  # every driver is made from a directory
    with driver.journal() as one, other.journal() as two:
        assert one.identity != two.identity


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["append", "read", "trim"]), st.integers(1, 9)), max_size=25
    )
)
def test_any_order_of_calls_loses_nothing_unhandled(
    driver: Driver, steps: list[tuple[str, int]]
) -> None:
    """P1: whatever is trimmed in between, a reader sees every seq once, in order."""
    with driver.journal() as journal:
        cursor = journal.last_seq()
        for step, number in steps:
            if step == "append":
                before = journal.last_seq()
                assert journal.append([envelope(b"x" * number)] * number) == before + 1
            elif step == "trim":
                journal.trim(cursor, T0 * 2)
            else:
                for entry in journal.read(cursor, number):
                    assert entry.seq == cursor + 1
                    cursor = entry.seq
        rest = [entry.seq for entry in journal.read(cursor, FUTURE)]
        assert rest == list(range(cursor + 1, journal.last_seq() + 1))
