"""Whatever Evolution answers, it is read as a value of ours or refused: never anything else."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.outcome import Accepted, FaultKind, GatewayFault
from evorelay.protocol.evolution import answers
from evorelay.protocol.evolution.answer import Answer
from evorelay.protocol.evolution.faults import fault_of
from evorelay.protocol.evolution.queries import known_events


def read(reader: Any, answer: Answer, *, is_send: bool = False) -> Any:
    return reader(answer, lambda: fault_of(answer, is_send=is_send, now_s=0.0))


def accepted(document: Any, status: int = 201) -> Accepted:
    answer = Answer(status=status, body=json.dumps(document).encode())
    found = read(answers.accepted, answer, is_send=True)
    assert isinstance(found, Accepted)
    return found


PAYLOADS = Path(__file__).parents[3] / "shared/payloads"
CAPTURED_SENDS = [
    ("composed", 201, {"key": {"id": "3EB0", "remoteJid": "1@lid"}, "status": "PENDING"})
] + [
    (path.stem, capture.get("status") or capture.get("http_status"), body)
    for path in sorted(PAYLOADS.glob("rest*/*send*.json"))
    for capture in [json.loads(path.read_text())]
    for body in [capture.get("body", capture.get("response"))]
    if isinstance(body, dict) and "key" in body
]


@pytest.mark.parametrize(("name", "status", "body"), CAPTURED_SENDS)
def test_every_captured_success_is_accepted(name: str, status: int, body: Any) -> None:
    found = accepted(body, status)
    assert found.whatsapp_id == body["key"]["id"]
    assert found.jid == body["key"]["remoteJid"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"key": None},
        {"key": {"id": ""}},
        {"key": {"id": None}},
        {"key": {"id": {"x": 1}}},
        {"key": "3EB0"},
        {"key": {"id": "x" * 257}},
        {"message": "An unknown error has occurred.", "code": 1},
        [],
        None,
    ],
)
def test_success_is_the_id_and_not_the_status(document: Any) -> None:
    with pytest.raises(GatewayFault) as caught:
        accepted(document)
    assert caught.value.kind is FaultKind.UNKNOWN


def test_an_id_in_a_failure_is_doubt() -> None:
    with pytest.raises(GatewayFault) as caught:
        accepted({"key": {"id": "A"}}, status=500)
    assert caught.value.kind is FaultKind.UNKNOWN


@pytest.mark.parametrize(
    ("body", "whatsapp_id"),
    [
        (b'{"key":{"id":"A"},"message":{"base64":"AAAA', "A"),
        (b' {"key": {"id":"A","x":{"y":[1]}},', "A"),
        (b'{"key":{"id":"A"', None),
        (b'{"x":1,"key":{"id":"A"},', None),
        (b'{"key":["A"],', None),
        (b"", None),
    ],
)
def test_of_a_cut_answer_the_first_key_counts(body: bytes, whatsapp_id: str | None) -> None:
    answer = Answer(status=201, body=body, is_cut=True)
    if whatsapp_id is None:
        with pytest.raises(GatewayFault):
            read(answers.accepted, answer, is_send=True)
    else:
        assert read(answers.accepted, answer).whatsapp_id == whatsapp_id


READERS = [
    answers.accepted,
    answers.found_page,
    answers.statuses,
    answers.connection_state,
    answers.pairing,
    answers.done,
    answers.registration,
]
CAPTURED_BODIES = [
    json.dumps(capture.get("body", capture.get("response"))).encode()
    for path in sorted(PAYLOADS.glob("rest*/*.json"))
    for capture in [json.loads(path.read_text())]
] + [
    b'{"key":{"id":"A","remoteJid":"b"}}',
    b'{"messages":{"pages":1,"records":[{}]}}',
    b'{"instance":{"state":"open"}}',
    b'{"url":"u","enabled":true,"events":["A"],"headers":{"a":"b"}}',
    b'[{"status":"READ"}]',
    b'{"code":"2@","pairingCode":"X","base64":"data:"}',
]


@given(
    st.sampled_from(READERS),
    st.sampled_from(CAPTURED_BODIES),
    st.integers(200, 599),
    st.booleans(),
    st.data(),
)
def test_a_mutated_answer_is_a_value_or_a_fault(
    reader: Any, body: bytes, status: int, is_cut: bool, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(at, min(len(body), at + 20)))
    middle = data.draw(st.binary(max_size=6) | st.sampled_from([b"null", b"[]", b"{}", b'"x"']))
    answer = Answer(status=status, body=body[:at] + middle + body[end:], is_cut=is_cut)
    with suppress(GatewayFault):
        read(reader, answer)


def test_events_are_taken_from_the_refusal() -> None:
    """payloads/rest-live/webhook-set.bad-event.json"""
    text = "webhook.events[0] is not one of enum values: MESSAGES_UPSERT,SEND_MESSAGE"
    assert known_events(["other", text]) == frozenset({"MESSAGES_UPSERT", "SEND_MESSAGE"})
    assert known_events(["Unauthorized"]) is None
