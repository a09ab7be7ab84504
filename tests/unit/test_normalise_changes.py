"""Traps of reactions, edits and deletions; their shapes are in tests/fixtures/webhooks."""

from typing import Any

import pytest

from evorelay.model.change import Edit, Reaction, Revoke, Status, Vote
from evorelay.model.fact import ChangeFact, Fact, IgnoredFact, QuarantineFact
from evorelay.protocol.normalise import Reason, normalise
from tests.unit.test_normalise import RECEIVED_AT, envelope_of

GROUP = "120363041234567890@g.us"
PHONE = "5531988887777@s.whatsapp.net"
LID = "271828182845904@lid"


def read(event: str, data: Any) -> list[Fact]:
    body = {"event": event, "instance": "a", "sender": "5511900001234@s.whatsapp.net"}
    return normalise(envelope_of({**body, "data": data}))


def change(event: str, data: Any) -> Any:
    """The one change that a webhook makes."""
    changes = [fact for fact in read(event, data) if isinstance(fact, ChangeFact)]
    assert len(changes) == 1
    assert changes[0].whatsapp_id == "3EB0AA"
    return changes[0].change


def reaction(key: dict[str, Any], **value: Any) -> dict[str, Any]:
    content = {"key": {"id": "3EB0AA"}, "text": "👍", **value}
    return {"key": {"id": "3EB0BB", **key}, "message": {"reactionMessage": content}}


@pytest.mark.parametrize(
    ("key", "who"),
    [
        ({"remoteJid": PHONE, "fromMe": False}, "them"),
        ({"remoteJid": PHONE}, "them"),
        ({"remoteJid": PHONE, "fromMe": True}, "me"),
        ({"remoteJid": GROUP, "fromMe": True, "participant": LID}, "me"),
        ({"remoteJid": GROUP, "participant": LID}, f"lid:{LID}"),
        ({"remoteJid": GROUP, "participant": PHONE, "participantAlt": LID}, "phone:553188887777"),
        ({"remoteJid": GROUP, "participant": LID, "participantAlt": PHONE}, "phone:553188887777"),
    ],
)
def test_whose_a_reaction_is(key: dict[str, Any], who: str) -> None:
    """By the key outside: the one inside is the message's, from whoever's point of view."""
    found = change("messages.upsert", reaction(key))
    assert isinstance(found, Reaction)
    assert found.who == who


def test_a_reaction_without_an_author_is_nobodys() -> None:
    (fact,) = read("messages.upsert", reaction({"remoteJid": GROUP}))
    assert isinstance(fact, QuarantineFact)
    assert fact.reason == Reason.NO_CHAT


@pytest.mark.parametrize("event", ["status@broadcast", "1@newsletter"])
def test_reactions_to_posts_are_nothing_to_us(event: str) -> None:
    (fact,) = read("messages.upsert", reaction({"remoteJid": event, "participant": PHONE}))
    assert isinstance(fact, IgnoredFact)


@pytest.mark.parametrize(
    ("said", "emoji"), [("👍🏽", "👍🏽"), ("", ""), (None, ""), ([], ""), ("x" * 500, "x" * 64)]
)
def test_what_a_reaction_says(said: Any, emoji: str) -> None:
    assert change("messages.upsert", reaction({"remoteJid": PHONE}, text=said)).emoji == emoji


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (1_795_345_999_123, 1_795_345_999_123),
        ("1795345999123", 1_795_345_999_123),
        ({"low": 48670000, "high": 418, "unsigned": False}, (418 << 32) + 48670000),
        (1_795_345_999, 1_795_345_999_000),
        (None, 1_795_346_000_000),
        ("x", 1_795_346_000_000),
        (9_999_999_999_999, RECEIVED_AT),
    ],
)
def test_when_a_reaction_was_made(said: Any, at: int) -> None:
    data = reaction({"remoteJid": PHONE}, senderTimestampMs=said)
    assert change("messages.upsert", {**data, "messageTimestamp": 1_795_346_000}).at == at


