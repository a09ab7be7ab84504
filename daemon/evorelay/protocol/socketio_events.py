"""Our events as a Socket.IO client hears them (contract §6). A codec, no IO.

Existing front ends read camelCase, or snake_case, or both; so what they are sent has each name of
two words twice. The second spelling is appended to JSON that is there already, and no message is
decoded for it: 4 us an event.

What has a place among all events ends in an argument that says it (``offset_text``): the client
keeps the last such string and comes back with it. Nothing else may end in a string.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec
from msgspec import Raw, Struct

from evorelay.model.event import ChannelEvent
from evorelay.model.ids import ticket_channel
from evorelay.model.told import MessageRemovedEvent, SeenEvent, TicketErasedEvent, TypingEvent
from evorelay.model.views import Instance, Message, Ticket, encode_json
from evorelay.protocol.engineio import message_frame
from evorelay.protocol.socketio import offset_text

_NULL = Raw(b"null")


class _Spelling:
    """Writes an object's names of two words in camelCase, too; ``also`` are further second names.

    Of the object itself, not of objects in it.
    """

    def __init__(self, view: type[Struct], *also: tuple[str, str]) -> None:
        names = [(name, _camel(name)) for name in view.__struct_fields__ if "_" in name]
        names += also
        fields = [(name, Raw, _NULL) for name in dict(names)]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Names", fields, gc=False)).decode
        self._values = attrgetter(*(name for name, _ in names))
        self._template = b"".join(b',"%b":%%b' % second.encode() for _, second in names)

    def __call__(self, json: bytes | Raw) -> bytes:
        values = self._values(self._decode(json))
        return b"%b%b}" % (bytes(json)[:-1], self._template % values)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


_MESSAGE = _Spelling(Message, ("created_at", "timestamp"))
_TICKET = _Spelling(Ticket, ("id", "ticket_id"), ("id", "ticketId"))
_INSTANCE = _Spelling(Instance, ("name", "instance"))
_REMOVED = _Spelling(MessageRemovedEvent)
_ERASED = _Spelling(TicketErasedEvent)


class _Told(Struct, frozen=True, gc=False):
    """Any event of model/told.py, what it is about left as it is."""

    type: str
    ticket_id: str = ""
    message: Raw = _NULL
    ticket: Raw = _NULL
    instance: Raw = _NULL
    into: Raw = _NULL
    origin: Raw = _NULL


def _merged(told: _Told, _: bytes) -> bytes:
    return _of_two(told, b'"into":%b' % told.into)


def _unmerged(told: _Told, _: bytes) -> bytes:
    return _of_two(told, b'"origin":%b' % told.origin)


def _of_two(told: _Told, other: bytes) -> bytes:
    id_ = encode_json(told.ticket_id)
    body = (id_, id_, other, _TICKET(told.ticket))
    return b'{"ticket_id":%b,"ticketId":%b,%b,"ticket":%b}' % body


_TOLD: dict[str, tuple[str, Callable[[_Told, bytes], bytes]]] = {
    "message.created": ("new-message", lambda told, _: _MESSAGE(told.message)),
    "message.updated": ("message-updated", lambda told, _: _MESSAGE(told.message)),
    "message.removed": ("message-removed", lambda _, data: _REMOVED(data)),
    "ticket.created": ("ticket-updated", lambda told, _: _TICKET(told.ticket)),
    "ticket.updated": ("ticket-updated", lambda told, _: _TICKET(told.ticket)),
    "ticket.merged": ("ticket-merged", _merged),
    "ticket.erased": ("ticket-erased", lambda _, data: _ERASED(data)),
    "ticket.unmerged": ("ticket-unmerged", _unmerged),
    "instance.updated": ("connection-update", lambda told, _: _INSTANCE(told.instance)),
}
"""Our name -> theirs, and what writes the event's one argument, of the event and its JSON."""
_TRANSIENT = {"typing": _Spelling(TypingEvent), "seen": _Spelling(SeenEvent)}

_decode = msgspec.json.Decoder(_Told).decode


class SocketIoDialect:
    """``RoomDialect`` of relay/merged_feed.py. One instance serves every session."""

    name = "socketio"
    ping_frame = b""
    """Engine.IO asks for signs of life by itself."""

    def __init__(self, epoch: str) -> None:
        """``epoch``: of the store whose events these are."""
        self._epoch = epoch

    def encode_event(self, event: ChannelEvent) -> bytes:
        """The frame of an event; none for a type that this protocol does not tell."""
        return _frame(event, place=encode_json(offset_text(event.id, self._epoch)))

    def encode_replayed(self, events: Sequence[ChannelEvent]) -> bytes:
        """Frames of events older than what the client has heard: its place is not to go back."""
        return b"".join([_frame(event, place=None) for event in events])

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        told = _decode(data)
        return message_frame(b'2["%b",%b]' % (told.type.encode(), _TRANSIENT[told.type](data)))


def _frame(event: ChannelEvent, *, place: bytes | None) -> bytes:
    told = _decode(event.data)
    known = _TOLD.get(told.type)
    if known is None:
        return b""
    name, write = known
    body = write(told, event.data)
    offset = dict(event.places).get(ticket_channel(told.ticket_id))
    if offset is not None:
        body = b'%b,"offset":%d}' % (body[:-1], offset)
    if place is not None:
        body = b"%b,%b" % (body, place)
    return message_frame(b'2["%b",%b]' % (name.encode(), body))


def spelled(message: Message) -> Raw:
    """A message as answers have it: like an event's, without an offset."""
    return Raw(_MESSAGE(encode_json(message)))
