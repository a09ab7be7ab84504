"""What Evolution's list of messages says, in the form of webhooks: for what was never posted to us.

A row of ``chat/findMessages`` is a message as in ``messages.upsert``, without a status of its own
and with ``MessageUpdate``, the statuses that came later (research/evolution.md §4.4).
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from evorelay.model.envelope import Envelope
from evorelay.protocol.normalise.recovered import RECOVERED_EVENT
from evorelay.protocol.normalise.values import timestamp_of
from evorelay.protocol.webhook import read_body

BASE64_CHARS_MAX = 256 * 1024
"""A longer file is left out of the row and fetched like any other that came without."""

_encode = msgspec.json.Encoder().encode


def recovered_envelope(instance: str, row: dict[str, Any], *, received_at: int) -> Envelope:
    """The webhook that a row of Evolution's list should have come by, without secrets (P7).

    Raises ``ValueError`` for a row that is no JSON.
    """
    body = {"event": RECOVERED_EVENT, "instance": instance, "data": _without_file(row)}
    try:
        raw = _encode(body)
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"the row cannot be written as JSON: {type(error).__name__}") from None
    return Envelope(
        received_at=received_at,
        event=RECOVERED_EVENT,
        instance=instance,
        body=read_body(raw, path_event=RECOVERED_EVENT).json,
    )


def moment_of_row(row: dict[str, Any]) -> int | None:
    """Unix ms, None where the row does not say."""
    return timestamp_of(row.get("messageTimestamp"))


def id_of_row(row: dict[str, Any]) -> str | None:
    """WhatsApp's id; the row's own ``id`` is Evolution's."""
    key = row.get("key")
    id_ = key.get("id") if isinstance(key, dict) else None
    return id_ if isinstance(id_, str) and id_ else None


def spans(first: int, last: int, number: int) -> Iterator[tuple[int, int]]:
    """Cut the seconds from ``first`` to ``last``, both included, into at most ``number`` parts."""
    length = max(1, -(-(last - first + 1) // number))
    for start in range(first, last + 1, length):
        yield start, min(last, start + length - 1)


def _without_file(row: dict[str, Any]) -> dict[str, Any]:
    message = row.get("message")
    if not isinstance(message, dict):
        return row
    file = message.get("base64")
    if not isinstance(file, str) or len(file) <= BASE64_CHARS_MAX:
        return row
    return {**row, "message": {k: v for k, v in message.items() if k != "base64"}}
