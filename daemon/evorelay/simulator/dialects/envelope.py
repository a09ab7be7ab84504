"""The frame around every webhook, whatever the version and channel."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from evorelay.simulator.cast import Instance

Data = dict[str, Any]

LOCAL_OFFSET_MS = -3 * 3600 * 1000
"""Evolution's images run in America/Sao_Paulo and write its local time with a false ``Z``."""

SERVER_URL = "http://localhost:8080"


class Webhook(NamedTuple):
    event: str
    data: Any
    front: Data | None = None
    """Fields that stand in front of the envelope's own."""


def envelope(
    instance: Instance, webhook: Webhook, *, at_ms: int, destination: str, linked: bool
) -> bytes:
    """The whole body, in Evolution's field order. ``linked``: the instance knows its own number.

    The body holds the instance's token as ``apikey``, as Evolution's does.
    """
    body: Data = (webhook.front or {}) | {
        "event": webhook.event,
        "instance": instance.name,
        "data": webhook.data,
        "destination": destination,
        "date_time": iso(at_ms + LOCAL_OFFSET_MS),
    }
    if linked:
        body["sender"] = instance.jid
    body["server_url"] = SERVER_URL
    body["apikey"] = instance.token
    return msgspec.json.encode(body)


def iso(unix_ms: int) -> str:
    """JavaScript's ``toISOString``."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03}Z"
