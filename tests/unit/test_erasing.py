"""What betrays a person in a text, and texts of others without it."""

from typing import Any

import pytest

from evorelay.model.erasing import Marks
from evorelay.protocol.erasing import Mentions, ids_named, numbers_of, spellings, without_person
from tests.conformance.harness import make_message


@pytest.mark.parametrize(
    ("phone", "others"),
    [
        ("5531988887777", {"553188887777"}),
        ("553188887777", {"5531988887777"}),
        ("5215512345678", {"525512345678"}),
        ("541123456789", {"5491123456789"}),
        ("351912345678", set()),
    ],
)
def test_a_number_is_looked_for_in_every_spelling(phone: str, others: set[str]) -> None:
    assert set(spellings(phone)) == {phone, *others}


def test_only_numbers_betray_somebody() -> None:
    """An id such as that of status posts stands in everybody's webhooks."""
    aliases = ["phone:553188887777", "lid:222222222222222@lid", "jid:status@broadcast"]
    found = numbers_of([*aliases, "jid:120363000000000001@g.us"], [])
    assert set(found) == {
        "553188887777",
        "5531988887777",
        "222222222222222",
        "120363000000000001",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("553188887777", True),
        ('"553188887777@s.whatsapp.net"', True),
        ("553188887777:12@s.whatsapp.net", True),
        ("+553188887777", True),
        ("9553188887777", False),
        ("5531888877770", False),
        ("", False),
    ],
)
def test_a_number_within_a_longer_one_is_another(text: str, expected: bool) -> None:
    marks = Marks(["553188887777"])
    assert marks.are_in(text) is expected
    assert marks.are_in_bytes(text.encode()) is expected


def test_of_nobody_nothing_is_found() -> None:
    assert not Marks([]).are_in("5531988887777")
    assert Marks([]).blanked("5531988887777") == "5531988887777"


def test_blanked_json_is_json_of_the_same_length() -> None:
    marks = Marks(["553188887777"])
    assert marks.blanked('{"a":"553188887777@x"}') == '{"a":"000000000000@x"}'
    assert marks.blanked({"a": ["553188887777", 1, None]}) == {"a": ["000000000000", 1, None]}


def test_a_webhook_is_about_a_message_that_it_names() -> None:
    body = b'{"data":{"keyId":"A1","remoteJid":"x"},"stanzaId" : "B2"}'
    assert ids_named(body) == {"A1", "B2"}
    assert Mentions(Marks([]), ["B2"]).are_in(body)
    assert not Mentions(Marks([]), ["A", "B22"]).are_in(body)
    assert not Mentions(Marks([]), []).are_in(body)


def test_a_message_of_somebody_else_keeps_what_is_theirs() -> None:
    theirs = "5531988887777@s.whatsapp.net"
    reactions: list[Any] = [
        {"who": "phone:553188887777", "emoji": "x", "sender_id": theirs},
        {"who": "me", "emoji": "y", "sender_id": None},
    ]
    message = make_message(
        content="fala com @5531988887777",
        reply_to="G1",
        reactions=reactions,
        metadata={
            "quoted": {"content": "segredo"},
            "mentioned": [theirs, "1@x"],
            "votes": [{"who": "phone:553188887777"}, {"who": "me"}],
        },
    )
    without_person(message, Marks(["5531988887777", "553188887777"]), {"G1"})
    assert message.content == "fala com @0000000000000"
    assert [one["who"] for one in message.reactions] == ["me"]
    assert message.metadata == {
        "mentioned": ["0000000000000@s.whatsapp.net", "1@x"],
        "votes": [{"who": "me"}],
    }


def test_a_quote_of_another_message_stays() -> None:
    message = make_message(reply_to="B1", metadata={"quoted": {"content": "oi"}})
    without_person(message, Marks(["5531988887777"]), {"G1"})
    assert message.metadata == {"quoted": {"content": "oi"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(21) 97777-6666", True),
        ("+55 21 97777-6666", True),
        ("+55\u00a021\u00a097777\u20116666", True),
        ("005521977776666", True),
        ("(021) 9.7777.6666", True),
        ("liga 21977776666", True),
        ('{"conversation":"21977776666"}', True),
        ("97777-6666", False),
        ("+351 21 97777-6666", False),
        ("(21) 97777-66661", False),
        ("121 97777-6666", False),
        ("21977776666@s.whatsapp.net", False),
        ('"phone:21977776666"', False),
        ('"waid":"21977776666"', False),
        ("waid=21977776666", False),
    ],
)
def test_a_number_is_found_as_people_write_it(text: str, expected: bool) -> None:
    """And what is written just so, but is another country's or an id, is somebody else."""
    marks = Marks(["5521977776666"])
    assert marks.are_in(text) is expected
    assert marks.are_in_bytes(text.encode()) is expected


def test_a_time_in_seconds_is_no_number_of_a_town() -> None:
    marks = Marks(["551764543000"])
    assert not marks.are_in('{"messageTimestamp":1764543000}')
    assert marks.are_in("(17) 6454-3000")
