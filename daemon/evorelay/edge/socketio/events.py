"""The events a client may emit (contract §6): a table from name to what is done and answered.

What is done is the desk's and the outbox's, the same as for REST and Centrifuge. A success is told
twice where existing front ends need it: as an event of its own, and to the ack, if there is one.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from evorelay.edge.auth import Authenticator
from evorelay.edge.rpc import Rpc
from evorelay.edge.socketio.params import (
    InboxParams,
    JoinInbox,
    JoinTicket,
    RefreshParams,
    RequestMessages,
    RpcParams,
    SendMessage,
    TicketParams,
    TypingParams,
    read_params,
    text_of,
)
from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import NewId, inbox_channel, parse_channel, ticket_channel
from evorelay.model.views import encode_json
from evorelay.protocol.socketio import encode_event
from evorelay.protocol.socketio_events import SocketIoDialect, spelled
from evorelay.relay.commands import SendParams, Via
from evorelay.relay.desk import Desk
from evorelay.relay.outbox import Outbox
from evorelay.relay.questions import MessagesParams
from evorelay.relay.room_session import RoomSession
from evorelay.relay.session import Position

SENDER_NAME_CHARS_MAX = 120


class Answer(Struct, frozen=True):
    """What a success is answered with."""

    ack: dict[str, Any]
    """Beside ``ok``."""
    frames: bytes = b""
    """What the client is told in any case, before its ack."""


class _Event(Struct, frozen=True):
    params: type[Struct]
    call: Callable[[RoomSession, Any], Awaitable[Answer]]
    positional: int = 1
    """How many of the values may come as arguments of their own."""


class Events:
    def __init__(
        self,
        dialect: SocketIoDialect,
        desk: Desk,
        outbox: Outbox,
        rpc: Rpc,
        authenticator: Authenticator,
        *,
        new_id: NewId,
    ) -> None:
        self._dialect = dialect
        self._desk = desk
        self._outbox = outbox
        self._rpc = rpc
        self._authenticator = authenticator
        self._new_id = new_id
        self._events = {
            "join-ticket": _Event(JoinTicket, self._join_ticket),
            "leave-ticket": _Event(TicketParams, self._leave_ticket),
            "request-messages": _Event(RequestMessages, self._messages),
            "send-message": _Event(SendMessage, self._send),
            "join-inbox": _Event(JoinInbox, self._join_inbox),
            "leave-inbox": _Event(InboxParams, self._leave_inbox),
            "typing": _Event(TypingParams, self._typing),
            "refresh": _Event(RefreshParams, self._refresh),
            "rpc": _Event(RpcParams, self._call, positional=2),
        }

    async def call(self, session: RoomSession, name: str | float, args: Sequence[Any]) -> Answer:
        """Do what an event asks for; the answer is to be queued before the next await, as who has
        joined is told of the room from now on.

        Raises ``Refusal`` and ``StoreUnavailable``. When cancelled, what is durable was done or was
        not; nothing is done by halves.
        """
        event = self._events.get(name) if isinstance(name, str) else None
        if event is None:
            known = ", ".join(self._events)
            raise Refusal(Code.METHOD_NOT_ALLOWED, f"no such event; there are {known}")
        return await event.call(
            session, read_params(event.params, args, positional=event.positional)
        )

    async def _join_ticket(self, session: RoomSession, params: JoinTicket) -> Answer:
        ticket_id = text_of(params.ticket_id)
        told = {"ticketId": ticket_id}
        return await self._join(session, "joined-ticket", ticket_channel(ticket_id), told, params)

    async def _join_inbox(self, session: RoomSession, params: JoinInbox) -> Answer:
        instance = text_of(params.instance)
        told = {"instance": instance}
        return await self._join(session, "joined-inbox", inbox_channel(instance), told, params)

    async def _join(
        self,
        session: RoomSession,
        name: str,
        channel: str,
        told: dict[str, Any],
        params: JoinTicket | JoinInbox,
    ) -> Answer:
        since = None if params.since is None else Position(params.since, params.epoch or "")
        joined = await session.join(channel, since)
        told |= {"offset": joined.position.offset, "epoch": joined.position.epoch}
        if since is not None:
            told["recovered"] = joined.recovered
        return Answer(told, encode_event(name, told) + self._dialect.encode_replayed(joined.missed))

    async def _leave_ticket(self, session: RoomSession, params: TicketParams) -> Answer:
        ticket_id = text_of(params.ticket_id)
        return await self._leave(session, ticket_channel(ticket_id))

    async def _leave_inbox(self, session: RoomSession, params: InboxParams) -> Answer:
        return await self._leave(session, inbox_channel(text_of(params.instance)))

    async def _leave(self, session: RoomSession, channel: str) -> Answer:
        """Who is not in a room has left it, too."""
        await session.leave_room(channel)
        name, told = _left(channel)
        return Answer(told, encode_event(name, told))

    async def _messages(self, session: RoomSession, params: RequestMessages) -> Answer:
        ticket_id = text_of(params.ticket_id)
        page = await self._desk.messages_list(
            session.principal,
            MessagesParams(
                ticket_id=ticket_id,
                before=None if params.before is None else text_of(params.before),
                limit=params.page_size,
            ),
        )
        told = {
            "ticketId": ticket_id,
            "messages": [spelled(message) for message in page.messages],
            "hasMore": page.next_cursor is not None,
            "nextCursor": page.next_cursor,
        }
        return Answer(told, encode_event("messages-loaded", told))

    async def _send(self, session: RoomSession, params: SendMessage) -> Answer:
        """``userId`` is not read: who sends is who has signed in."""
        who = session.principal
        if who.name is None and params.sender_name is not None:
            name = " ".join(params.sender_name.split())[:SENDER_NAME_CHARS_MAX]
            who = replace(who, name=name or None)
        op_id = text_of(params.message_id or self._new_id())
        command = SendParams(
            ticket_id=text_of(params.ticket_id),
            content=text_of(params.content),
            op_id=op_id,
            is_internal=bool(params.is_internal),
        )
        via = Via(path="socketio", origin=session.pid)
        message = await self._outbox.submit(who, command, via=via)
        return Answer({"message": spelled(message), "messageId": op_id})

    async def _typing(self, session: RoomSession, params: TypingParams) -> Answer:
        ticket_id = text_of(params.ticket_id)
        is_typing = params.is_typing is not False
        data = {"ticket_id": ticket_id, "is_typing": is_typing}
        await self._rpc.call(session, "typing", Raw(encode_json(data)))
        return Answer({"ticketId": ticket_id})

    async def _refresh(self, session: RoomSession, params: RefreshParams) -> Answer:
        """Go on with a fresh credential of the same agent; rooms it does not allow are left."""
        principal = await self._authenticator.authenticate(params.token)
        if principal.sub != session.principal.sub:
            raise Refusal(Code.UNAUTHORIZED, "the token is another agent's; connect anew with it")
        lost = await session.renew(principal)
        frames = b"".join([encode_event(*_left(channel)) for channel in lost])
        return Answer({"expiresAt": principal.expires_at}, frames)

    async def _call(self, session: RoomSession, params: RpcParams) -> Answer:
        data = Raw(msgspec.json.encode(params.params or {}))
        return Answer({"result": await self._rpc.call(session, params.method, data)})


def _left(channel: str) -> tuple[str, dict[str, Any]]:
    """The event that says a client is not in a room, and what it carries."""
    parsed = parse_channel(channel)
    if parsed is None:
        raise Refusal(Code.BAD_REQUEST, "an empty id")
    kind, id_ = parsed
    return (
        ("left-ticket", {"ticketId": id_})
        if kind == "ticket"
        else ("left-inbox", {"instance": id_})
    )
