"""REST v1: what an operator looks at (contract §3)."""

from evorelay.edge.http.route import Route
from evorelay.relay.overview import Overview
from evorelay.relay.overview_questions import OverviewParams, OverviewView


def insight_routes(overview: Overview) -> tuple[Route, ...]:
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
    )
