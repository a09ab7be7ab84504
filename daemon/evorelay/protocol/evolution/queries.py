"""The calls that send nothing to anybody (research/evolution.md §4.2), in both dialects."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from evorelay.model.outcome import MessageWindow, Registration
from evorelay.protocol.evolution.request import Request
from evorelay.protocol.evolution.version import Server

CONNECTION_STATE = Request(method="GET", path="instance/connectionState")
CONNECT = Request(method="GET", path="instance/connect")
FIND_WEBHOOK = Request(method="GET", path="webhook/find")
PROBE = Request(
    method="POST",
    path="chat/whatsappNumbers",
    # No country has this code: no cache of Evolution's can know the number, WhatsApp is asked.
    body={"numbers": ["99900000000"]},
)

_LAST_MS: Final = (2**31 - 1) * 1000
"""Evolution keeps a message's time in 32 bits of seconds."""
_STATUSES_MAX: Final = 50
_ENUM = re.compile(r"is not one of enum values: ([A-Z_, ]+)")
_NOT_IN_V1 = frozenset(
    {
        *("MESSAGES_EDITED", "SEND_MESSAGE_UPDATE", "REMOVE_INSTANCE", "LOGOUT_INSTANCE"),
        *("INSTANCE_CREATE", "INSTANCE_DELETE", "STATUS_INSTANCE"),
    }
)


def find_messages(server: Server, window: MessageWindow, page: int, page_size: int) -> Request:
    """2.x: newest first, a time window only where both its ends are given. 1.x has neither pages
    nor a usable time filter: a nested one would be looked up as a field of that name."""
    key: dict[str, Any] = {}
    if window.whatsapp_id is not None:
        key["id"] = window.whatsapp_id
    if window.from_me is not None:
        key["fromMe"] = window.from_me
    where: dict[str, Any] = {"key": key} if key else {}
    if server.generation == 1:
        return Request(
            method="POST", path="chat/findMessages", body={"where": where, "limit": page_size}
        )
    if window.since_ms is not None or window.until_ms is not None:
        until_ms = _LAST_MS if window.until_ms is None else window.until_ms
        where["messageTimestamp"] = {"gte": _iso(window.since_ms or 0), "lte": _iso(until_ms)}
    return Request(
        method="POST",
        path="chat/findMessages",
        body={"where": where, "page": page, "offset": page_size},
    )


def find_statuses(server: Server, whatsapp_id: str) -> Request:
    where = {"where": {"id": whatsapp_id}}
    # 2.x computes with both, also where they are missing.
    bounds = {"limit": _STATUSES_MAX} if server.generation == 1 else {"page": 1, "offset": 50}
    return Request(method="POST", path="chat/findStatusMessage", body=where | bounds)


def restart(server: Server) -> Request:
    return Request(method="PUT" if server.generation == 1 else "POST", path="instance/restart")


def get_media(whatsapp_id: str) -> Request:
    return Request(
        method="POST",
        path="chat/getBase64FromMediaMessage",
        body={"message": {"key": {"id": whatsapp_id}}, "convertToMp4": False},
    )


def set_webhook(server: Server, registration: Registration) -> Request:
    """2.x reads other names than it answers with, and fails without ``events``
    (payloads/rest-live/webhook-set.*). 1.x knows no headers and refuses events it has not."""
    webhook: dict[str, Any] = {"enabled": registration.is_enabled, "url": registration.url}
    if server.generation == 1:
        events = [event for event in registration.events if event not in _NOT_IN_V1]
        body = webhook | {
            "webhook_by_events": registration.by_events,
            "webhook_base64": registration.base64,
            "events": events,
        }
        return Request(method="POST", path="webhook/set", body=body)
    webhook |= {
        "byEvents": registration.by_events,
        "base64": registration.base64,
        "events": list(registration.events),
    }
    if registration.headers:
        webhook["headers"] = registration.headers
    return Request(method="POST", path="webhook/set", body={"webhook": webhook})


def known_events(said: Iterable[str]) -> frozenset[str] | None:
    """The events that a refusal of ``webhook/set`` lists as the server's own; None without one."""
    for text in said:
        if found := _ENUM.search(text):
            return frozenset(name.strip() for name in found[1].split(","))
    return None


def _iso(ms: int) -> str:
    seconds = max(0, min(ms, _LAST_MS)) / 1000
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
