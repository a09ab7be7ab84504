"""JIDs in all their spellings, and whose they may be taken for."""

from typing import Any

import pytest

from evorelay.model.fact import Chat
from evorelay.protocol.normalise.identity import author_of, chat_of, is_public, parse_jid

OWN = "5511900001234"
PHONE = "5531988887777@s.whatsapp.net"
LID = "271828182845904@lid"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (PHONE, PHONE),
        ("5531988887777:12@s.whatsapp.net", PHONE),
        ("5531988887777_1:12@s.whatsapp.net", PHONE),
        (" 5531988887777@S.WhatsApp.Net ", PHONE),
        ("5531988887777@c.us", PHONE),
        ("5531988887777@hosted", PHONE),
        ("5531988887777", PHONE),
        ("+5531988887777", PHONE),
        (5531988887777, PHONE),
        ("271828182845904:3@lid", LID),
        ("271828182845904@hosted.lid", LID),
        ("5531988887777-1500000000@g.us", "5531988887777-1500000000@g.us"),
    ],
)
def test_reads_every_spelling(written: Any, read: str) -> None:
    assert read == str(parse_jid(written))


@pytest.mark.parametrize(
    "written",
    [None, "", "@", "@lid", "x", "a b@lid", "5531@", "x" * 200, "a\n@lid", "é@lid", True, -5, 1.5,
     10**30, [], {}, "\ud800@lid", "a@b@c"],
)  # fmt: skip
def test_refuses_what_is_no_jid(written: Any) -> None:
    assert parse_jid(written) is None or written is True


@pytest.mark.parametrize("user", ["1234", "1234567890123456", "abc"])
def test_a_person_without_a_phone_number_has_none(user: str) -> None:
    jid = parse_jid(f"{user}@s.whatsapp.net")
    assert jid is not None
    assert jid.phone is None


def test_a_lid_is_no_phone() -> None:
    assert Chat(jid=LID, lid=LID) == chat_of({"remoteJid": LID}, from_me=False, own_phone=OWN)


@pytest.mark.parametrize("name", ["remoteJidAlt", "senderPn"])
def test_the_senders_number_names_the_chat_when_the_customer_writes(name: str) -> None:
    key = {"remoteJid": LID, name: PHONE}
    expected = Chat(jid=LID, phone="5531988887777", lid=LID)
    assert expected == chat_of(key, from_me=False, own_phone=OWN)


@pytest.mark.parametrize("own", ["5511900001234", "551100001234"])
def test_our_own_number_is_never_the_customers(own: str) -> None:
    """Also with or without the ninth digit."""
    key = {"remoteJid": LID, "remoteJidAlt": f"{OWN}@s.whatsapp.net"}
    assert Chat(jid=LID, lid=LID) == chat_of(key, from_me=True, own_phone=own)
    assert Chat(jid=LID, lid=LID) == chat_of(key, from_me=False, own_phone=own)


def test_when_we_write_an_unverifiable_name_is_not_believed() -> None:
    """The envelope had no number of ours, or the name is a LID: it may be ours."""
    key = {"remoteJid": LID, "remoteJidAlt": PHONE}
    assert Chat(jid=LID, lid=LID) == chat_of(key, from_me=True, own_phone=None)
    key = {"remoteJid": PHONE, "senderLid": LID}
    expected = Chat(jid=PHONE, phone="5531988887777")
    assert expected == chat_of(key, from_me=True, own_phone=OWN)


def test_a_chat_with_ourselves_is_a_chat() -> None:
    key = {"remoteJid": f"{OWN}@s.whatsapp.net"}
    chat = chat_of(key, from_me=True, own_phone=OWN)
    assert chat is not None
    assert chat.phone == OWN


def test_the_other_names_stand_in_for_a_missing_one() -> None:
    key = {"remoteJid": None, "previousRemoteJid": LID, "senderPn": PHONE}
    expected = Chat(jid=PHONE, phone="5531988887777", lid=LID)
    assert expected == chat_of(key, from_me=False, own_phone=OWN)


def test_a_group_is_itself_whatever_stands_beside_it() -> None:
    key = {"remoteJid": "1@g.us", "remoteJidAlt": PHONE, "participant": LID, "senderPn": PHONE}
    group = Chat(jid="1@g.us", is_group=True)
    assert group == chat_of(key, from_me=False, own_phone=OWN)


@pytest.mark.parametrize(
    ("key", "author"),
    [
        ({"participant": LID, "participantAlt": PHONE}, PHONE),
        ({"participant": LID, "participantPn": PHONE}, PHONE),
        ({"participant": LID}, LID),
        ({"participant": PHONE, "participantAlt": LID}, PHONE),
        ({"participant": ""}, None),
    ],
)
def test_the_author_in_a_group_is_the_participant(key: dict[str, Any], author: str | None) -> None:
    assert author == author_of(key, Chat(jid="1@g.us", is_group=True))


@pytest.mark.parametrize(
    ("jid", "from_me", "public"),
    [
        ("status@broadcast", False, True),
        ("1700000000@broadcast", True, True),
        ("1700000000@broadcast", False, False),
        ("1@newsletter", False, True),
        (PHONE, False, False),
        (None, False, False),
    ],
)
def test_posts_to_everybody_are_nobodys_conversation(
    jid: str | None, from_me: bool, public: bool
) -> None:
    assert public == is_public({"remoteJid": jid}, from_me=from_me)
