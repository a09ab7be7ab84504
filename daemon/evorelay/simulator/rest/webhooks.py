"""``webhook/*``: where an instance's webhooks go, in the words of 1.8.2 and of 2.x."""

from typing import Any

from evorelay.simulator.rest.call import Call, RestError
from evorelay.simulator.rest.wire import Answer, as_json
from evorelay.simulator.station import Station

_EVENTS = """
    APPLICATION_STARTUP QRCODE_UPDATED MESSAGES_SET MESSAGES_UPSERT MESSAGES_EDITED MESSAGES_UPDATE
    MESSAGES_DELETE SEND_MESSAGE SEND_MESSAGE_UPDATE CONTACTS_SET CONTACTS_UPSERT CONTACTS_UPDATE
    PRESENCE_UPDATE CHATS_SET CHATS_UPSERT CHATS_UPDATE CHATS_DELETE GROUPS_UPSERT GROUP_UPDATE
    GROUP_PARTICIPANTS_UPDATE CONNECTION_UPDATE LABELS_EDIT LABELS_ASSOCIATION CALL TYPEBOT_START
    TYPEBOT_CHANGE_STATUS REMOVE_INSTANCE LOGOUT_INSTANCE INSTANCE_CREATE INSTANCE_DELETE
    STATUS_INSTANCE
"""
_CREATED_AT = "2026-11-22T11:08:01.763Z"
EVENTS = tuple(_EVENTS.split())
"""That 2.3.6 knows (payloads/rest-live/webhook-set.bad-event.json); another name is refused."""


async def find(call: Call) -> Answer:
    return as_json(_row(call.station) if call.station.webhook_was_set else None)


async def set_webhook(call: Call) -> Answer:
    """2.x: ``enabled`` without ``events`` is a 500, as measured; any URL is taken."""
    station = call.station
    webhook = call.body if call.is_v1 else call.body.get("webhook")
    if not isinstance(webhook, dict):
        raise RestError(400, [['instance requires property "webhook"']])
    if not isinstance(webhook.get("url"), str):
        raise RestError(400, [['instance requires property "url"']])
    enabled = webhook.get("enabled", True) is not False
    events = webhook.get("events")
    if enabled and not call.is_v1 and not isinstance(events, list):
        raise RestError(500, "Cannot read properties of undefined (reading 'length')")
    for index, event in enumerate(events or ()):
        if not call.is_v1 and event not in EVENTS:
            said = f"webhook.events[{index}] is not one of enum values: {','.join(EVENTS)}"
            raise RestError(400, [[said]])
    headers = webhook.get("headers")
    station.webhook_url = webhook["url"]
    station.webhook_was_set = True
    station.webhook_enabled = enabled
    station.webhook_events = tuple(events or ())
    station.webhook_by_events = bool(webhook.get(_word(call, "webhook_by_events", "byEvents")))
    station.webhook_base64 = bool(webhook.get(_word(call, "webhook_base64", "base64")))
    station.webhook_headers = headers if isinstance(headers, dict) and not call.is_v1 else None
    row = _row(station)
    if call.is_v1:
        row = {"webhook": {"instanceName": station.instance.name, "webhook": row}}
    return as_json(row, 201)


def _word(call: Call, v1: str, v2: str) -> str:
    return v1 if call.is_v1 else v2


def _row(station: Station) -> dict[str, Any]:
    row: dict[str, Any] = {
        "enabled": station.webhook_enabled,
        "url": station.webhook_url,
        "events": station.webhook_events,
    }
    if station.dialect.version == "1.8.2":
        return row | {
            "webhook_by_events": station.webhook_by_events,
            "webhook_base64": station.webhook_base64,
        }
    return row | {
        "id": "cm" + station.instance.id.replace("-", "")[:23],
        "createdAt": _CREATED_AT,
        "updatedAt": _CREATED_AT,
        "headers": station.webhook_headers,
        "webhookByEvents": station.webhook_by_events,
        "webhookBase64": station.webhook_base64,
        "instanceId": station.instance.id,
    }
