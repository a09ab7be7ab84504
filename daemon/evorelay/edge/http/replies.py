"""REST v1: what agents send (contract §3). What it does is ``relay/outbox.py``'s."""

from functools import partial

from evorelay.edge.http.route import REPLY_BYTES_MAX, Route
from evorelay.model.errors import Code
from evorelay.model.views import Message
from evorelay.relay.commands import MessageRef, OutboxPage, OutboxParams, SendParams, Via
from evorelay.relay.outbox import Outbox


def reply_routes(outbox: Outbox) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/v1/tickets/{ticket_id}/messages",
            name="messages.send",
            summary="Send a reply, or keep an internal note. Durable when answered; the message is "
            "`pending` until WhatsApp has it. The same `op_id` again answers the same message",
            params=SendParams,
            result=Message,
            status=202,
            body_bytes_max=REPLY_BYTES_MAX,
            refusals=(
                Code.BAD_REQUEST,
                Code.NOT_FOUND,
                Code.TICKET_CLOSED,
                Code.OP_ID_CONFLICT,
                Code.TOO_LARGE,
                Code.MEDIA_TYPE,
                Code.MEDIA_UNAVAILABLE,
                Code.OUTBOX_FULL,
            ),
            call=partial(outbox.submit, via=Via(path="rest")),
        ),
        Route(
            method="POST",
            path="/v1/messages/{message_id}/retry",
            name="messages.retry",
            summary="Send a message that failed once more, behind what its conversation waits for",
            params=MessageRef,
            result=Message,
            status=202,
            refusals=(Code.NOT_FOUND, Code.NOT_FAILED, Code.TICKET_CLOSED),
            call=outbox.retry,
        ),
        Route(
            method="GET",
            path="/v1/outbox",
            name="outbox.list",
            summary="What waits to be sent, or could not be, newest first; and how lanes get on",
            params=OutboxParams,
            result=OutboxPage,
            role="supervisor",
            call=outbox.page,
        ),
    )
