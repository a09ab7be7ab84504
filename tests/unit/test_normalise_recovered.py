"""Rows of ``chat/findMessages`` as webhooks: an upsert, marked, and its later statuses (P6)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evorelay.model.change import Reaction, Revoke, Status
from evorelay.model.fact import ChangeFact, Fact, MessageFact, QuarantineFact
from evorelay.protocol.normalise import normalise
from tests.unit.test_normalise import FIXTURES, RECEIVED_AT, envelope_of

PHONE = "5531988887777@s.whatsapp.net"
CORPUS = sorted(
    path
    for path in (Path(__file__).parents[3] / "shared/payloads").glob("rest*/*findMessages*.json")
)


def read(row: Any, event: str = "messages.recovered") -> list[Fact]:
    return normalise(envelope_of({"event": event, "instance": "loja", "data": row}))


def row(*statuses: Any, from_me: bool = True, id_: str = "3EB0AA", **fields: Any) -> dict[str, Any]:
    return {
        "id": "cm000000000000000000000px",
        "key": {"id": id_, "fromMe": from_me, "remoteJid": PHONE},
        "pushName": "Maria",
        "messageType": "conversation",
        "message": {"conversation": "Oi"},
        "messageTimestamp": RECEIVED_AT // 1000 - 60,
        "MessageUpdate": [{"status": status} for status in statuses],
        **fields,
    }


def statuses(row_: Any) -> list[str]:
    return [
        fact.change.status
        for fact in read(row_)
        if isinstance(fact, ChangeFact) and isinstance(fact.change, Status)
    ]


def test_it_says_what_the_upsert_would_have_said_and_is_marked() -> None:
    for from_me in (True, False):
        (found,) = read(row(from_me=from_me))
        (live,) = read(row(from_me=from_me), "messages.upsert")
        assert isinstance(found, MessageFact)
        assert isinstance(live, MessageFact)
        assert found.metadata == live.metadata | {"recovered": True}
        assert not found.is_history
        for name in ("whatsapp_id", "chat", "from_me", "content", "sent_at", "status", "origin"):
            assert getattr(found, name) == getattr(live, name)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["SERVER_ACK", "DELIVERY_ACK", "READ"], ["sent", "delivered", "read"]),
        (["SENT", "DELIVERED", "FAILED"], ["sent", "delivered", "failed"]),
        ([2, "3", 4], ["sent", "delivered", "read"]),
        (["DELETED", None, "EDITED", {"a": 1}], []),
        (["READ"] * 1000, ["read"] * 100),
    ],
)
def test_its_later_statuses_are_changes(said: list[Any], words: list[str]) -> None:
    assert statuses(row(*said)) == words


@pytest.mark.parametrize("updates", [None, {}, "READ", [None, 1, "READ", []]])
def test_updates_of_another_shape_say_nothing(updates: Any) -> None:
    assert statuses(row(MessageUpdate=updates)) == []


def test_a_message_of_the_cloud_api_was_sent_through_it() -> None:
    (fact,) = read(row(id_="wamid.HBgNNTUxMTk4ODg4MDAwMToxNw=="))
    assert isinstance(fact, MessageFact)
    assert fact.origin == "api"


def test_a_row_that_changes_another_message_is_that_change() -> None:
    reaction = {"reactionMessage": {"key": {"id": "3EB0BB"}, "text": "👍"}}
    revoke = {"protocolMessage": {"key": {"id": "3EB0BB"}, "type": "REVOKE"}}
    for message, kind in ((reaction, Reaction), (revoke, Revoke)):
        (fact,) = read(row("READ", message=message, messageType=next(iter(message))))
        assert isinstance(fact, ChangeFact)
        assert (fact.whatsapp_id, type(fact.change)) == ("3EB0BB", kind)


def test_from_outside_it_does_no_more_than_an_upsert() -> None:
    """A sender of webhooks could say the same by ``messages.upsert`` and ``messages.update``."""
    allowed = (MessageFact, ChangeFact, QuarantineFact)
    for data in (row("READ"), [row("READ"), row()], {}, [], None, {"state": "open"}, {"code": "x"}):
        found = read(data)
        assert all(isinstance(fact, allowed) or not isinstance(data, dict) for fact in found)
        assert {type(fact) for fact in found} <= {
            *(type(fact) for fact in read(data, "messages.upsert")),
            *(type(fact) for fact in read({"keyId": "A", "status": "READ"}, "messages.update")),
        }


def rows() -> Iterator[tuple[str, Any]]:
    """What ``data`` of an upsert is, a row is too; captured rows come on top, where they are."""
    for path in FIXTURES:
        body = json.loads(path.read_text())["body"]
        if body.get("event") == "messages.upsert" and isinstance(body.get("data"), dict):
            yield path.stem, body["data"]
    for path in CORPUS:
        answer = json.loads(path.read_text())
        records = (answer.get("body") or answer["response"])["messages"]["records"]
        for number, record in enumerate(records):
            yield f"{path.stem}-{number}", record


ROWS = {
    name: row
    for name, row in rows()
    if not any(isinstance(fact, QuarantineFact) for fact in read(row, "messages.upsert"))
}
assert len(ROWS) >= 100


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_understood_wherever_the_webhook_was(name: str) -> None:
    facts = read(ROWS[name])
    assert facts
    assert not any(isinstance(fact, QuarantineFact) for fact in facts)
