"""Traps of address books and groups; their shapes are in tests/fixtures/webhooks."""

from typing import Any

import pytest

from evorelay.model.fact import Fact, GroupFact, IgnoredFact, PersonFact, QuarantineFact
from evorelay.protocol.normalise import normalise
from evorelay.protocol.normalise.groups import MEMBERS_MAX
from tests.unit.test_normalise import RECEIVED_AT, envelope_of

OWN = "5511900001234@s.whatsapp.net"
PHONE = "5531988887777@s.whatsapp.net"
LID = "271828182845904@lid"
GROUP = "120363041234567890@g.us"


def read(event: str, data: Any) -> list[Fact]:
    body = {"event": event, "instance": "a", "sender": OWN, "data": data}
    return normalise(envelope_of(body))


@pytest.mark.parametrize(
    "row",
    [
        {"remoteJid": PHONE},
        {"remoteJid": PHONE, "pushName": "Você", "profilePicUrl": ""},
        {"remoteJid": PHONE, "pushName": "5531988887777"},
        {"remoteJid": GROUP, "pushName": "Ana"},
        {"remoteJid": OWN, "pushName": "Loja"},
        {"remoteJid": "551100001234:3@s.whatsapp.net", "pushName": "Loja"},
        {"remoteJid": LID, "phoneNumber": OWN, "pushName": "Loja"},
        {"remoteJid": "status@broadcast", "pushName": "Ana"},
        {"remoteJid": "1@newsletter", "pushName": "Ofertas"},
        {"pushName": "Ana"},
        {"id": "cm000000000000000000000cx", "pushName": "Ana"},
        {"id": 5531988887777, "pushName": "Ana"},
        {"id": "5531988887777", "pushName": "Ana"},
    ],
)
def test_entries_that_say_nothing_of_anybody(row: dict[str, Any]) -> None:
    assert read("contacts.update", row) == [IgnoredFact(event="contacts.update")]


@pytest.mark.parametrize("event", ["contacts.upsert", "chats.set", "groups.upsert"])
def test_an_entry_that_is_no_object_goes_into_quarantine(event: str) -> None:
    (fact,) = read(event, ["x"])
    assert isinstance(fact, QuarantineFact)


@pytest.mark.parametrize(
    ("row", "at"),
    [
        ({"subjectTime": 1_795_300_000, "creation": 1}, 1_795_300_000_000),
        ({"creation": "1795200000"}, 1_795_200_000_000),
        ({"subjectTime": 9_999_999_999}, RECEIVED_AT),
        ({}, RECEIVED_AT),
    ],
)
def test_since_when_a_group_has_its_name(row: dict[str, Any], at: int) -> None:
    (fact,) = read("groups.upsert", [{"id": GROUP, "subject": "Família", **row}])
    assert isinstance(fact, PersonFact)
    assert (fact.name, fact.at) == ("Família", at)


@pytest.mark.parametrize(
    "row",
    [
        {"action": "add", "participants": [OWN]},
        {"action": "add", "participants": []},
        {"action": "add", "participants": "x"},
        {"action": "add", "participants": ["[object Object]", {}, None, GROUP]},
        {"action": "modify", "participants": [PHONE]},
        {"participants": [PHONE]},
    ],
)
def test_changes_of_a_group_that_are_nobodys(row: dict[str, Any]) -> None:
    event = "group-participants.update"
    (fact,) = read(event, {"id": GROUP, **row})
    assert isinstance(fact, IgnoredFact)


@pytest.mark.parametrize("id_", [None, PHONE, "x y"])
def test_members_of_no_group_go_into_quarantine(id_: Any) -> None:
    data = {"id": id_, "action": "add", "participants": [PHONE]}
    (fact,) = read("group-participants.update", data)
    assert isinstance(fact, QuarantineFact)


@pytest.mark.parametrize(
    ("action", "admin", "role"),
    [
        ("promote", None, "admin"),
        ("promote", "superadmin", "superadmin"),
        ("demote", None, "member"),
        ("add", "admin", "admin"),
        ("remove", None, "member"),
        ("add", ["admin"], "member"),
        ("add", "king", "member"),
    ],
)
def test_the_role_of_a_member(action: str, admin: Any, role: str) -> None:
    data = {"id": GROUP, "action": action, "participants": [{"id": PHONE, "admin": admin}]}
    (fact,) = read("group-participants.update", data)
    assert isinstance(fact, GroupFact)
    assert fact.action == action
    assert fact.members[0].role == role


def test_a_group_has_a_bound() -> None:
    participants = [f"55319{number:08}@s.whatsapp.net" for number in range(MEMBERS_MAX + 10)]
    (fact,) = read("groups.upsert", [{"id": GROUP, "participants": participants}])
    assert isinstance(fact, GroupFact)
    assert len(fact.members) == MEMBERS_MAX
