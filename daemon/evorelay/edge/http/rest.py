"""REST v1: the table (contract §3). The questions themselves are the desk's."""

from typing import Any

from evorelay.edge.http.route import NoParams, Route
from evorelay.model.principal import Principal
from evorelay.model.views import Ticket
from evorelay.relay.desk import Desk
from evorelay.relay.questions import (
    InstancesPage,
    MessagesPage,
    MessagesParams,
    QuarantinedBody,
    QuarantinePage,
    QuarantineParams,
    QuarantineRef,
    TicketChange,
    TicketRef,
    TicketsPage,
    TicketsParams,
)


def rest_routes(desk: Desk) -> tuple[Route, ...]:
    async def instances(who: Principal, _: Any) -> InstancesPage:
        return await desk.instances_list(who)

    return (
        Route(
            method="GET",
            path="/v1/tickets",
            name="tickets.list",
            summary="Tickets of the caller's instances, newest activity first",
            params=TicketsParams,
            result=TicketsPage,
            call=desk.tickets_list,
        ),
        Route(
            method="GET",
            path="/v1/tickets/{ticket_id}",
            name="tickets.get",
            summary="One ticket",
            params=TicketRef,
            result=Ticket,
            call=desk.tickets_get,
        ),
        Route(
            method="PATCH",
            path="/v1/tickets/{ticket_id}",
            name="tickets.change",
            summary="Change status and assignee together, if the ticket is still at `version`",
            params=TicketChange,
            result=Ticket,
            call=desk.change,
        ),
        Route(
            method="GET",
            path="/v1/tickets/{ticket_id}/messages",
            name="messages.list",
            summary="Messages in reading order; the newest page without `before` and `after`",
            params=MessagesParams,
            result=MessagesPage,
            call=desk.messages_list,
        ),
        Route(
            method="GET",
            path="/v1/instances",
            name="instances.list",
            summary="WhatsApp instances the caller may see, with their connection state",
            params=NoParams,
            result=InstancesPage,
            call=instances,
        ),
        Route(
            method="GET",
            path="/v1/quarantine",
            name="quarantine.list",
            summary="Webhooks that were not understood, newest first",
            params=QuarantineParams,
            result=QuarantinePage,
            role="supervisor",
            call=desk.quarantine_list,
        ),
        Route(
            method="GET",
            path="/v1/quarantine/{quarantine_id}",
            name="quarantine.get",
            summary="One of them, with its body",
            params=QuarantineRef,
            result=QuarantinedBody,
            role="supervisor",
            call=desk.quarantine_get,
        ),
    )
