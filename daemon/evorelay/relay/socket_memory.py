"""Which rooms a Socket.IO client is in, kept in the store: it survives us (P3).

Membership is durable before the client is told that it joined. So whoever comes back with the
``pid`` of a session, after a cut, a ``kill -9`` or hours, gets what was told in those rooms since.
"""

from collections.abc import Mapping

from evorelay.model.principal import Principal
from evorelay.model.records import SocketRecord
from evorelay.relay.draft import Draft
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads


class SocketMemory:
    def __init__(self, ledger: Ledger, reads: Reads) -> None:
        self._ledger = ledger
        self._reads = reads

    async def join(self, pid: str, who: Principal, rooms: Mapping[str, int], channel: str) -> int:
        """Add one to the rooms there are; returns the channel's offset at that moment.

        Raises ``StoreUnavailable``. Cancelling has effect before the start only.
        """

        def work(draft: Draft) -> int:
            offset = draft.tx.heads([channel]).get(channel, 0)
            draft.plan.sockets.append(_record(draft, pid, who, {**rooms, channel: offset}))
            return offset

        return await self._ledger.change(work)

    async def keep(self, pid: str, who: Principal, rooms: Mapping[str, int]) -> None:
        """These are the rooms from now on."""
        await self._ledger.change(
            lambda draft: draft.plan.sockets.append(_record(draft, pid, who, dict(rooms)))
        )

    async def recall(self, pid: str, who: Principal) -> dict[str, int] | None:
        """Channel -> offset at which the session joined it; None: nobody's, or somebody else's."""
        record = await self._reads(lambda reader: reader.socket(pid))
        return None if record is None or record.agent != who.sub else record.rooms


def _record(draft: Draft, pid: str, who: Principal, rooms: dict[str, int]) -> SocketRecord:
    return SocketRecord(pid=pid, agent=who.sub, rooms=rooms, at=draft.now)
