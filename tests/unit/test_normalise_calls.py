"""Calls in their states and words."""

from typing import Any

import pytest

from evorelay.model.fact import Chat, Fact, MessageFact, QuarantineFact
from evorelay.protocol.normalise import normalise
from evorelay.protocol.normalise.calls import call_label, call_log_label
from tests.unit.test_normalise import RECEIVED_AT, envelope_of

OWN = "5511900001234@s.whatsapp.net"
PHONE = "5531988887777@s.whatsapp.net"
LID = "271828182845904@lid"
ANA = Chat(jid=PHONE, phone="5531988887777")


def read(**row: Any) -> Fact:
    data = {"id": "C1", "status": "offer", "date": "2026-11-22T11:00:05.000Z", **row}
    body = {"event": "call", "instance": "a", "sender": OWN, "data": data}
    (fact,) = normalise(envelope_of(body))
    return fact


@pytest.mark.parametrize(
    ("state", "video", "label"),
    [
        ("offer", False, "[Ligação de voz]"),
        ("ringing", True, "[Ligação de vídeo]"),
        ("timeout", False, "[Ligação de voz perdida]"),
        ("reject", True, "[Ligação de vídeo recusada]"),
        ("accept", False, "[Ligação de voz atendida]"),
        ("terminate", False, "[Ligação de voz encerrada]"),
        ("whatever", False, "[Ligação de voz]"),
    ],
)
def test_a_call_in_words(state: str, video: bool, label: str) -> None:
    assert label == call_label(state, video=video)


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ({"callOutcome": "MISSED", "isVideo": True}, "[Ligação de vídeo perdida]"),
        ({"callOutcome": 0}, "[Ligação de voz atendida]"),
        ({"callOutcome": "3"}, "[Ligação de voz recusada]"),
        ({"callOutcome": 99}, "[Ligação de voz]"),
        ({"callOutcome": [1]}, "[Ligação de voz]"),
        ({}, "[Ligação de voz]"),
        ("x", None),
    ],
)
def test_a_call_that_is_over_in_words(content: Any, label: str | None) -> None:
    assert label == call_log_label(content)


@pytest.mark.parametrize(
    ("row", "chat"),
    [
        ({"chatId": PHONE, "from": PHONE}, ANA),
        ({"chatId": "5531988887777:7@s.whatsapp.net"}, ANA),
        ({"from": PHONE}, ANA),
        ({"chatId": PHONE, "from": OWN}, ANA),
        ({"chatId": OWN, "from": PHONE}, ANA),
        ({"chatId": LID, "from": LID, "callerPn": PHONE}, Chat(jid=LID, phone=ANA.phone, lid=LID)),
        ({"chatId": LID, "from": LID, "callerPn": OWN}, Chat(jid=LID, lid=LID)),
        # We called: the one who called is no other name of the one who was called.
        ({"chatId": PHONE, "from": LID}, ANA),
        ({"chatId": "1@g.us", "from": PHONE}, Chat(jid="1@g.us", is_group=True)),
        ({"groupJid": "1@g.us", "chatId": PHONE}, Chat(jid="1@g.us", is_group=True)),
    ],
)
def test_whom_a_call_is_with(row: dict[str, Any], chat: Chat) -> None:
    fact = read(**row)
    assert isinstance(fact, MessageFact)
    assert chat == fact.chat
    assert fact.sent_at == 1_795_345_205_000


def test_a_group_call_says_who_calls() -> None:
    fact = read(groupJid="1@g.us", **{"from": PHONE})
    assert isinstance(fact, MessageFact)
    assert fact.author == ANA
    assert fact.sender_id == PHONE


@pytest.mark.parametrize(
    "row", [{"chatId": None}, {"chatId": PHONE, "id": None}, {"chatId": "x y"}]
)
def test_a_call_with_nobody_goes_into_quarantine(row: dict[str, Any]) -> None:
    assert isinstance(read(**row), QuarantineFact)


def test_a_call_without_a_date_happened_when_we_heard_of_it() -> None:
    fact = read(chatId=PHONE, date=None)
    assert isinstance(fact, MessageFact)
    assert fact.sent_at == RECEIVED_AT
