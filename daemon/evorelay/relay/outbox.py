"""The outbox: agents' commands, made durable and visible before they are acknowledged (P4).

A command is a row of its own beside the message it makes, under the same id. Everything is decided
in one transaction: whether it was asked for before, whether it may be, and what everybody sees.
"""

import logging
from functools import partial
from typing import Protocol

import msgspec
from msgspec.structs import replace

from evorelay.model.clock import utc
from evorelay.model.errors import Code, Refusal
from evorelay.model.outcome import GatewayFault
from evorelay.model.outgoing import OutgoingMedia
from evorelay.model.principal import Principal
from evorelay.model.records import OutboxRecord
from evorelay.model.rendering import message_view
from evorelay.model.views import Failure, Message
from evorelay.protocol.manners import Manners
from evorelay.relay.command_rows import Command
from evorelay.relay.commands import (
    LaneView,
    MessageRef,
    OutboxPage,
    OutboxParams,
    OutboxView,
    PhoneSendParams,
    Reply,
    SendMedia,
    SendParams,
    Via,
)
from evorelay.relay.draft import Draft
from evorelay.relay.gateway import Gateway
from evorelay.relay.lanes import Lanes
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import check_supervisor
from evorelay.relay.reads import Reads
from evorelay.relay.replies import check_shape, digest_of, outgoing_of
from evorelay.relay.retrying import retry
from evorelay.relay.taking import Taken, take_for_phone, take_in_ticket
from evorelay.storage.ports import StoreReader
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

WAITING = ("queued", "sending", "unknown")


class Files(Protocol):
    """Files that can be sent (relay/uploads.py)."""

    async def media(self, who: Principal, params: SendMedia) -> OutgoingMedia:
        """Raises ``Refusal``."""


class Take(Protocol):
    def __call__(self, draft: Draft, *, command: Command) -> Taken | None: ...


