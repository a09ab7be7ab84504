"""States that webhooks report: how far a message got, and an instance's connection."""

from typing import Any

from evorelay.model.fact import Fact, IgnoredFact, InstanceFact, StatusFact
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.values import integer_of, person_name, whatsapp_id

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
_CONNECTION = {"open": "open", "connecting": "connecting", "close": "close", "refused": "close"}
_NO_REASON = 200  # Evolution writes it where nothing went wrong


def delivery_of(value: Any) -> str | None:
    """Our word for a delivery status, None when it is none."""
    if isinstance(value, str):
        return _DELIVERY.get(value.upper())
    number = integer_of(value) if not isinstance(value, dict) else None
    return None if number is None else _DELIVERY.get(str(number))


def status_fact(event: str, instance: str, row: Any) -> Fact:
    """``messages.update``: a delivery state, or an edit or vote that shares the event.

    An update without a status is the shadow of an edit. ``DELETED`` is another (2.3.0-2.3.4) and
    never means that a message was deleted.
    """
    if not isinstance(row, dict):
        return quarantined(Reason.BAD_DATA, "the update is not an object")
    status = row.get("status")
    if status is None or status == "DELETED":
        if row.get("pollUpdates"):
            return quarantined(Reason.NOT_YET_SUPPORTED, "a poll vote")
        return IgnoredFact(event=event)
    word = delivery_of(status)
    if word is None:
        return quarantined(Reason.UNKNOWN_STATE, "the status is not one of WhatsApp's")
    key = row.get("key")
    ids = (row.get("keyId"), row.get("id"), key.get("id") if isinstance(key, dict) else None)
    found = next((text for value in ids if (text := whatsapp_id(value))), None)
    if found is None:
        return quarantined(Reason.NO_ID, "the update names no message")
    return StatusFact(instance=instance, whatsapp_id=found, status=word)


def connection_fact(instance: str, own_phone: str | None, row: Any) -> Fact:
    """``connection.update``. ``own_phone`` is the envelope's, where 1.8 sends no ``wuid``."""
    if not isinstance(row, dict):
        return quarantined(Reason.BAD_DATA, "the update is not an object")
    said = row.get("state")
    state = _CONNECTION.get(said) if isinstance(said, str) else None
    if state is None:
        return quarantined(Reason.UNKNOWN_STATE, "the connection state is unknown")
    wuid = parse_jid(row.get("wuid"))
    is_open = state == "open"
    return InstanceFact(
        instance=instance,
        state=state,
        reason=_reason(row.get("statusReason")),
        phone=((wuid and wuid.phone) or own_phone) if is_open else None,
        profile_name=person_name(row.get("profileName")) if is_open else None,
    )


def closed_fact(event: str, instance: str, row: Any) -> Fact:
    """``status.instance`` (closed), ``logout.instance`` and ``remove.instance`` (data is null)."""
    fields = row if isinstance(row, dict) else {}
    if event == "status.instance" and fields.get("status") not in ("closed", "close"):
        return IgnoredFact(event=event)
    return InstanceFact(
        instance=instance, state="close", reason=_reason(fields.get("disconnectionReasonCode"))
    )


def _reason(value: Any) -> int | None:
    number = integer_of(value)
    return number if number is not None and 0 < number < 1000 and number != _NO_REASON else None
