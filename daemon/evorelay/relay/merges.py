"""What supervisors can ask about merged contacts, and the way back from a merge."""

from evorelay.model.clock import utc
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.model.records import ContactRecord, MergeRecord
from evorelay.relay.draft import Draft
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import check_supervisor, visible_instances
from evorelay.relay.questions import (
    MergeRef,
    MergesPage,
    MergesParams,
    MergeView,
    PersonView,
    person_fields,
)
from evorelay.relay.reads import Reads
from evorelay.relay.unmerging import undo_merge


class Merges:
    def __init__(self, reads: Reads, ledger: Ledger) -> None:
        self._reads = reads
        self._ledger = ledger

    async def page(self, who: Principal, params: MergesParams) -> MergesPage:
        check_supervisor(who)
        instances = visible_instances(who, params.instance)
        rows = await self._reads(
            lambda reader: reader.merges(instances, before=params.cursor, limit=params.limit)
        )
        cursor = rows[-1][0].id if len(rows) == params.limit else None
        return MergesPage([_view(*row) for row in rows], cursor)

    async def undo(self, who: Principal, params: MergeRef) -> MergeView:
        """Part two contacts that are not one person; they are never merged again.

        Undone before: nothing happens, and the answer is the same.
        """
        check_supervisor(who)

        def work(draft: Draft) -> MergeView:
            merge = draft.tx.merges([params.merge_id]).get(params.merge_id)
            if merge is None or not who.may_see(merge.instance):
                raise Refusal(Code.NOT_FOUND, "there is no such merge")
            if merge.undone_at is None:
                undo_merge(draft, merge)
                merge.undone_at = draft.now
            people = draft.tx.contacts([merge.kept_contact, merge.absorbed_contact])
            people |= {row.id: row for row in draft.changed_contacts}
            return _view(merge, people[merge.kept_contact], people[merge.absorbed_contact])

        return await self._ledger.change(work)


def _view(merge: MergeRecord, kept: ContactRecord, absorbed: ContactRecord) -> MergeView:
    return MergeView(
        id=merge.id,
        instance=merge.instance,
        at=utc(merge.at),
        kept=PersonView(**person_fields(kept)),
        absorbed=PersonView(**person_fields(absorbed)),
        kept_ticket=merge.kept_ticket,
        absorbed_ticket=merge.absorbed_ticket,
        undone_at=None if merge.undone_at is None else utc(merge.undone_at),
    )