class Outbox:
    def __init__(
        self,
        ledger: Ledger,
        reads: Reads,
        lanes: Lanes,
        gateway: Gateway,
        files: Files,
        manners: Manners,
        metrics: Metrics,
        *,
        reopen_within_ms: int,
        queued_max: int,
        same_command_within_ms: int,
    ) -> None:
        """``same_command_within_ms``: see relay/same_command.py; 0 takes each for its own."""
        self._ledger = ledger
        self._reads = reads
        self._lanes = lanes
        self._gateway = gateway
        self._files = files
        self._manners = manners
        self._metrics = metrics
        self._reopen_within_ms = reopen_within_ms
        self._queued_max = queued_max
        self._same_within_ms = same_command_within_ms

    async def submit(self, who: Principal, params: SendParams, *, via: Via) -> Message:
        """Take a command; it is durable, and told to everybody, on return.

        The same ``op_id`` again is answered with the same message as it is now, and so is the same
        command by another path (relay/same_command.py); a reaction with its target. Raises
        ``Refusal``. Cancelling before it is stored leaves nothing behind.
        """
        take = partial(take_in_ticket, ticket_id=params.ticket_id)
        return await self._submit(who, params, via, take)

    async def submit_to_phone(
        self, who: Principal, params: PhoneSendParams, *, via: Via
    ) -> Message:
        """The same for whoever has this number, in their open ticket or a new one."""
        if not who.may_see(params.instance) or not await self._is_instance(params.instance):
            raise Refusal(Code.NOT_FOUND, f"there is no instance {params.instance}")
        take = partial(
            take_for_phone,
            instance=params.instance,
            phone=params.phone,
            quoted=params.quoted,
            reopen_within_ms=self._reopen_within_ms,
        )
        return await self._submit(who, params, via, take)

    async def retry(self, who: Principal, params: MessageRef) -> Message:
        """Have what failed sent after all, behind what its conversation is waiting for.

        What WhatsApp itself gave up has an id there already, so a successor of it is sent, and
        returned.
        """
        taken = await self._ledger.change(partial(retry, who=who, message_id=params.message_id))
        return self._begin(taken)

    async def wait_final(self, message: Message, timeout_s: float) -> Message:
        """The message when it was sent or given up, or as it is when the time is up."""
        await self._lanes.wait_settled(message.id, timeout_s)
        found = await self._reads(lambda reader: reader.message(message.id))
        return message if found is None else message_view(found)

    async def page(self, who: Principal, params: OutboxParams) -> OutboxPage:
        check_supervisor(who)
        instances = None if who.sees_all else tuple(sorted(who.instances))
        if params.instance is not None:
            instances = (params.instance,) if who.may_see(params.instance) else ()
        states = WAITING if params.state == "waiting" else ("failed",)

        def read(reader: StoreReader) -> list[OutboxView]:
            rows = reader.outbox_page(
                instances, states=states, before=params.cursor, limit=params.limit
            )
            found = {id_: reader.ticket(id_) for id_ in {row.ticket_id for row in rows}}
            names = {id_: pair[1].name for id_, pair in found.items() if pair is not None}
            return [_view(row, names.get(row.ticket_id)) for row in rows]

        views = await self._reads(read)
        cursor = views[-1].id if len(views) == params.limit else None
        return OutboxPage(views, self._lane_views(who), cursor)

    async def _submit(self, who: Principal, reply: Reply, via: Via, take: Take) -> Message:
        command = Command(
            who=who,
            via=via,
            reply=reply,
            digest=digest_of(reply),
            outgoing=None,
            room=self._room,
            same_within_ms=self._same_within_ms,
        )
        check_shape(reply)
        media = None
        if reply.media is not None:
            # Asked for before, or not allowed? The file may take long, or be gone by now.
            taken = await self._ledger.change(partial(take, command=command))
            if taken is not None:
                return taken.view
            media = await self._files.media(who, reply.media)
        outgoing = outgoing_of(reply, media)
        if outgoing.type == "text" and not outgoing.delay_ms:
            outgoing = replace(outgoing, delay_ms=self._manners.typing_ms(outgoing.content))
        ready = replace(command, outgoing=outgoing)
        taken = await self._ledger.change(partial(take, command=ready))
        if taken is not None and taken.is_second:
            self._metrics.command_joined(via.path)
            log.debug("the same command by two paths", extra={"instance": taken.view.instance})
        return self._begin(taken)

    def _begin(self, taken: Taken | None) -> Message:
        assert taken is not None  # None is answered only to what has nothing to send yet
        if taken.row is not None:
            self._lanes.add(taken.row)
        return taken.view

    async def _is_instance(self, name: str) -> bool:
        """Whether it has ever posted, or Evolution knows it: a first message may be ours."""
        if await self._reads(lambda reader: reader.instance(name)) is not None:
            return True
        if not self._gateway.is_configured(name):
            return False
        try:
            await self._gateway.connection_state(name)
        except GatewayFault as fault:
            if fault.code == "no_such_instance":
                return False
            raise Refusal(Code.GATEWAY, fault.message) from fault
        return True

    def _room(self, instance: str) -> bool:
        return self._lanes.has_room(instance, self._queued_max)

    def _lane_views(self, who: Principal) -> list[LaneView]:
        waiting, parked = self._lanes.waiting(), self._lanes.parked()
        return [
            LaneView(
                instance=name,
                waiting=waiting.get(name, 0),
                parked=Failure(code=parked[name].code, message=parked[name].message)
                if name in parked
                else None,
            )
            for name in sorted({*waiting, *parked})
            if who.may_see(name)
        ]


def _view(row: OutboxRecord, contact: str | None) -> OutboxView:
    return OutboxView(
        id=row.id,
        op_id=row.op_id,
        instance=row.instance,
        ticket_id=row.ticket_id,
        message_id=row.message_id,
        contact=contact,
        type=row.outgoing["type"],
        content=row.outgoing["content"],
        agent=row.agent,
        state=row.state,  # type: ignore[arg-type]  # the table has no other
        attempts=row.attempts,
        created_at=utc(row.created_at),
        due_at=utc(row.due_at) if row.state == "queued" and row.due_at else None,
        error=None if row.error is None else msgspec.convert(row.error, Failure),
    )
