"""Reactions, edits, revokes, votes and receipts, in the words of Evolution's Baileys channel."""

from typing import Any

from evorelay.simulator.acts import Edit, Reaction, Revoke, Vote
from evorelay.simulator.cast import Group, Instance, Message
from evorelay.simulator.dialects.envelope import Webhook
from evorelay.simulator.dialects.keys import message_key, reported_jid, sent_key
from evorelay.simulator.dialects.protobuf import Choice, Long
from evorelay.simulator.dialects.rows import send_row, source_of, upsert_row
from evorelay.simulator.dialects.structured import POLL_OPTIONS
from evorelay.simulator.dialects.traits import Traits

Data = dict[str, Any]


def update(
    traits: Traits, instance: Instance, message: Message, status: str | None, at_ms: int
) -> Data:
    """``messages.update``; without a status it is the shadow of an edit, or a vote."""
    jid = reported_jid(traits, message)
    if traits.is_v1:
        row: Data = {"remoteJid": jid, "fromMe": message.author is None, "id": message.id}
        said = {} if status is None else {"status": status}
        return row | said | {"datetime": at_ms, "owner": instance.name}
    fields = {
        "messageId": message.row_id,
        "keyId": message.id,
        "remoteJid": jid,
        "fromMe": message.author is None,
        "participant": jid,
        "status": status,
        "instanceId": instance.id,
    }
    return {
        name: fields[name]
        for name in traits.update_fields.split()
        if name != "status" or status is not None
    }


def reaction(traits: Traits, instance: Instance, act: Reaction) -> list[Webhook]:
    """A message of its own, whose target is named as we see it."""
    at_ms = Long(act.at_ms, unsigned=False)
    content = {
        "reactionMessage": {
            "key": _target_key(traits, act.target),
            "text": act.emoji,
            # What the API made itself never was protobuf (rest-live/baileys.sendReaction.ok).
            "senderTimestampMs": act.at_ms if act.through_api else at_ms,
        }
    }
    carrier = Message(
        id=act.id,
        row_id="",
        chat=act.target.chat,
        author=act.author,
        sent_ms=act.at_ms,
        text="",
        through_api=act.through_api,
        address=act.address or (None if act.author else act.target.named),
    )
    if act.through_api:
        return [Webhook("send.message", send_row(traits, instance, carrier, content))]
    return [Webhook("messages.upsert", upsert_row(traits, instance, carrier, content))]


def edit(traits: Traits, instance: Instance, act: Edit) -> list[Webhook]:
    """The new text, and in most versions an update without text that comes with it."""
    if act.is_encrypted:
        return [Webhook("messages.upsert", _encrypted_edit(traits, instance, act))]
    protocol = {
        "key": _as_editor_sees(traits, instance, act.target),
        "type": "MESSAGE_EDIT",
        "editedMessage": _edited_content(act),
        "timestampMs": str(act.at_ms),
    }
    if act.through_api and traits.own_edit_event:
        return [Webhook(traits.own_edit_event, protocol)]
    shadow = _shadow(traits, instance, act)
    if traits.edit_event == "messages.edited":
        return [Webhook("messages.edited", protocol), *shadow]
    content = {"editedMessage": {"message": {"protocolMessage": protocol}}}
    row = upsert_row(traits, instance, _carrier(act), content)
    return [Webhook("messages.upsert", row), *shadow]


def revoke(traits: Traits, instance: Instance, act: Revoke) -> list[Webhook]:
    """The bare key; in versions that forward protocol messages their word of it before that."""
    target = act.target
    key = sent_key(target) if target.through_api else message_key(traits, instance, target)
    if act.through_api and not traits.is_v1:
        return [Webhook("messages.delete", _deleted_row(instance, target, key))]
    if act.by is not None and isinstance(target.chat, Group):
        key |= {"participant": act.by.lid if traits.other_name else act.by.jid}
        if "participantAlt" in key:
            key["participantAlt"] = act.by.jid
    if traits.delete_status:
        key |= {"status": "DELETED"}
    deleted = [Webhook("messages.delete", key)]
    if not traits.protocol_events:
        return deleted
    protocol = {"key": _as_editor_sees(traits, instance, target), "type": "REVOKE"}
    return [Webhook("messages.edited", protocol), *deleted]


