"""How far a message of ours got, as ``messages.update`` and the message itself say it."""

from typing import Any

from evorelay.model.change import Status
from evorelay.model.fact import ChangeFact, Fact
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import integer_of, whatsapp_id

# Baileys' names and numbers, then Meta's names (research: messages.update).
_DELIVERY = {
    "ERROR": "failed",
    "PENDING": "pending",
    "SERVER_ACK": "sent",
    "DELIVERY_ACK": "delivered",
    "READ": "read",
    "PLAYED": "played",
    "0": "failed",
    "1": "pending",
    "2": "sent",
    "3": "delivered",
    "4": "read",
    "5": "played",
    "SENT": "sent",
    "DELIVERED": "delivered",
    "FAILED": "failed",
    "RECEIVED": "received",
}


def delivery_of(value: Any) -> str | None:
    """Our word for a delivery status, None when it is none."""
    if isinstance(value, str):
        return _DELIVERY.get(value.upper())
    number = integer_of(value) if not isinstance(value, dict) else None
    return None if number is None else _DELIVERY.get(str(number))


def status_facts(source: Source, status: Any, id_: str) -> list[Fact]:
    """A delivery status. ``DELETED`` and none at all are the shadow of an edit, never a deletion.

    2.3.0-2.3.4 write ``DELETED`` for every update without a status (research: messages.update).
    """
    if status is None or status == "DELETED":
        return []
    word = delivery_of(status)
    if word is None:
        return [quarantined(Reason.UNKNOWN_STATE, "the status is not one of WhatsApp's")]
    return [ChangeFact(instance=source.instance, whatsapp_id=id_, change=Status(status=word))]


def updated_id(row: dict[str, Any]) -> str | None:
    """The id of the message that an update is about, wherever this version writes it."""
    key = row.get("key")
    ids = (row.get("keyId"), key.get("id") if isinstance(key, dict) else None, row.get("id"))
    return next((text for value in ids if (text := whatsapp_id(value))), None)