@pytest.mark.parametrize(
    ("edited", "text"),
    [
        ({"conversation": "novo"}, "novo"),
        ({"extendedTextMessage": {"text": "novo"}}, "novo"),
        ({"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "n"}}}}, "n"),
        ({"imageMessage": {}}, "[Imagem]"),
        ({}, None),
        (None, None),
        ("novo", None),
    ],
)
@pytest.mark.parametrize("type_", ["MESSAGE_EDIT", 14, "14"])
def test_what_a_message_says_after_an_edit(edited: Any, text: str | None, type_: Any) -> None:
    data = {"key": {"id": "3EB0AA"}, "type": type_, "editedMessage": edited}
    expected = Edit(content=text, at=None, seen_at=RECEIVED_AT)
    assert expected == change("messages.edited", data)
    assert expected == change("send.message.update", data)
    upsert = {"key": {"remoteJid": PHONE, "id": "3EB0BB"}, "message": {"protocolMessage": data}}
    assert expected == change("messages.upsert", upsert)
    assert expected == change("messages.edited", {**upsert, "key": {"id": "3EB0CC"}})


def test_an_edit_from_the_future_has_no_time() -> None:
    """Else no later edit would ever count."""
    data = {"key": {"id": "3EB0AA"}, "type": 14, "timestampMs": "9999999999999"}
    assert change("messages.edited", data).at is None


@pytest.mark.parametrize(
    "type_",
    [
        *("EPHEMERAL_SETTING", "HISTORY_SYNC_NOTIFICATION", "APP_STATE_SYNC_KEY_SHARE"),
        *("LID_MIGRATION_MAPPING_SYNC", "PEER_DATA_OPERATION_REQUEST_MESSAGE", 3, 5, 6, 22),
        *(None, False, "", [], {}, "INITIAL_SECURITY_NOTIFICATION_SETTING_SYNC"),
    ],
)
def test_housekeeping_changes_nothing(type_: Any) -> None:
    for key in ({"id": "3EB0AA"}, None):
        protocol = {"key": key, "type": type_}
        upsert = {
            "key": {"remoteJid": PHONE, "id": "3EB0BB"},
            "message": {"protocolMessage": protocol},
        }
        for event, data in (("messages.edited", protocol), ("messages.upsert", upsert)):
            assert read(event, data) == [IgnoredFact(event=event)]


@pytest.mark.parametrize(
    "data",
    [
        {"remoteJid": PHONE, "fromMe": False, "id": "3EB0AA"},
        {"remoteJid": PHONE, "id": "3EB0AA", "status": "DELETED"},
        {"id": "cm0000", "key": {"id": "3EB0AA"}},
        {"id": "cm0000", "keyId": "3EB0AA"},
        {"keys": [{"id": "3EB0AA"}]},
        "3EB0AA",
        [{"id": "3EB0AA"}],
    ],
)
def test_every_form_of_a_deletion(data: Any) -> None:
    assert change("messages.delete", data) == Revoke(at=RECEIVED_AT)


@pytest.mark.parametrize(
    "data", [None, {}, 7, {"key": None, "id": "cm0000"}, {"id": "cm0000", "key": {"id": ""}}, ""]
)
def test_a_deletion_of_nothing_deletes_nothing(data: Any) -> None:
    (fact,) = read("messages.delete", data)
    assert isinstance(fact, QuarantineFact)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        *(("ERROR", "failed"), (0, "failed"), ("FAILED", "failed"), ("PENDING", "pending")),
        *(("SERVER_ACK", "sent"), (2, "sent"), ("2", "sent"), ("SENT", "sent")),
        *(("DELIVERY_ACK", "delivered"), ("delivered", "delivered"), (4, "read"), (5, "played")),
    ],
)
def test_delivery_states_by_name_and_number(status: Any, word: str) -> None:
    assert change("messages.update", {"keyId": "3EB0AA", "status": status}) == Status(status=word)


@pytest.mark.parametrize("status", [None, "DELETED"])
def test_the_shadow_of_an_edit_changes_nothing(status: Any) -> None:
    """``DELETED`` in an update is what 2.3.0-2.3.4 write for an edit, never a deletion."""
    row = {"keyId": "3EB0AA", "remoteJid": PHONE, "status": status}
    assert read("messages.update", row) == [IgnoredFact(event="messages.update")]
    edited = {"editedMessage": {"message": {"conversation": "novo"}}}
    assert change("messages.update", {**row, "message": edited}).content == "novo"


def test_an_edit_in_an_update_may_name_another_message() -> None:
    inner = {"key": {"id": "3EB0AA"}, "type": 14, "editedMessage": {"conversation": "novo"}}
    edited = {"editedMessage": {"message": {"protocolMessage": inner}}}
    assert change("messages.update", {"keyId": "3EB0BB", "message": edited}).content == "novo"


def test_a_deletion_in_the_wrapper_of_an_edit_is_a_deletion() -> None:
    protocol = {"protocolMessage": {"key": {"id": "3EB0AA"}, "type": "REVOKE"}}
    message = {"editedMessage": {"message": protocol}}
    data = {"key": {"remoteJid": PHONE, "id": "3EB0BB"}, "message": message}
    assert change("messages.upsert", data) == Revoke(at=RECEIVED_AT)


def vote(**row: Any) -> Any:
    return change("messages.update", {"keyId": "3EB0AA", "remoteJid": PHONE, "fromMe": True, **row})


def test_a_voter_votes_once_for_all_options() -> None:
    updates = [
        {"name": "A", "voters": [PHONE, LID]},
        {"name": "B", "voters": ["5531988887777:3@s.whatsapp.net"]},
        {"name": "C", "voters": None},
        7,
    ]
    found = vote(pollUpdates=updates)
    assert found == Vote(who="them", options=("A", "B"), at=RECEIVED_AT, sender_id=PHONE)


@pytest.mark.parametrize("updates", [[], [{"vote": {"selectedOptions": [{"0": 1}]}}], "x", {}, [1]])
def test_votes_that_cannot_be_read_say_nothing(updates: Any) -> None:
    row = {"keyId": "3EB0AA", "remoteJid": PHONE, "fromMe": True, "pollUpdates": updates}
    assert read("messages.update", row) == [IgnoredFact(event="messages.update")]


def test_a_poll_without_voters_in_a_group_says_nothing() -> None:
    """Somebody took a vote back; nobody says who."""
    row = {"keyId": "3EB0AA", "remoteJid": GROUP, "fromMe": True, "pollUpdates": [{"voters": []}]}
    assert read("messages.update", row) == [IgnoredFact(event="messages.update")]
