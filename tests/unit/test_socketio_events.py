"""Our events as Socket.IO clients hear them: names, both spellings, and whose place they carry."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from evorelay.model.event import ChannelEvent
from evorelay.model.told import (
    InstanceEvent,
    MessageEvent,
    MessageRemovedEvent,
    SeenEvent,
    TicketEvent,
    TicketMergedEvent,
    TicketUnmergedEvent,
    TypingEvent,
)
from evorelay.model.views import Contact, Instance, Media, Message, Ticket, encode_json
from evorelay.protocol.socketio import decode, read_offset
from evorelay.protocol.socketio_events import SocketIoDialect, spelled
from tests.unit.test_socketio import messages

DIALECT = SocketIoDialect("e1")
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MESSAGE = Message(
    id="m1",
    ticket_id="t1",
    instance="loja",
    direction="in",
    sender="client",
    sender_id="5531@s.whatsapp.net",
    sender_name='Ana "A" ção 😀',
    type="text",
    content="a,b}]\n\x1e",
    status="received",
    is_internal=False,
    created_at=AT,
    received_at=AT,
    whatsapp_id=None,
    reply_to="W0",
    reactions=[],
    edited_at=None,
    deleted_at=None,
    media=Media(
        id="f",
        url="/media/f",
        mimetype="image/png",
        size=1,
        filename=None,
        seconds=None,
        width=None,
        height=None,
        thumbnail=None,
        is_voice=False,
        is_animated=False,
        remote_url=None,
    ),
    error=None,
    metadata={"sender_name": "not this one"},
)
TICKET = Ticket(
    id="t1",
    instance="loja",
    contact=Contact(
        id="c", name="Ana", phone=None, jid="j", lid=None, avatar_url=None, is_group=False
    ),
    status="open",
    assignee=None,
    subject=None,
    unread=2,
    last_message_at=AT,
    last_message="oi",
    created_at=AT,
    version=3,
    waiting_since=None,
    merged_into=None,
)
INSTANCE = Instance(
    name="loja",
    state="open",
    state_since=AT,
    reason=None,
    phone="5531",
    profile_name="Loja",
    last_event_at=AT,
    cause=None,
    qrcode=None,
    polled_at=None,
    suspicion=None,
    registration=None,
)


def event(told: Struct, **fields: Any) -> ChannelEvent:
    places = (("ticket:t1", 7), ("inbox:loja", 90))
    return ChannelEvent(90, encode_json(told), **{"id": 41, "places": places, **fields})


def heard(frames: bytes) -> list[Any]:
    """The one event in some frames: name and arguments."""
    (text,) = messages(frames)
    assert isinstance(text, str)
    data: list[Any] = decode(text).data
    return data


def told_message(type_: str = "message.created") -> MessageEvent:
    return MessageEvent(type=type_, ticket_id="t1", message=MESSAGE)


@pytest.mark.parametrize(
    ("type_", "name"), [("message.created", "new-message"), ("message.updated", "message-updated")]
)
def test_a_message_has_both_spellings_and_its_tickets_offset(type_: str, name: str) -> None:
    found, body, place = heard(DIALECT.encode_event(event(told_message(type_))))
    assert (found, place) == (name, "41-e1")
    plain = msgspec.to_builtins(MESSAGE)
    assert {key: body[key] for key in plain} == plain
    assert {key: body[key] for key in body if key not in plain} == {
        "ticketId": "t1",
        "senderId": MESSAGE.sender_id,
        "senderName": MESSAGE.sender_name,
        "isInternal": False,
        "createdAt": plain["created_at"],
        "timestamp": plain["created_at"],
        "receivedAt": plain["received_at"],
        "whatsappId": None,
        "replyTo": "W0",
        "editedAt": None,
        "deletedAt": None,
        "offset": 7,
    }


def test_a_message_in_an_answer_is_the_same_without_an_offset() -> None:
    _, body, _ = heard(DIALECT.encode_event(event(told_message())))
    del body["offset"]
    assert msgspec.json.decode(spelled(MESSAGE)) == body


@pytest.mark.parametrize("type_", ["ticket.created", "ticket.updated"])
def test_a_ticket_says_its_id_as_messages_do(type_: str) -> None:
    told = TicketEvent(type=type_, ticket_id="t1", ticket=TICKET)
    name, body, place = heard(DIALECT.encode_event(event(told)))
    assert (name, place) == ("ticket-updated", "41-e1")
    plain = msgspec.to_builtins(TICKET)
    assert body == plain | {
        "ticket_id": "t1",
        "ticketId": "t1",
        "lastMessageAt": plain["last_message_at"],
        "lastMessage": "oi",
        "createdAt": plain["created_at"],
        "waitingSince": None,
        "mergedInto": None,
        "offset": 7,
    }


@pytest.mark.parametrize(
    ("told", "name", "other"),
    [
        (
            TicketMergedEvent(type="ticket.merged", ticket_id="t1", into="t2", ticket=TICKET),
            "ticket-merged",
            {"into": "t2"},
        ),
        (
            TicketUnmergedEvent(type="ticket.unmerged", ticket_id="t1", origin="t2", ticket=TICKET),
            "ticket-unmerged",
            {"origin": "t2"},
        ),
    ],
)
def test_what_two_tickets_have_to_do_with_each_other(
    told: Struct, name: str, other: dict[str, str]
) -> None:
    found, body, place = heard(DIALECT.encode_event(event(told)))
    assert (found, place) == (name, "41-e1")
    assert body.pop("ticket")["ticketId"] == "t1"
    assert body == {"ticket_id": "t1", "ticketId": "t1", "offset": 7, **other}


def test_a_removed_message_says_which_one_stands_for_it() -> None:
    told = MessageRemovedEvent(
        type="message.removed", ticket_id="t1", message_id="m1", replaced_by="m2"
    )
    name, body, place = heard(DIALECT.encode_event(event(told)))
    assert (name, place) == ("message-removed", "41-e1")
    assert (body["ticketId"], body["messageId"], body["replacedBy"]) == ("t1", "m1", "m2")
    assert body["offset"] == 7


def test_an_instance_names_itself_as_front_ends_expect_it() -> None:
    told = InstanceEvent(type="instance.updated", instance=INSTANCE)
    name, body, place = heard(DIALECT.encode_event(event(told, places=(("instance:loja", 3),))))
    assert (name, place) == ("connection-update", "41-e1")
    assert (body["instance"], body["state"], body["profileName"]) == ("loja", "open", "Loja")
    assert body["state_since"] == body["stateSince"]
    assert "offset" not in body


def test_what_is_replayed_does_not_move_the_clients_place() -> None:
    """The client keeps the last string an event ends in; it must not go back (P3)."""
    events = [event(told_message()), event(told_message("message.updated"))]
    found = [decode(str(text)).data for text in messages(DIALECT.encode_replayed(events))]
    assert [(name, body["offset"]) for name, body in found] == [
        ("new-message", 7),
        ("message-updated", 7),
    ]


@pytest.mark.parametrize(
    ("told", "spelling"),
    [
        (
            TypingEvent(type="typing", ticket_id="t1", user="ana", name="Ana", is_typing=True),
            {"ticketId": "t1", "isTyping": True},
        ),
        (SeenEvent(type="seen", ticket_id="t1", user="ana", name=None), {"ticketId": "t1"}),
    ],
)
def test_what_is_transient_has_no_place(told: Any, spelling: dict[str, Any]) -> None:
    name, body = heard(DIALECT.encode_transient("ticket:t1", encode_json(told)))
    assert name == told.type
    assert body == msgspec.to_builtins(told) | spelling


def test_what_this_protocol_has_no_word_for_is_not_told() -> None:
    unknown = ChannelEvent(1, b'{"type":"planet.discovered","ticket_id":"t1"}', id=1)
    assert DIALECT.encode_event(unknown) == b""


def test_an_event_of_an_older_version_may_lack_a_name() -> None:
    data = b'{"type":"instance.updated","instance":{"name":"loja","state":"open"}}'
    _, body, place = heard(DIALECT.encode_event(ChannelEvent(1, data, id=5)))
    assert (body["instance"], body["profileName"], body["state"]) == ("loja", None, "open")
    assert read_offset(place) == (5, "e1")
