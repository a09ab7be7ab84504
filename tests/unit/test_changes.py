"""What happens to a message ends the same whatever the order (P2)."""

from itertools import permutations
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.change import Change, Edit, Reaction, Revoke, Status, Vote
from evorelay.model.records import MessageRecord
from evorelay.model.rendering import DELETED_LABEL, message_view
from evorelay.protocol.changes import EARLY_MAX, News, apply_change, gather

T0 = 1_795_000_000_000


def row(**fields: Any) -> MessageRecord:
    defaults: dict[str, Any] = dict.fromkeys(MessageRecord.__struct_fields__)
    defaults |= {
        "id": "m",
        "ticket_id": "t",
        "contact_id": "c",
        "instance": "loja",
        "direction": "out",
        "sender": "agent",
        "type": "text",
        "content": "oi",
        "status": "pending",
        "is_internal": False,
        "created_at": T0,
        "received_at": T0,
        "whatsapp_id": "W",
        "reactions": [],
        "metadata": {},
        "edits": [],
    }
    return MessageRecord(**{**defaults, **fields})


def edit(content: str | None, at: int | None, seen_at: int = T0) -> Edit:
    return Edit(content=content, at=at, seen_at=seen_at)


def reaction(emoji: str, at: int, who: str = "them") -> Reaction:
    return Reaction(who=who, emoji=emoji, at=at)


def after(*changes: Change) -> MessageRecord:
    message = row()
    for change in changes:
        apply_change(message, change)
    return message


CHANGES: list[Change] = [
    Status("failed"),
    Status("sent"),
    Status("read"),
    Status("delivered"),
    edit("um", T0 + 1),
    edit("dois", T0 + 2),
    edit("dois", None, T0 + 50),
    edit("um", None, T0 + 60),
    edit(None, T0 + 3),
    Revoke(T0 + 9),
    Revoke(T0 + 8),
    reaction("👍", T0 + 1),
    reaction("", T0 + 2),
    reaction("❤️", T0 + 3, who="me"),
    reaction("🙏", T0 + 3, who="phone:5511"),
    Vote(who="them", options=("A",), at=T0 + 1),
    Vote(who="them", options=(), at=T0 + 2),
    Vote(who="me", options=("A", "B"), at=T0 + 1),
]


@given(st.randoms(use_true_random=False))
def test_no_order_and_no_repetition_matters(random: Random) -> None:
    again = [*CHANGES, *random.sample(CHANGES, 6)]
    random.shuffle(again)
    assert after(*again) == after(*CHANGES)


@given(st.randoms(use_true_random=False), st.integers(0, len(CHANGES)))
def test_before_the_message_is_like_after_it(random: Random, split: int) -> None:
    shuffled = [*CHANGES]
    random.shuffle(shuffled)
    early: list[Change] = []
    for change in shuffled[:split]:
        early = gather(early, change)
    assert after(*early, *shuffled[split:]) == after(*CHANGES)


def test_the_latest_edit_shows_and_its_time() -> None:
    message = after(edit("dois", T0 + 2), edit("um", T0 + 1))
    assert (message.content, message.edited_at) == ("dois", T0 + 2)


def test_an_edit_without_a_time_shows_until_one_with_a_time_comes() -> None:
    """2.3.7 tells an edit twice: in messages.update, without a time of its own."""
    shadow, real = edit("novo", None, T0 + 700), edit("novo", T0 + 5)
    assert after(shadow).edited_at == T0 + 700
    for order in permutations((shadow, real)):
        assert (after(*order).content, after(*order).edited_at) == ("novo", T0 + 5)


def test_a_late_shadow_of_an_older_edit_does_not_bring_it_back() -> None:
    message = after(edit("um", T0 + 1), edit("dois", T0 + 2), edit("um", None, T0 + 90))
    assert message.content == "dois"


def test_an_edit_that_cannot_be_read_leaves_the_words_and_says_so() -> None:
    message = after(edit(None, T0 + 3))
    assert (message.content, message.edited_at) == ("oi", T0 + 3)
    assert message.metadata == {"edit_unreadable": True}
    apply_change(message, edit("legível", T0 + 4))
    assert (message.content, message.metadata) == ("legível", {})


def test_a_deleted_message_is_masked_whatever_comes_later() -> None:
    message = row(media={"id": "x"}, metadata={"vcard": "segredo"})
    apply_change(message, Revoke(T0 + 9))
    apply_change(message, edit("de novo", T0 + 10))
    view = message_view(message)
    assert (view.content, view.media, view.metadata) == (DELETED_LABEL, None, {})
    assert view.deleted_at is not None


@pytest.mark.parametrize("change", [edit("mudado", T0 + 1), Revoke(T0 + 1)])
def test_nobody_edits_or_deletes_what_somebody_else_wrote(change: Edit | Revoke) -> None:
    """P7: a customer could make our own words say anything."""
    message = row()
    assert apply_change(message, msgspec.structs.replace(change, by_us=False)) is News.NONE
    assert (message.content, message.deleted_at) == ("oi", None)
    assert apply_change(message, msgspec.structs.replace(change, by_us=True)) is News.SHOWN


def test_a_vote_repeated_with_a_new_time_is_remembered_and_told_to_nobody() -> None:
    message = row()
    votes = [Vote(who="them", options=("A",), at=T0 + at) for at in (1, 3)]
    assert [apply_change(message, vote) for vote in votes] == [News.SHOWN, News.KEPT]
    assert apply_change(message, Vote(who="them", options=("B",), at=T0 + 2)) is News.NONE


def test_a_reaction_taken_back_in_the_same_second_is_taken_back() -> None:
    for changes in (("👍", ""), ("", "👍")):
        message = after(*(reaction(emoji, T0) for emoji in changes))
        assert message_view(message).reactions == []


def test_a_deletion_is_not_forgotten_among_many_reactions() -> None:
    early: list[Change] = gather([], Revoke(T0))
    for index in range(2 * EARLY_MAX):
        early = gather(early, reaction("👍", T0, who=f"lid:{index}"))
    assert Revoke(T0) in early


def test_one_reaction_per_person_and_none_when_taken_back() -> None:
    message = after(reaction("👍", T0 + 1), reaction("❤️", T0 + 2), reaction("🎉", T0, "me"))
    assert [item.emoji for item in message_view(message).reactions] == ["🎉", "❤️"]
    apply_change(message, reaction("", T0 + 3))
    assert [item.emoji for item in message_view(message).reactions] == ["🎉"]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_news_twice(change: Change) -> None:
    message = after(*CHANGES)
    assert not apply_change(message, change)


def test_a_failed_message_says_why_until_it_gets_through() -> None:
    message = after(Status("failed"))
    assert message.error is not None
    assert "not delivered" in message.error["message"]
    apply_change(message, Status("delivered"))
    assert message.status == "delivered"
    assert message_view(message).error is None


def test_what_waits_for_a_message_is_bounded() -> None:
    """P5."""
    early: list[Change] = []
    for index in range(EARLY_MAX + 50):
        early = gather(early, reaction("👍", T0 + index, who=f"lid:{index}"))
        early = gather(early, Status("delivered"))
    assert len(early) <= EARLY_MAX + 1
    assert early.count(Status("delivered")) == 1
