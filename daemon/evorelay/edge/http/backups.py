"""REST v1: backups (contract §3). The work is ``relay/backups.py``'s."""

from evorelay.edge.http.route import Route
from evorelay.model.errors import Code
from evorelay.relay.backup_questions import BackupsPage, BackupStarted
from evorelay.relay.backups import Backups
from evorelay.relay.questions import NoParams


def backup_routes(backups: Backups) -> tuple[Route, ...]:
    return (
        Route(
            method="GET",
            path="/v1/backups",
            name="backups.list",
            summary="Backups, newest first, with what became of the attempt to restore each",
            params=NoParams,
            result=BackupsPage,
            role="supervisor",
            call=backups.page,
        ),
        Route(
            method="POST",
            path="/v1/backups",
            name="backups.start",
            summary="Make a backup now; answers before it is done",
            params=NoParams,
            result=BackupStarted,
            role="admin",
            status=202,
            refusals=(Code.BACKUP_RUNNING,),
            call=backups.start,
        ),
    )
