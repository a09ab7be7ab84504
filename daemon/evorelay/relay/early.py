"""Changes of messages that are not here yet: kept, and done to each message when it comes."""

from collections.abc import Iterable

from evorelay.model.change import Change, Status
from evorelay.model.records import EarlyChangesRecord
from evorelay.protocol.changes import gather
from evorelay.protocol.delivery import OUTBOUND
from evorelay.relay.draft import Draft
from evorelay.storage.ports import MessageKey


class EarlyChanges:
    """Those of the messages of one batch."""

    def __init__(self, draft: Draft, keys: Iterable[MessageKey]) -> None:
        self._draft = draft
        self._waiting = draft.tx.early_changes(keys)
        self._touched: set[MessageKey] = set()

    def keep(self, key: MessageKey, change: Change) -> bool:
        """Keep a change until its message comes; False when it is kept already."""
        if isinstance(change, Status) and change.status not in OUTBOUND:
            return True  # that we received something is no news to its ticket
        before = self._waiting.get(key, [])
        gathered = gather(before, change)
        if gathered == before:
            return False
        self._waiting[key] = gathered
        self._touched.add(key)
        return True

    def take(self, key: MessageKey) -> list[Change]:
        """What happened to a message that has come now."""
        found = self._waiting.pop(key, [])
        if found:
            self._touched.add(key)
        return found

    def settle(self) -> None:
        """Write what is left: new ones kept, used ones removed."""
        for instance, whatsapp_id in self._touched:
            key = (instance, whatsapp_id)
            if key not in self._waiting:
                self._draft.plan.settled_early.append(key)
                continue
            self._draft.plan.early_changes.append(
                EarlyChangesRecord(
                    instance=instance,
                    whatsapp_id=whatsapp_id,
                    changes=self._waiting[key],
                    at=self._draft.now,
                )
            )
