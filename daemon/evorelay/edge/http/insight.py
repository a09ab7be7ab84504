"""REST v1: what an operator looks at (contract §3)."""

from evorelay.edge.http.route import Route
from evorelay.model.errors import Code
from evorelay.relay.commands import MessageRef
from evorelay.relay.overview import Overview
from evorelay.relay.overview_questions import OverviewParams, OverviewView
from evorelay.relay.trace import Traces
from evorelay.relay.trace_questions import TraceView


def insight_routes(overview: Overview, traces: Traces) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/overview",
            name="overview",
            summary="How the daemon stands now, and its last minutes in steps",
            params=OverviewParams,
            result=OverviewView,
            role="supervisor",
            call=overview.ask,
        ),
        Route(
            method="GET",
            path="/v1/messages/{message_id}/trace",
            name="messages.trace",
            summary="A message's way from its webhook, or from the agent, to the ticks",
            params=MessageRef,
            result=TraceView,
            refusals=(Code.NOT_FOUND,),
            call=traces.of,
        ),
    )
