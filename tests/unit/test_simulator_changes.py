"""Reactions, edits, revokes, votes and receipts in each version's shape (research §3.2, §3.3)."""

from typing import Any

import pytest

from evorelay.simulator.acts import Edit, Reaction, Revoke, Vote
from evorelay.simulator.cast import Instance, Message
from evorelay.simulator.dialects import DIALECTS, Dialect, Webhook
from tests.support.simulated import SENT_MS, a_message, an_instance, hidden, visible

AT_MS = SENT_MS + 5_000
VERSIONS = ("1.8.2", "2.2.3", "2.3.0", "2.3.2", "2.3.4", "2.3.5", "2.3.6", "2.3.7", "2.4.0")


def _world(dialect: str, **fields: Any) -> tuple[Dialect, Instance, Message]:
    name = dialect if " " in dialect else f"{dialect} baileys"
    instance = an_instance(name)
    return DIALECTS[name], instance, a_message(instance, **fields)


def _edited(version: str, **fields: Any) -> list[Webhook]:
    dialect, instance, target = _world(version, **fields)
    through_api = target.through_api
    act = Edit(id="E", target=target, text="novo", at_ms=AT_MS, through_api=through_api)
    return dialect.edit(instance, act)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.8.2", [("messages.upsert", None), ("messages.update", None)]),
        ("2.2.3", [("messages.edited", None), ("messages.update", None)]),
        ("2.3.0", [("messages.edited", None), ("messages.update", "DELETED")]),
        ("2.3.4", [("messages.edited", None), ("messages.update", "DELETED")]),
        ("2.3.6", [("messages.edited", None)]),
        ("2.3.7", [("messages.edited", None), ("messages.update", "SERVER_ACK")]),
        ("2.4.0", [("messages.edited", None), ("messages.update", "SERVER_ACK")]),
    ],
)
def test_an_edit_and_its_shadow(version: str, said: list[tuple[str, str | None]]) -> None:
    """The shadow looks like a deletion or a receipt, and is neither."""
    webhooks = _edited(version)
    assert said == [(webhook.event, webhook.data.get("status")) for webhook in webhooks]
    assert "novo" in str(webhooks[0].data)
    assert str(AT_MS) in str(webhooks[0].data)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_customers_edit_names_the_chat_as_the_customer_sees_it(version: str) -> None:
    instance = an_instance(f"{version} baileys")
    key = _edited(version)[0].data["key"]
    assert (key["remoteJid"], key["fromMe"]) == (instance.jid, True)


def test_what_we_edit_through_the_api_is_an_update_of_what_we_sent() -> None:
    assert [webhook.event for webhook in _edited("2.3.6", api=True)] == ["send.message.update"]


def test_a_caption_is_edited_in_its_picture() -> None:
    edited = _edited("2.3.6", kind="image")[0].data["editedMessage"]
    assert edited == {"imageMessage": {"caption": "novo"}}


def test_an_encrypted_edit_says_only_what_it_is_about() -> None:
    dialect, instance, target = _world("2.3.7")
    act = Edit(id="E", target=target, text="", at_ms=AT_MS, is_encrypted=True)
    [webhook] = dialect.edit(instance, act)
    inner = webhook.data["message"]["secretEncryptedMessage"]
    assert inner["targetMessageKey"]["id"] == target.id
    assert inner["secretEncType"] == 2


@pytest.mark.parametrize(
    ("version", "events"),
    [
        ("1.8.2", ["messages.delete"]),
        ("2.2.3", ["messages.delete"]),
        ("2.3.2", ["messages.edited", "messages.delete"]),
        ("2.3.6", ["messages.edited", "messages.delete"]),
        ("2.3.7", ["messages.edited", "messages.delete"]),
    ],
)
def test_a_revoke_is_the_bare_key(version: str, events: list[str]) -> None:
    dialect, instance, target = _world(version)
    webhooks = dialect.revoke(instance, Revoke(target=target, at_ms=AT_MS))
    assert events == [webhook.event for webhook in webhooks]
    assert webhooks[-1].data["id"] == target.id
    assert webhooks[-1].data.get("status") == ("DELETED" if version == "2.3.7" else None)


