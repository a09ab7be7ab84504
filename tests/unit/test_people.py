"""Which ids are one person, and what is shown of them."""

from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.fact import Chat, NameRank, phone_key
from evorelay.model.records import ContactRecord
from evorelay.protocol.people import Groups, learn_ids, made_up_name, move_to, takes_name


def contact(**fields: Any) -> ContactRecord:
    defaults: dict[str, Any] = {
        "id": "c",
        "instance": "loja",
        "name": "…",
        "phone": None,
        "jid": "5@lid",
        "lid": "5@lid",
        "avatar_url": None,
        "is_group": False,
        "created_at": 1,
    }
    return ContactRecord(**{**defaults, **fields})


@given(
    st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=3), max_size=12),
    st.randoms(use_true_random=False),
)
def test_what_is_one_does_not_depend_on_the_order_it_was_learned_in(
    pairs: list[list[int]], random: Random
) -> None:
    def groups(of: list[list[int]]) -> list[list[int]]:
        found: Groups[int] = Groups()
        for keys in of:
            found.join(keys)
        return sorted(sorted(group) for group in found.sets())

    shuffled = [random.sample(keys, len(keys)) for keys in pairs]
    random.shuffle(shuffled)
    assert groups(shuffled) == groups(pairs)


@pytest.mark.parametrize(
    ("known", "name", "rank", "at", "expected"),
    [
        ((0, 0, "+5511"), "Ana", NameRank.LISTED, 5, True),
        ((1, 9, "Ana"), "Ana Maria", NameRank.SAID, 5, True),
        ((2, 5, "Ana Maria"), "Ana", NameRank.LISTED, 99, False),
        ((2, 5, "Ana"), "Ana M.", NameRank.SAID, 6, True),
        ((2, 5, "Ana"), "Ana M.", NameRank.SAID, 4, False),
        ((2, 5, "Ana"), None, NameRank.SAID, 6, False),
        ((2, 5, "Ana"), "", NameRank.SAID, 6, False),
    ],
)
def test_a_name_gives_way_to_a_better_or_later_one(
    known: tuple[int, int, str], name: str | None, rank: NameRank, at: int, expected: bool
) -> None:
    who = contact(name_rank=known[0], name_at=known[1], name=known[2])
    assert takes_name(who, name, rank, at) is expected


def test_a_phone_learned_later_is_shown_and_written_to() -> None:
    who = contact()
    assert learn_ids(who, "5531988887777", "5@lid")
    assert (who.phone, who.jid) == ("5531988887777", "5531988887777@s.whatsapp.net")
    assert who.name == "+5531988887777"


def test_the_number_is_shown_as_people_know_it_and_written_to_as_whatsapp_does() -> None:
    who = contact()
    move_to(who, Chat(jid="553188887777@s.whatsapp.net", phone="553188887777"), 5)
    assert learn_ids(who, "5531988887777", None)
    assert (who.phone, who.jid) == ("5531988887777", "553188887777@s.whatsapp.net")
    assert not learn_ids(who, "553188887777", None)


def test_somebody_who_writes_from_another_number_is_answered_there() -> None:
    who = contact(phone="5531988887777", jid="5531988887777@s.whatsapp.net")
    assert move_to(who, Chat(jid="5@lid", lid="5@lid", phone="5511977776666"), 5)
    assert not move_to(who, Chat(jid="1", phone="5599"), 4)
    assert (who.phone, who.jid) == ("5511977776666", "5511977776666@s.whatsapp.net")


def test_a_group_has_no_number() -> None:
    group = contact(is_group=True, jid="1@g.us", lid=None)
    assert not learn_ids(group, "5511977776666", None)
    assert not move_to(group, Chat(jid="1@g.us", is_group=True), 5)


def test_a_made_up_name_is_never_bare_digits() -> None:
    for chat in (
        Chat(jid="1", phone="5531988887777"),
        Chat(jid="222222222222222@lid", lid="222222222222222@lid"),
        Chat(jid="120363000000000000@g.us", is_group=True),
    ):
        assert not made_up_name(chat).isdigit()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("5531988887777", "553188887777", True),
        ("5511932104567", "551132104567", False),  # a mobile and a landline
        ("5215512345678", "525512345678", True),
        ("5491123456789", "541123456789", True),
        ("4915112345678", "4915112345679", False),
    ],
)
def test_two_spellings_of_a_number_are_one_and_two_numbers_are_two(
    one: str, other: str, same: bool
) -> None:
    assert (phone_key(one) == phone_key(other)) is same


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_number_to_write_to_is_that_of_the_latest_message(order: tuple[int, ...]) -> None:
    said = [
        (Chat(jid="1", phone="5511911110001", lid="5@lid"), 1),
        (Chat(jid="2", phone="5511922220002", lid="5@lid"), 2),
        (Chat(jid="5@lid", lid="5@lid"), 3),
    ]
    who = contact()
    for index in order:
        chat, at = said[index]
        learn_ids(who, chat.phone, chat.lid)
        move_to(who, chat, at)
    assert (who.phone, who.jid) == ("5511922220002", "5511922220002@s.whatsapp.net")
