"""``messages.recovered``: a row of Evolution's own list, for a message whose webhook never came."""

from typing import Any

from msgspec.structs import replace

from evorelay.model.change import Status
from evorelay.model.fact import ChangeFact, Fact, MessageFact
from evorelay.protocol.normalise.identity import is_cloud_id
from evorelay.protocol.normalise.message import message_facts
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.states import delivery_of, updated_id

RECOVERED_EVENT = "messages.recovered"
"""Our own event. Posted from outside it does what an upsert and its updates do, and no more."""
_UPDATES_MAX = 100


def recovered_facts(source: Source, row: Any) -> list[Fact]:
    """The message, or what it changes, as an upsert would say it; then its later statuses."""
    facts = [_marked(fact) for fact in message_facts(source, row)]
    if not any(isinstance(fact, MessageFact) for fact in facts):
        return facts
    return facts + _later_statuses(source, row)


def _marked(fact: Fact) -> Fact:
    if not isinstance(fact, MessageFact):
        return fact
    # Nobody types on a phone in the Cloud API. Elsewhere the row does not say who sent it, and
    # ``phone`` gives way to the echo of the API.
    origin = "api" if fact.from_me and is_cloud_id(fact.whatsapp_id) else fact.origin
    return replace(fact, origin=origin, metadata=fact.metadata | {"recovered": True})


def _later_statuses(source: Source, row: dict[str, Any]) -> list[Fact]:
    """Nothing for words that are no delivery status, such as ``DELETED`` (see ``status_facts``)."""
    updates, id_ = row.get("MessageUpdate"), updated_id({"key": row.get("key")})
    if not isinstance(updates, list) or id_ is None:
        return []
    words = [
        delivery_of(update.get("status"))
        for update in updates[:_UPDATES_MAX]
        if isinstance(update, dict)
    ]
    return [
        ChangeFact(instance=source.instance, whatsapp_id=id_, change=Status(status=word))
        for word in words
        if word is not None
    ]
