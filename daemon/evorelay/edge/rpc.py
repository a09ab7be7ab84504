"""The RPC methods every dialect offers (contract §5): a table from name to desk."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import ticket_channel
from evorelay.model.principal import Principal
from evorelay.model.told import TypingEvent
from evorelay.model.views import encode_json
from evorelay.relay.backups import Backups
from evorelay.relay.commands import MessageRef, OutboxParams, SendParams, Via
from evorelay.relay.desk import Desk
from evorelay.relay.hub import Hub
from evorelay.relay.outbox import Outbox
from evorelay.relay.overview import Overview
from evorelay.relay.overview_questions import OverviewParams
from evorelay.relay.questions import (
    InstanceRef,
    MergeRef,
    MergesParams,
    MessagesParams,
    NoParams,
    TicketChange,
    TicketParams,
    TicketRef,
    TicketsParams,
)
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.replay import Replay
from evorelay.relay.replay_questions import QuarantineReplay
from evorelay.relay.session import Session
from evorelay.relay.trace import Traces

P = TypeVar("P", bound=Struct)
Call = Callable[[Principal, Any], Awaitable[Any]]


class TypingParams(Struct, frozen=True, kw_only=True):
    ticket_id: str
    is_typing: bool = True


class Rpc:
    def __init__(
        self,
        desk: Desk,
        hub: Hub,
        replay: Replay,
        reconnects: Reconnects,
        outbox: Outbox,
        overview: Overview,
        traces: Traces,
        backups: Backups,
    ) -> None:
        self._desk = desk
        self._hub = hub
        self._methods: dict[str, tuple[type[Struct], Call]] = {
            "tickets.list": (TicketsParams, desk.tickets_list),
            "tickets.get": (TicketParams, desk.tickets_get),
            "tickets.participants": (TicketRef, desk.participants),
            "tickets.update": (TicketChange, desk.tickets.update),
            "tickets.claim": (TicketParams, desk.tickets.claim),
            "tickets.release": (TicketParams, desk.tickets.release),
            "tickets.close": (TicketParams, desk.tickets.close),
            "tickets.reopen": (TicketParams, desk.tickets.reopen),
            "messages.list": (MessagesParams, desk.messages_list),
            "messages.send": (SendParams, partial(outbox.submit, via=Via(path="rpc"))),
            "messages.retry": (MessageRef, outbox.retry),
            "messages.trace": (MessageRef, traces.of),
            "outbox.list": (OutboxParams, outbox.page),
            "seen": (TicketRef, desk.tickets.seen),
            "instances.list": (NoParams, desk.instances_list),
            "instances.qrcode": (InstanceRef, reconnects.qrcode),
            "instances.reconnect": (InstanceRef, reconnects.reconnect),
            "merges.list": (MergesParams, desk.merges.page),
            "merges.undo": (MergeRef, desk.merges.undo),
            "backups.list": (NoParams, backups.page),
            "backups.start": (NoParams, backups.start),
            "overview": (OverviewParams, overview.ask),
            "quarantine.replay": (QuarantineReplay, replay.quarantine),
        }

    async def call(self, session: Session, method: str, data: Raw) -> Any:
        """Run a method for a session. Raises ``Refusal`` with what to do about it."""
        if method == "typing":
            return await self._typing(session, _params(data, TypingParams))
        known = self._methods.get(method)
        if known is None:
            raise Refusal(
                Code.METHOD_NOT_ALLOWED,
                f"no such method; there are {', '.join(sorted([*self._methods, 'typing']))}",
            )
        params_type, call = known
        return await call(session.principal, _params(data, params_type))

    async def _typing(self, session: Session, params: TypingParams) -> dict[str, bool]:
        """Tell who else watches the ticket; never stored, never echoed to the typist."""
        await self._desk.instance_of(session.principal, params.ticket_id)
        channel = ticket_channel(params.ticket_id)
        event = TypingEvent(
            type="typing",
            ticket_id=params.ticket_id,
            user=session.principal.sub,
            name=session.principal.name,
            is_typing=params.is_typing,
        )
        self._hub.publish_transient(channel, encode_json(event), but=session)
        return {"ok": True}


def _params(data: Raw, params_type: type[P]) -> P:
    try:
        return msgspec.json.decode(data or b"{}", type=params_type)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Refusal(Code.BAD_REQUEST, str(error)) from None
