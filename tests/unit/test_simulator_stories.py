"""How people's names change, and what a witness makes of the names it sees together."""

import random

import pytest

from evorelay.simulator.cast import Address
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.stories import address_at, answered, story_of
from evorelay.simulator.truth import MessageTruth, Witness
from tests.support.simulated import an_instance


def _stories(dialect: str) -> set[tuple[Address, ...]]:
    person = an_instance(dialect).people[0]
    rng = random.Random(1)
    return {story_of(person, DIALECTS[dialect], rng) for _ in range(300)}


def test_channels_without_a_phone_know_the_phone_number_alone() -> None:
    assert all(not a.lid for story in _stories("2.3.6 business") for a in story)


def test_old_versions_never_show_two_names_together() -> None:
    stories = _stories("2.2.3 baileys")
    assert all(not (a.phone and a.lid) for story in stories for a in story)
    assert any(len({a.by_lid for a in story}) == 2 for story in stories)


@pytest.mark.parametrize("dialect", ["2.3.0 baileys", "2.3.4 baileys", "2.3.7 baileys"])
def test_a_privacy_id_that_stood_alone_is_shown_with_the_phone_later_or_never(dialect: str) -> None:
    stories = _stories(dialect)
    alone = [story for story in stories if any(a.by_lid and not a.phone for a in story)]
    linked = [story for story in alone if any(a.phone and a.lid and not a.by_lid for a in story)]
    assert 0 < len(linked) < len(alone)


def test_a_story_is_gone_through_from_first_to_last() -> None:
    first, last = Address("1@s.whatsapp.net", None), Address(None, "2@lid", by_lid=True)
    told = [address_at((first, last), progress) for progress in (0.0, 0.49, 0.5, 1.0)]
    assert told == [first, first, last, last]


def test_we_answer_the_person_and_not_the_device() -> None:
    assert answered(Address("55:12@s.whatsapp.net", None)) == Address("55@s.whatsapp.net", None)


def test_names_seen_together_are_one_and_stay_so() -> None:
    instance = an_instance("2.3.6 baileys")
    person, other = instance.people[:2]
    witness = Witness(instance)
    assert witness.see([person.lid, True, "x"]) == f"lid:{person.lid}"
    witness.see([person.respelt_jid])
    [apart] = witness.persons()
    assert len(apart.identities) == 2
    assert not apart.is_linked
    witness.see([person.jid, person.lid, instance.jid])
    witness.see([other.jid])
    [one, another] = witness.persons()
    assert one.is_linked
    assert another.identities == (frozenset((another.phone,)),)


def test_our_own_names_and_strangers_mean_nothing() -> None:
    instance = an_instance("2.3.6 baileys")
    witness = Witness(instance)
    assert witness.see([instance.jid, instance.lid, "", None, "120363@g.us"]) is None
    assert witness.persons() == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["PENDING", "SERVER_ACK", "READ", "DELIVERY_ACK"], "read"),
        (["PENDING", "ERROR"], "failed"),
        (["ERROR", "DELIVERY_ACK"], "delivered"),
        (["DELIVERED", "FAILED"], "delivered"),
        (["READ", "PLAYED"], "played"),
    ],
)
def test_a_status_only_moves_forward(words: list[str], expected: str) -> None:
    """Promise P2, as the truth sees it."""
    truth = MessageTruth(
        instance="a",
        whatsapp_id="b",
        chat="phone:1",
        person="1",
        author=None,
        from_me=True,
        origin="api",
        sent_s=1,
        kind="text",
        stored_as="text",
        text="x",
        within=None,
    )
    for word in words:
        truth.advance(word)
    assert truth.status == expected
