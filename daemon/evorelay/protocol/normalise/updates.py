"""``messages.update``: a delivery state, an edit or votes, which share the event."""

from typing import Any

from evorelay.model.fact import Fact
from evorelay.protocol.normalise.changes import edit_of
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.states import status_facts, updated_id
from evorelay.protocol.normalise.values import dig
from evorelay.protocol.normalise.votes import update_votes


def update_facts(source: Source, row: Any) -> list[Fact]:
    """All that one update says; nothing for the shadow of an edit, which has neither."""
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the update is not an object")]
    update = row.get("update")
    if isinstance(update, dict):  # Baileys' own form
        row = {**row, **update}
    id_ = updated_id(row)
    if id_ is None:
        if row.get("status") is None and not row.get("pollUpdates"):
            return []
        return [quarantined(Reason.NO_ID, "the update names no message")]
    facts = status_facts(source, row.get("status"), id_)
    edited = dig(row, ("message", "editedMessage", "message"))
    if edited is not None:
        facts += edit_of(source, id_, edited, row.get("messageTimestamp"))
    if row.get("pollUpdates"):
        facts += update_votes(source, row, id_)
    return facts
