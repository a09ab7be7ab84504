"""JIDs in all their spellings, and whose they may be taken for."""

import base64
from typing import Any

import pytest

from evorelay.model.fact import Chat
from evorelay.protocol.normalise.identity import (
    author_of,
    chat_of,
    cloud_phone,
    is_public,
    parse_jid,
    person_of,
    poster_of,
)

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


@pytest.mark.parametrize("name", ["remoteJidAlt", "senderLid", "senderPn"])
@pytest.mark.parametrize("from_me", [True, False])
def test_notes_to_ourselves_give_nobody_our_number(name: str, from_me: bool) -> None:
    """2.x marks them as ours or not, and writes one of our names or anybody's beside it."""
    key = {"remoteJid": f"{OWN}@s.whatsapp.net", name: LID}
    expected = Chat(jid=f"{OWN}@s.whatsapp.net", phone=OWN)
    assert expected == chat_of(key, from_me=from_me, own_phone=OWN)


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
        ({"participant": LID, "participantAlt": PHONE}, (PHONE, "5531988887777", LID)),
        ({"participant": LID, "participantPn": PHONE}, (PHONE, "5531988887777", LID)),
        ({"participant": LID}, (LID, None, LID)),
        ({"participant": PHONE, "participantAlt": LID}, (PHONE, "5531988887777", LID)),
        ({"participant": f"{LID[:-4]}:7@lid"}, (LID, None, LID)),
        ({"participant": LID, "participantAlt": f"{OWN}@s.whatsapp.net"}, (LID, None, LID)),
        ({"participant": ""}, None),
        ({"participant": "1@g.us"}, None),
        ({}, None),
    ],
)
def test_the_author_in_a_group_is_the_participant(
    key: dict[str, Any], author: tuple[str, str | None, str | None] | None
) -> None:
    found = author_of(key, OWN)
    assert author == (found and (found.jid, found.phone, found.lid))


def test_a_broadcast_list_of_a_customer_is_the_customer() -> None:
    key = {"remoteJid": "1700000000@broadcast", "participant": LID, "participantAlt": PHONE}
    expected = Chat(jid=LID, phone="5531988887777", lid=LID)
    assert expected == chat_of(key, from_me=False, own_phone=OWN)


def test_whose_a_status_post_is() -> None:
    key = {"remoteJid": "status@broadcast", "participant": PHONE}
    assert Chat(jid=PHONE, phone="5531988887777") == poster_of(key, OWN)
    assert poster_of({"remoteJid": "1@newsletter", "participant": PHONE}, OWN) is None
    assert poster_of({"remoteJid": "status@broadcast"}, OWN) is None


def test_what_is_no_person_names_nobody() -> None:
    jids = [jid for name in ("1@g.us", "2@newsletter", PHONE) if (jid := parse_jid(name))]
    assert person_of(jids) == Chat(jid=PHONE, phone="5531988887777")
    assert person_of(jids[:2]) is None
    assert person_of([]) is None


def wamid(octets: bytes) -> str:
    return "wamid." + base64.b64encode(octets).decode()


@pytest.mark.parametrize("number", ["12345", "5531988887777", "123456789012345"])
@pytest.mark.parametrize("rest", [b"", b"\x02\x00\x12\x18\x16" + b"3EB0C0FFEE" * 2 + b"\x00"])
def test_an_id_of_the_cloud_api_names_its_customer(number: str, rest: bytes) -> None:
    octets = b"\x1c\x18" + bytes([len(number)]) + number.encode() + b"\x15" + rest
    assert number == cloud_phone(wamid(octets))


@pytest.mark.parametrize(
    "id_",
    [
        "3EB0C0FFEE0000000001",
        "wamid.",
        "wamid.HBgMTEXT1",
        "wamid.HBgMBATCH1",
        "wamid.PLACEHOLDER0001",
        "wamid.HBgMNTUxMTk4ODg4MDAwMToxNzk1MzQ3MDQ4NTkyOjg=",  # captured from a fake
        "wamid.HBgNNTUxMTk4ODg4MDAwMToxOA==",
        wamid(b"\x1c\x18\x041234\x15\x02\x00\x12"),
        wamid(b"\x1c\x18\x101234567890123456\x15"),
        wamid(b"\x1c\x18\x0d5531988887777\x16\x02"),
        wamid(b"\x1c\x18\x0d553198888777x\x15\x02"),
        wamid(b"\x1d\x18\x0d5531988887777\x15\x02"),
        wamid(b"\x1c\x18\xff5531988887777\x15\x02"),
        "wamid.HBgN😀",
    ],
)
def test_any_other_id_names_nobody(id_: str) -> None:
    assert cloud_phone(id_) is None


@pytest.mark.parametrize(
    ("jid", "public"),
    [
        ("status@broadcast", True),
        ("1700000000@broadcast", False),
        ("1@newsletter", True),
        (PHONE, False),
        (None, False),
    ],
)
def test_posts_to_everybody_are_nobodys_conversation(jid: str | None, public: bool) -> None:
    assert is_public({"remoteJid": jid}) is public


def test_our_own_broadcast_list_is_a_chat_of_its_own() -> None:
    key = {"remoteJid": "1700000000@broadcast", "participant": OWN}
    chat = chat_of(key, from_me=True, own_phone=OWN)
    assert chat == Chat(jid="1700000000@broadcast", is_group=True)
