"""What clients read is the contract's §4, word for word."""

import json
from typing import Any

import msgspec

from evorelay.model.records import ContactRecord, InstanceRecord, MessageRecord, TicketRecord
from evorelay.model.rendering import instance_view, message_view, ticket_view
from evorelay.model.told import MessageEvent
from evorelay.model.views import MESSAGE_TYPES, Media, Message, encode_json
from evorelay.protocol.delivery import OUTBOUND
from evorelay.protocol.normalise.kinds import KINDS, UNKNOWN_KIND

T = 1_795_000_000_123
RFC3339 = "2026-11-18T11:06:40.123000Z"


def record(kind: type[Any], **fields: Any) -> Any:
    return kind(**{**dict.fromkeys(kind.__struct_fields__), **fields})


def as_read(view: Any) -> Any:
    return json.loads(encode_json(view))


def test_a_message_has_the_contracts_fields_and_no_other() -> None:
    row = record(
        MessageRecord,
        id="m1",
        ticket_id="t1",
        content="olá\u2028 👋",
        created_at=T,
        received_at=T,
        reactions=[],
        metadata={"origin": "phone"},
        journal_seq=9,
    )
    seen = as_read(message_view(row))
    assert " ".join(seen) == (
        "id ticket_id instance direction sender sender_id sender_name type content status"
        " is_internal created_at received_at whatsapp_id reply_to reactions edited_at deleted_at"
        " media error metadata"
    )
    assert seen["created_at"] == RFC3339
    assert seen["edited_at"] is None
    assert seen["content"] == "olá\u2028 👋"
    assert seen["metadata"] == {"origin": "phone"}


def test_the_types_clients_are_told_of_are_those_the_normaliser_knows() -> None:
    assert set(MESSAGE_TYPES) == {kind.type for kind in (*KINDS.values(), UNKNOWN_KIND)}


def test_the_statuses_clients_are_told_of_are_those_a_message_may_have() -> None:
    schema = msgspec.json.schema(Message)["$defs"]["Message"]["properties"]["status"]
    assert set(schema["enum"]) == OUTBOUND | {"received"}


def test_reactions_media_and_the_reason_of_a_failure_are_read_as_they_were_stored() -> None:
    """Also by a version that knows fewer of their fields."""
    media: dict[str, Any] = dict.fromkeys(Media.__struct_fields__)
    media |= {"id": "ab" * 32, "is_voice": True, "is_animated": False, "state": "here"}
    reaction = {"emoji": "👍", "sender_id": "1@s.whatsapp.net", "sender_name": None}
    failure = {"code": "not_on_whatsapp", "message": "This number is not on WhatsApp."}
    row = record(
        MessageRecord,
        ticket_id="t1",
        created_at=T,
        received_at=T,
        media=media | {"from_the_future": 1},
        reactions=[reaction],
        error=failure,
    )
    seen = as_read(message_view(row))
    assert (seen["media"], seen["reactions"], seen["error"]) == (media, [reaction], failure)


def test_a_ticket_carries_its_contact() -> None:
    seen = as_read(
        ticket_view(
            record(TicketRecord, id="t1", created_at=T, last_message_at=T, unread=2, version=3),
            record(ContactRecord, id="c1", name="Ana", phone="5531988887777", is_group=False),
        )
    )
    assert " ".join(seen) == (
        "id instance contact status assignee subject unread last_message_at last_message"
        " created_at version waiting_since merged_into"
    )
    assert " ".join(seen["contact"]) == "id name phone jid lid avatar_url is_group"
    assert (seen["last_message_at"], seen["unread"], seen["version"]) == (RFC3339, 2, 3)


def test_an_instance_says_its_state_and_since_when() -> None:
    seen = as_read(
        instance_view(
            record(InstanceRecord, name="loja", state="open", state_since=T, last_event_at=T)
        )
    )
    assert (seen["name"], seen["state"], seen["state_since"]) == ("loja", "open", RFC3339)


def test_an_event_says_its_type_its_ticket_and_the_message() -> None:
    row = record(MessageRecord, id="m1", ticket_id="t1", created_at=T, received_at=T)
    event = MessageEvent(type="message.created", ticket_id="t1", message=message_view(row))
    seen = as_read(event)
    assert (seen["type"], seen["ticket_id"], seen["message"]["id"]) == (
        "message.created",
        "t1",
        "m1",
    )


def test_events_are_one_line() -> None:
    """The Centrifuge dialect separates commands by newlines."""
    row = record(MessageRecord, ticket_id="t1", content="a\nb\r\n", created_at=T, received_at=T)
    assert b"\n" not in encode_json(message_view(row))
