"""Every shape of webhook we know, as it came and what it says (P2, P6): tests/fixtures/webhooks.

A fixture is ``{"why", "body", "facts"}``; a fact there names the fields that matter.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.model.envelope import Envelope
from evorelay.model.fact import Fact, GroupFact, IgnoredFact, MessageFact
from evorelay.protocol.normalise import Reason, normalise, normalise_row
from evorelay.protocol.normalise.kinds import KINDS

RECEIVED_AT = 1_795_350_000_000
ROOT = Path(__file__).parents[2]
FIXTURES = sorted((ROOT / "tests/fixtures/webhooks").glob("*.json"))
CORPUS = sorted((ROOT.parent / "shared/payloads").glob("*/*.json"))


def envelope_of(body: dict[str, Any], raw: bytes | None = None) -> Envelope:
    """The envelope that ingest makes of a webhook's body; its own strings are valid UTF-8."""
    event, instance = body.get("event"), body.get("instance")
    return Envelope(
        received_at=RECEIVED_AT,
        event=event.lower().replace("_", ".") if isinstance(event, str) else "",
        instance=instance.encode(errors="replace").decode() if isinstance(instance, str) else "",
        body=json.dumps(body).encode() if raw is None else raw,
    )


def plain(value: Any) -> Any:
    """Structs as objects with all their fields, and what they are under ``is``."""
    if isinstance(value, msgspec.Struct):
        kind = value.__struct_config__.tag
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return {"is": kind, **fields} if kind else fields
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def as_dict(fact: Fact) -> dict[str, Any]:
    return {"is": type(fact).__name__, **plain(fact)}


def only(actual: Any, expected: Any) -> Any:
    """The part of ``actual`` that ``expected`` speaks about; metadata is compared whole."""
    if isinstance(actual, list) and isinstance(expected, list) and len(actual) == len(expected):
        return [only(mine, said) for mine, said in zip(actual, expected, strict=True)]
    if not isinstance(actual, dict) or not isinstance(expected, dict):
        return actual
    return {
        key: actual.get(key, "missing")
        if key == "metadata"
        else only(actual.get(key, "missing"), value)
        for key, value in expected.items()
    }


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_says_what_the_fixture_says(path: Path) -> None:
    fixture = json.loads(path.read_text())
    facts = [as_dict(fact) for fact in normalise(envelope_of(fixture["body"]))]
    assert len(facts) == len(fixture["facts"])
    for fact, expected in zip(facts, fixture["facts"], strict=True):
        assert expected == only(fact, expected)


def test_every_kind_of_message_has_a_fixture() -> None:
    written = "".join(path.read_text() for path in FIXTURES)
    assert [name for name in KINDS if f'"{name}"' not in written] == []


def test_every_fact_of_a_message_can_be_stored_and_sent() -> None:
    """No fixture makes a fact that JSON cannot carry."""
    for path in FIXTURES:
        for fact in normalise(envelope_of(json.loads(path.read_text())["body"])):
            assert msgspec.json.decode(msgspec.json.encode(fact), type=type(fact)) == fact


def test_the_corpus_of_captures_is_understood_as_its_file_names_say() -> None:
    for path in CORPUS:
        document = json.loads(path.read_text())
        if path.parent.name.startswith("rest") or path.parent.name == "odd":
            continue
        body = document.get("body") if "path" in document else document
        if not isinstance(body, dict):
            continue
        facts = normalise(envelope_of(body))
        reasons = {getattr(fact, "reason", None) for fact in facts}
        assert Reason.UNKNOWN_EVENT not in reasons, path.name
        assert Reason.BAD_DATA not in reasons, path.name
        for fact in facts:
            if isinstance(fact, MessageFact):
                _check_message_against_name(path.name, fact)


def _check_message_against_name(name: str, fact: MessageFact) -> None:
    for kind_name, kind in KINDS.items():
        if kind_name in name and "-as-" not in name:
            assert kind.type == fact.type, name
    assert fact.content, name
    assert fact.chat.is_group or fact.chat.phone or fact.chat.lid, name
    assert fact.status == "received" or fact.from_me, name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"{", Reason.NOT_JSON),
        (b"[]", Reason.NOT_JSON),
        (b"null", Reason.NOT_JSON),
        (b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", Reason.TOO_DEEP),
        (b'{"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", Reason.TOO_DEEP),
        (b'{"data":{}}', Reason.NO_KEY),
        (b"{}", Reason.BAD_DATA),
    ],
)
def test_a_body_that_is_no_webhook_goes_into_quarantine(body: bytes, reason: Reason) -> None:
    envelope = Envelope(received_at=1, event="messages.upsert", instance="a", body=body)
    (fact,) = normalise(envelope)
    assert reason == getattr(fact, "reason", None)


