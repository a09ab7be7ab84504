"""Whose chat a message is in, as each version tells it, with the traps that each version has."""

import base64
from typing import Any

import pytest

from evorelay.simulator.cast import Address, Instance, Person
from evorelay.simulator.dialects import DIALECTS
from tests.support.simulated import a_message, an_instance, hidden, visible

VERSIONS = ("1.8.2", "2.2.3", "2.3.0", "2.3.2", "2.3.4", "2.3.5", "2.3.6", "2.3.7", "2.4.0")


def _key(version: str, address: str, **fields: Any) -> dict[str, Any]:
    """The key of a message whose customer goes by that address, with names in place of ids."""
    instance = an_instance(f"{version} baileys")
    person = hidden(instance)
    addresses = {
        "phone": Address(person.jid, None),
        "phone, lid beside": Address(person.jid, person.lid),
        "lid": Address(None, person.lid, by_lid=True),
        "lid, phone beside": Address(person.jid, person.lid, by_lid=True),
    }
    message = a_message(instance, chat=person, address=addresses[address], **fields)
    word = DIALECTS[instance.dialect]
    data = word.send(instance, message) if message.through_api else word.upsert(instance, message)
    return _named(instance, person, data["key"])


def _named(instance: Instance, person: Person, key: dict[str, Any]) -> dict[str, Any]:
    names = {person.jid: "PHONE", person.lid: "LID", instance.jid: "OURS", instance.lid: "OUR LID"}
    return {name: names.get(value, value) for name, value in key.items() if name != "id"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.8.2", {"remoteJid": "LID"}),
        ("2.2.3", {"remoteJid": "LID"}),
        ("2.3.0", {"remoteJid": "LID", "senderPn": "PHONE"}),
        ("2.3.2", {"remoteJid": "PHONE", "senderPn": "PHONE", "previousRemoteJid": "LID"}),
        ("2.3.4", {"remoteJid": "PHONE", "remoteJidAlt": "PHONE", "addressingMode": "lid"}),
        ("2.3.5", {"remoteJid": "LID", "remoteJidAlt": "PHONE", "addressingMode": "lid"}),
        (
            "2.3.6",
            {
                "remoteJid": "LID",
                "remoteJidAlt": "PHONE",
                "participant": "",
                "addressingMode": "lid",
            },
        ),
        (
            "2.3.7",
            {
                "remoteJid": "PHONE",
                "remoteJidAlt": "PHONE",
                "participant": "",
                "addressingMode": "lid",
            },
        ),
    ],
)
def test_a_privacy_id_with_the_phone_beside_it(version: str, expected: dict[str, Any]) -> None:
    """2.3.4 and 2.3.7 put the phone over the privacy id and lose it."""
    assert _key(version, "lid, phone beside") == {**expected, "fromMe": False}


@pytest.mark.parametrize(
    ("version", "beside"),
    [
        ("2.2.3", {}),
        ("2.3.0", {"senderLid": "LID"}),
        ("2.3.2", {"senderLid": "LID"}),
        ("2.3.4", {"remoteJidAlt": "LID", "addressingMode": "pn"}),
        ("2.3.7", {"remoteJidAlt": "LID", "addressingMode": "pn", "participant": ""}),
    ],
)
def test_a_phone_with_the_privacy_id_beside_it(version: str, beside: dict[str, Any]) -> None:
    assert _key(version, "phone, lid beside") == {"remoteJid": "PHONE", "fromMe": False, **beside}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_privacy_id_alone_stands_alone(version: str) -> None:
    assert "PHONE" not in _key(version, "lid").values()
    assert _key(version, "lid")["remoteJid"] == "LID"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.3.0", {"remoteJid": "LID", "senderPn": "OURS"}),
        ("2.3.2", {"remoteJid": "OURS", "senderPn": "OURS", "previousRemoteJid": "LID"}),
        ("2.3.6", {"remoteJid": "LID", "remoteJidAlt": "OURS"}),
        ("2.3.7", {"remoteJid": "LID"}),
    ],
)
def test_of_what_we_typed_the_other_id_is_our_own(version: str, expected: dict[str, Any]) -> None:
    """The trap: taken for the customer's it would move the chat to ourselves."""
    key = _key(version, "lid, phone beside", ours=True, sender_said="own")
    assert {
        name: value for name, value in key.items() if value not in ("", "lid", True)
    } == expected


def test_of_what_we_typed_in_a_phone_chat_the_other_id_is_our_own_privacy_id() -> None:
    assert _key("2.3.6", "phone", ours=True, sender_said="own")["remoteJidAlt"] == "OUR LID"


@pytest.mark.parametrize("version", VERSIONS)
def test_we_send_to_the_phone_where_it_is_known(version: str) -> None:
    assert _key(version, "lid, phone beside", api=True)["remoteJid"] == "PHONE"
    assert _key(version, "lid", api=True)["remoteJid"] == "LID"


def test_2_3_6_sends_to_the_phone_but_reports_status_of_the_privacy_id() -> None:
    instance = an_instance("2.3.6 baileys")
    message = a_message(instance, chat=hidden(instance), api=True)
    status = DIALECTS["2.3.6 baileys"].status(instance, message, "READ", 0)
    assert status["remoteJid"].endswith("@lid")
    assert status["keyId"] == message.id


@pytest.mark.parametrize(
    ("version", "participants"),
    [
        ("1.8.2", {"participant"}),
        ("2.3.0", {"participant"}),
        ("2.3.6", {"participant", "participantAlt"}),
        ("2.3.7", {"participant", "participantAlt"}),
    ],
)
def test_who_wrote_in_a_group(version: str, participants: set[str]) -> None:
    instance = an_instance(f"{version} baileys")
    message = a_message(instance, chat=instance.group)
    key = DIALECTS[instance.dialect].upsert(instance, message)["key"]
    assert {name for name in key if name.startswith("participant")} == participants
    assert key["remoteJid"] == instance.group.jid


@pytest.mark.parametrize("index", range(16))
def test_a_number_is_respelt_by_its_ninth_digit_alone(index: int) -> None:
    person = an_instance("2.3.6 baileys").people[index]
    respelt = person.respelt_jid.partition("@")[0]
    assert {len(person.phone), len(respelt)} == {12, 13}
    assert person.phone[-8:] == respelt[-8:]
    assert person.phone[:4] == respelt[:4]


def test_a_cloud_id_names_its_customer() -> None:
    """Meta's ids hold the number, which tells when Evolution has the wrong chat."""
    instance = an_instance("2.3.6 business")
    message = a_message(instance)
    octets = base64.b64decode(message.id.removeprefix("wamid."))
    assert octets[3 : 3 + octets[2]].decode() == visible(instance).phone
