"""Delivery states in every form Evolution's versions and channels write them (research §3.2)."""

from typing import Any

import pytest

from evorelay.model.change import Status
from evorelay.model.fact import ChangeFact, MessageFact, QuarantineFact
from evorelay.protocol.normalise import Reason
from tests.unit.test_normalise_changes import PHONE, change, read


@pytest.mark.parametrize(
    "row",
    [
        {"remoteJid": PHONE, "fromMe": True, "id": "3EB0AA", "status": "READ", "owner": "a"},  # 1.8
        {"messageId": "cm0", "keyId": "3EB0AA", "remoteJid": "77@lid", "status": "READ"},  # 2.x
        {"keyId": "3EB0AA", "id": "cm0", "status": "READ"},
        {"key": {"id": "3EB0AA", "remoteJid": PHONE, "fromMe": True}, "status": "READ"},
        {"key": {"id": "3EB0AA", "fromMe": True}, "update": {"status": 4}},  # Baileys' own
        {"keyId": "3EB0AA", "remoteJid": "5511999998888:12@s.whatsapp.net", "status": "4"},
        {"keyId": "3EB0AA", "fromMe": False, "status": "READ"},  # the Cloud API says false of ours
        [{"keyId": "3EB0AA", "status": "READ"}],
    ],
)
def test_every_form_of_an_update_names_its_message(row: Any) -> None:
    assert change("messages.update", row) == Status(status="read")


def test_a_list_of_updates_is_each_of_them() -> None:
    rows = [{"keyId": f"3EB0{n}", "status": status} for n, status in enumerate((2, "DELIVERED"))]
    found = read("messages.update", [*rows, {"keyId": "3EB09", "status": "?"}, None])
    assert [type(fact) for fact in found] == [ChangeFact] * 2 + [QuarantineFact] * 2
    assert [fact.change for fact in found[:2] if isinstance(fact, ChangeFact)] == [
        Status(status="sent"),
        Status(status="delivered"),
    ]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        *(("PENDING", "pending"), ("SERVER_ACK", "sent"), (1, "pending"), ("2", "sent")),
        *(("ERROR", "failed"), (None, None), ("?", None), ({}, None)),
    ],
)
def test_the_echo_of_a_send_carries_its_own_state(said: Any, word: str | None) -> None:
    key = {"id": "3EB0AA", "remoteJid": PHONE, "fromMe": True}
    row = {"key": key, "message": {"conversation": "oi"}, "status": said}
    for data in (row, [row]):
        (fact,) = read("send.message", data)
        assert isinstance(fact, MessageFact)
        assert (fact.status, fact.origin) == (word, "api")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"keyId": "3EB0AA", "status": "TELEPATHY"}, Reason.UNKNOWN_STATE),
        ({"keyId": "3EB0AA", "status": 99}, Reason.UNKNOWN_STATE),
        ({"keyId": "", "status": "READ"}, Reason.NO_ID),
        ({"key": "3EB0AA", "status": "READ"}, Reason.NO_ID),
        ("READ", Reason.BAD_DATA),
    ],
)
def test_what_is_no_state_of_any_message_is_set_aside(row: Any, reason: Reason) -> None:
    (fact,) = read("messages.update", row)
    assert isinstance(fact, QuarantineFact)
    assert fact.reason == reason