@pytest.mark.parametrize("text", ['"\\ud83d oi"', '"\x01oi"', "NaN", '"\xff"', "9" * 5000, "1e999"])
def test_what_json_forbids_in_one_field_does_not_lose_the_message(text: str) -> None:
    raw = (
        '{"data":{"key":{"remoteJid":"5531988887777","id":"A"},"message":{"conversation":"oi"},'
        f'"pushName":{text}}}}}'
    ).encode("latin-1")
    envelope = Envelope(received_at=1, event="messages.upsert", instance="a", body=raw)
    (fact,) = normalise(envelope)
    assert isinstance(fact, MessageFact)
    assert fact.content == "oi"


def test_no_instance_goes_into_quarantine_but_noise_without_one_does_not() -> None:
    (message,) = normalise(envelope_of({"event": "messages.upsert", "data": {}}))
    assert getattr(message, "reason", None) == Reason.NO_INSTANCE
    (error,) = normalise(envelope_of({"event": "error", "data": {"status": 500}}))
    assert as_dict(error) == {"is": "IgnoredFact", "event": "error"}


def test_the_spelling_of_an_event_does_not_matter() -> None:
    data = {"id": "1@g.us", "action": "add", "participants": ["5531988887777@s.whatsapp.net"]}
    for event in ("group-participants.update", "GROUP_PARTICIPANTS_UPDATE"):
        (fact,) = normalise(envelope_of({"event": event, "instance": "a", "data": data}))
        assert isinstance(fact, GroupFact)


def test_an_empty_list_says_nothing() -> None:
    (fact,) = normalise(envelope_of({"event": "messages.upsert", "instance": "a", "data": []}))
    assert as_dict(fact) == {"is": "IgnoredFact", "event": "messages.upsert"}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_an_element_alone_says_what_it_says_in_its_body(path: Path) -> None:
    """``normalise_row`` is ``normalise`` for bodies that are read piece by piece."""
    body = json.loads(path.read_text())["body"]
    envelope = envelope_of(body)
    outer = {name: value for name, value in body.items() if name != "data"}
    data = body.get("data")
    rows = data if isinstance(data, list) else [data]
    if not envelope.instance:
        outer["data"] = data  # the name is nowhere else
    facts = [
        fact for row in rows for fact in normalise_row(envelope, outer, json.dumps(row).encode())
    ]
    said = [fact for fact in facts if not isinstance(fact, IgnoredFact)]
    assert said == [fact for fact in normalise(envelope) if not isinstance(fact, IgnoredFact)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"[" * 100_000 + b"]" * 100_000, Reason.TOO_DEEP),
        (b"7", "bad_data"),
    ],
)
def test_an_element_that_is_no_json_goes_into_quarantine(row: bytes, reason: str) -> None:
    envelope = Envelope(received_at=1, event="messages.set", instance="a", body=b"")
    (fact,) = normalise_row(envelope, {}, row)
    assert reason == getattr(fact, "reason", None)


def test_status_posts_are_history_where_they_are_wanted() -> None:
    body = json.loads((ROOT / "tests/fixtures/webhooks/v2.3-status-post.json").read_text())["body"]
    (fact,) = normalise(envelope_of(body), store_status_posts=True)
    assert isinstance(fact, MessageFact)
    assert fact.is_history
    assert fact.metadata["status_post"] is True
    assert fact.chat.phone
    assert not fact.chat.is_group
    body["data"]["key"]["fromMe"] = True
    (ours,) = normalise(envelope_of(body), store_status_posts=True)
    assert isinstance(ours, IgnoredFact)


def test_channel_posts_are_never_stored() -> None:
    body = json.loads((ROOT / "tests/fixtures/webhooks/v2.3-newsletter.json").read_text())["body"]
    (fact,) = normalise(envelope_of(body), store_status_posts=True)
    assert isinstance(fact, IgnoredFact)
