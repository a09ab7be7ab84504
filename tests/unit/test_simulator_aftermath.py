"""What becomes of a message: receipts in order, changes apart, nothing after a deletion."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.simulator.acts import Change, Edit, Reaction, Receipt, Revoke, Vote
from evorelay.simulator.aftermath import GAP_S, QUIET, Shares, aftermath, told
from evorelay.simulator.cast import Message
from evorelay.simulator.dialects import DIALECTS
from tests.support.simulated import a_message, an_instance

ALWAYS = Shares(delivered=1, read=1, reacted=1, edited=1)
NAMES = tuple(DIALECTS)


def _changes(message: Message, dialect: str, shares: Shares, seed: int = 1) -> list[Change]:
    return aftermath(DIALECTS[dialect], message, random.Random(seed), shares)


@pytest.mark.parametrize(
    ("dialect", "statuses"),
    [
        ("2.3.6 baileys", ["SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"]),
        ("2.3.6 business", ["SENT", "DELIVERED", "READ"]),
        ("1.8.2 business", ["SENT", "DELIVERED"]),
        ("2.3.6 evolution", []),
    ],
)
def test_a_voice_note_of_ours_goes_the_channels_whole_way(
    dialect: str, statuses: list[str]
) -> None:
    message = a_message(an_instance(dialect), "voice", api=True)
    shares = Shares(delivered=1, read=1)
    receipts = [c for c in _changes(message, dialect, shares) if isinstance(c, Receipt)]
    assert statuses == [receipt.status for receipt in receipts]


def test_there_are_no_receipts_in_groups_nor_for_what_we_received() -> None:
    instance = an_instance("2.3.6 baileys")
    in_group = a_message(instance, api=True, chat=instance.group)
    received = a_message(instance)
    assert _changes(in_group, instance.dialect, QUIET) == []
    assert _changes(received, instance.dialect, QUIET) == []


def test_a_failure_is_alone_or_overtaken_by_a_delivery() -> None:
    message = a_message(an_instance("2.3.6 baileys"), api=True)
    ways = {
        tuple(c.status for c in _changes(message, "2.3.6 baileys", Shares(failed=1), seed)
              if isinstance(c, Receipt))
        for seed in range(20)
    }  # fmt: skip
    assert ways == {("ERROR",), ("ERROR", "DELIVERY_ACK")}


@given(seed=st.integers(), dialect=st.sampled_from(NAMES), ours=st.booleans())
def test_what_people_do_to_a_message_is_in_order_and_seconds_apart(
    seed: int, dialect: str, ours: bool
) -> None:
    """Some versions know whole seconds only, and no order of arrival may matter."""
    message = a_message(an_instance(dialect), api=ours)
    changes = _changes(message, dialect, ALWAYS, seed)
    moments = [c.at_ms for c in changes]
    assert moments == sorted(moments)
    meant = [c.at_ms for c in changes if not isinstance(c, Receipt)]
    assert all(late - early >= GAP_S * 1000 - 1 for early, late in itertools.pairwise(meant))
    assert all(at_ms > message.sent_ms for at_ms in moments)


@given(seed=st.integers())
def test_what_is_deleted_is_neither_edited_nor_reacted_to(seed: int) -> None:
    message = a_message(an_instance("2.3.6 baileys"))
    shares = Shares(reacted=1, edited=1, revoked=1)
    [change] = _changes(message, "2.3.6 baileys", shares, seed)
    assert isinstance(change, Revoke)


def test_in_a_group_an_admin_deletes() -> None:
    instance = an_instance("2.3.6 baileys")
    message = a_message(instance, chat=instance.group)
    [change] = _changes(message, instance.dialect, Shares(revoked=1))
    assert isinstance(change, Revoke)
    assert change.by == instance.group.members[0]


def test_the_first_reaction_is_never_taken_back_before_it_was_given() -> None:
    message = a_message(an_instance("2.3.6 baileys"))
    for seed in range(50):
        changes = _changes(message, "2.3.6 baileys", Shares(reacted=1), seed)
        first = next(c for c in changes if isinstance(c, Reaction))
        assert first.emoji


@pytest.mark.parametrize(("version", "most"), [("1.8.2", 1), ("2.2.3", 1), ("2.3.7", 2)])
def test_where_votes_carry_no_time_there_is_one_at_most(version: str, most: int) -> None:
    poll = a_message(an_instance(f"{version} baileys"), "poll", api=True)
    votes = [
        sum(isinstance(c, Vote) for c in _changes(poll, f"{version} baileys", QUIET, seed))
        for seed in range(30)
    ]
    assert max(votes) == most


def test_only_newer_versions_edit_without_telling_the_text() -> None:
    def has_encrypted(version: str) -> bool:
        message = a_message(an_instance(f"{version} baileys"))
        return any(
            isinstance(c, Edit) and c.is_encrypted
            for seed in range(40)
            for c in _changes(message, f"{version} baileys", Shares(edited=1), seed)
        )

    assert [has_encrypted(v) for v in ("2.3.6", "2.3.7", "2.4.0")] == [False, True, True]


@pytest.mark.parametrize("dialect", NAMES)
def test_every_change_is_told_or_left_out(dialect: str) -> None:
    """The EVOLUTION channel tells none, the Cloud API receipts and given reactions."""
    instance = an_instance(dialect)
    said = [
        told(DIALECTS[dialect], instance, change)
        for seed in range(20)
        for change in _changes(a_message(instance, api=True), dialect, ALWAYS, seed)
    ]
    assert any(said) == (dialect != "2.3.6 evolution")
