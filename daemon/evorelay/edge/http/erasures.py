"""REST v1: erasing a person (contract §3). What it does is ``relay/erasing.py``'s."""

from evorelay.edge.http.route import Route
from evorelay.model.errors import Code
from evorelay.relay.erasing import ErasePerson, Eraser, Erasure


def erasure_routes(eraser: Eraser) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/v1/erasures",
            name="people.erase",
            summary="Erase a person: what they wrote and what was written to them, wherever it is "
            "kept here. It cannot be undone",
            params=ErasePerson,
            result=Erasure,
            role="admin",
            refusals=(Code.REPLIES_UNFINISHED,),
            call=eraser.erase,
        ),
    )