def test_a_revoke_through_the_api_is_a_row_of_the_database() -> None:
    dialect, instance, target = _world("2.3.6", api=True)
    act = Revoke(target=target, at_ms=AT_MS, through_api=True)
    [webhook] = dialect.revoke(instance, act)
    assert webhook.data["id"] == target.row_id
    assert webhook.data["key"]["id"] == target.id


def test_in_a_group_the_participant_of_a_revoke_is_who_did_it() -> None:
    instance = an_instance("2.3.6 baileys")
    target = a_message(instance, chat=instance.group)
    admin = instance.group.members[-1]
    act = Revoke(target=target, at_ms=AT_MS, by=admin)
    key = DIALECTS["2.3.6 baileys"].revoke(instance, act)[-1].data
    assert (key["participant"], key["participantAlt"]) == (admin.lid, admin.jid)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("emoji", ["👍", ""])
def test_a_reaction_is_a_message_about_another(version: str, emoji: str) -> None:
    dialect, instance, target = _world(version, api=True)
    act = Reaction(id="R", target=target, author=visible(instance), emoji=emoji, at_ms=AT_MS)
    [webhook] = dialect.reaction(instance, act)
    inner = webhook.data["message"]["reactionMessage"]
    assert (webhook.data["key"]["id"], inner["key"]["id"], inner["text"]) == ("R", target.id, emoji)
    assert inner["key"]["fromMe"] is True
    assert webhook.data["messageType"] == "reactionMessage"


def test_our_reaction_through_the_api_is_sent_and_from_the_phone_received() -> None:
    dialect, instance, target = _world("2.3.6")
    ours = Reaction(id="R", target=target, author=None, emoji="👍", at_ms=AT_MS, through_api=True)
    typed = Reaction(id="R", target=target, author=None, emoji="👍", at_ms=AT_MS)
    assert [webhook.event for webhook in dialect.reaction(instance, ours)] == ["send.message"]
    assert [webhook.event for webhook in dialect.reaction(instance, typed)] == ["messages.upsert"]


@pytest.mark.parametrize(
    ("version", "event"),
    [
        ("1.8.2", "messages.update"),
        ("2.2.3", "messages.update"),
        ("2.3.0", None),
        ("2.3.6", None),
        ("2.3.7", "messages.upsert"),
    ],
)
def test_votes_are_told_by_some_versions(version: str, event: str | None) -> None:
    dialect, instance, poll = _world(version, kind="poll", api=True)
    voter = visible(instance)
    act = Vote(
        id="V", poll=poll, voter=voter, address=voter.address, options=("Tarde",), at_ms=AT_MS
    )
    webhooks = dialect.vote(instance, act)
    assert [webhook.event for webhook in webhooks] == ([event] if event else [])
    for webhook in webhooks:
        voted = [row["name"] for row in webhook.data["pollUpdates"] if row["voters"]]
        assert voted == ["Tarde"]
        assert webhook.data.get("status") in (None, "DELIVERY_ACK")


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("1.8.2", "remoteJid fromMe id status datetime owner"),
        ("2.2.3", "messageId keyId remoteJid fromMe participant status instanceId"),
        ("2.3.4", "keyId remoteJid fromMe participant status instanceId messageId"),
        ("2.3.6", "keyId remoteJid fromMe status instanceId messageId"),
        ("2.3.7", "messageId keyId remoteJid fromMe participant status instanceId"),
        ("2.3.6 business", "messageId keyId remoteJid fromMe participant status instanceId"),
        ("1.8.2 business", "id remoteJid fromMe status datetime owner"),
    ],
)
def test_a_receipt_has_its_versions_fields_in_their_order(version: str, fields: str) -> None:
    dialect, instance, message = _world(version, api=True)
    assert fields.split() == list(dialect.status(instance, message, "READ", AT_MS))


def test_the_evolution_channel_knows_no_changes() -> None:
    dialect, instance, target = _world("2.3.6 evolution")
    reaction = Reaction(id="R", target=target, author=None, emoji="👍", at_ms=AT_MS)
    assert dialect.reaction(instance, reaction) == []
    assert dialect.revoke(instance, Revoke(target=target, at_ms=AT_MS)) == []
    assert _edited("2.3.6 evolution") == []


def test_a_hidden_customer_edits_under_our_privacy_id() -> None:
    instance = an_instance("2.3.6 baileys")
    assert _edited("2.3.6", chat=hidden(instance))[0].data["key"]["remoteJid"] == instance.lid