def vote(traits: Traits, instance: Instance, act: Vote) -> list[Webhook]:
    """Nothing in 2.3.0 to 2.3.6, which drop votes."""
    voters = [act.address.phone or act.address.primary]
    tally = [
        {"name": option, "voters": voters if option in act.options else []}
        for option in POLL_OPTIONS
    ]
    if traits.vote_event == "messages.update":
        data = update(traits, instance, act.poll, None, act.at_ms)
        return [Webhook("messages.update", data | {"pollUpdates": tally})]
    if traits.vote_event is None:
        return []
    content = {
        "pollUpdateMessage": {
            "pollCreationMessageKey": _target_key(traits, act.poll),
            "vote": {
                "encPayload": bytes(range(40)),
                "encIv": bytes(range(12)),
                "selectedOptions": list(act.options),
            },
            "senderTimestampMs": Long(act.at_ms, unsigned=False),
        }
    }
    carrier = Message(
        id=act.id,
        row_id="",
        chat=act.poll.chat,
        author=act.voter,
        sent_ms=act.at_ms,
        text="",
        address=None if isinstance(act.poll.chat, Group) else act.address,
    )
    row = upsert_row(traits, instance, carrier, content)
    return [Webhook("messages.upsert", row | {"pollUpdates": tally})]


def _target_key(traits: Traits, target: Message) -> Data:
    key: Data = {
        "remoteJid": reported_jid(traits, target),
        "fromMe": target.author is None,
        "id": target.id,
    }
    if isinstance(target.chat, Group) and target.author:
        key["participant"] = target.author.lid if traits.other_name else target.author.jid
    return key


def _as_editor_sees(traits: Traits, instance: Instance, target: Message) -> Data:
    """What a customer changes is theirs: ``fromMe``, in a chat with our number."""
    jid = reported_jid(traits, target)
    address = target.named
    if target.author and not isinstance(target.chat, Group):
        jid = instance.lid if address and address.by_lid else instance.jid
    return {"remoteJid": jid, "fromMe": True, "id": target.id}


def _edited_content(act: Edit) -> Data:
    if act.target.media is not None:
        return {f"{act.target.media.kind}Message": {"caption": act.text}}
    if act.target.kind == "link":
        return {"extendedTextMessage": {"text": act.text, "contextInfo": {}}}
    return {"conversation": act.text}


def _shadow(traits: Traits, instance: Instance, act: Edit) -> list[Webhook]:
    if traits.edit_shadow == "none":
        return []
    status = None if traits.edit_shadow == "no status" else traits.edit_shadow
    data = update(traits, instance, act.target, status, act.at_ms)
    if traits.edit_shadow == "SERVER_ACK":
        data["message"] = {"editedMessage": {"message": _edited_content(act)}}
    return [Webhook("messages.update", data)]


def _encrypted_edit(traits: Traits, instance: Instance, act: Edit) -> Data:
    content = {
        "secretEncryptedMessage": {
            "targetMessageKey": _target_key(traits, act.target),
            "encPayload": bytes(range(80)),
            "encIv": bytes(range(12)),
            "secretEncType": Choice(2, "MESSAGE_EDIT"),
        }
    }
    return upsert_row(traits, instance, _carrier(act), content)


def _carrier(act: Edit) -> Message:
    """The message that carries an edit: from the author of what it edits."""
    target = act.target
    return Message(
        id=act.id,
        row_id="",
        chat=target.chat,
        author=target.author,
        sent_ms=act.at_ms,
        text="",
        address=target.address,
        sender_said="nobody",
    )


def _deleted_row(instance: Instance, target: Message, key: Data) -> Data:
    return {
        "id": target.row_id,
        "instanceId": instance.id,
        "key": key | {"deleted": True},
        "messageType": "conversation",
        "status": "DELETED",
        "source": source_of(target.id),
        "messageTimestamp": target.sent_ms // 1000,
        "pushName": "Você",
        "participant": None,
        "message": {"conversation": target.text},
    }
