"""REST v1: old webhooks read again (contract §3). What it does is ``relay/replay.py``'s."""

from evorelay.edge.http.route import Route
from evorelay.relay.replay import Replay
from evorelay.relay.replay_questions import (
    JournalReplay,
    JournalReplayed,
    QuarantineReplay,
    QuarantineReplayed,
)


def replay_routes(replay: Replay) -> tuple[Route, ...]:
    return (
        Route(
            method="POST",
            path="/v1/quarantine/{quarantine_id}/replay",
            name="quarantine.replay",
            summary="Read a webhook that was not understood again, and act on it if it is now",
            params=QuarantineReplay,
            result=QuarantineReplayed,
            role="supervisor",
            call=replay.quarantine,
        ),
        Route(
            method="POST",
            path="/v1/journal/replay",
            name="journal.replay",
            summary="Read a stretch of all webhooks again, and mend what was understood wrongly",
            params=JournalReplay,
            result=JournalReplayed,
            role="admin",
            call=replay.journal,
        ),
    )
