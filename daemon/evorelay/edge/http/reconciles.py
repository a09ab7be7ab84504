"""REST v1: what Evolution dropped is looked for (contract §3). How is ``relay/reconciler.py``'s."""

from evorelay.edge.http.route import Route
from evorelay.relay.questions import NoParams
from evorelay.relay.reconcile_questions import ReconcileParams, ReconcileRuns
from evorelay.relay.reconciler import Reconciler


def reconcile_routes(reconciler: Reconciler) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/v1/reconcile",
            name="reconcile",
            summary="Compare Evolution's list of messages with ours; answers before it is done",
            params=ReconcileParams,
            result=ReconcileRuns,
            role="supervisor",
            call=reconciler.reconcile,
        ),
        Route(
            method="GET",
            path="/v1/reconcile",
            name="reconcile.runs",
            summary="How the comparisons get on: waiting, running, and over lately",
            params=NoParams,
            result=ReconcileRuns,
            role="supervisor",
            call=reconciler.runs,
        ),
    )
