"""What an answer of Evolution says: a value of ours, or the ``GatewayFault`` it means."""

import json
from collections.abc import Callable
from typing import Any, NoReturn

from evorelay.model.outcome import (
    Accepted,
    FaultKind,
    FoundPage,
    GatewayFault,
    Pairing,
    Registration,
)
from evorelay.protocol.evolution.answer import Answer
from evorelay.protocol.normalise.states import delivery_of
from evorelay.protocol.normalise.values import count_of, short_text, whatsapp_id

RECORDS_MAX = 1000
_EVENTS_MAX = 100
_HEADERS_MAX = 50
_URL_CHARS_MAX = 4096
TOO_LARGE = "answer_too_large"
"""A fault's code: fewer rows have to be asked for."""
_KEY_START = b'{"key":'

Refuse = Callable[[], GatewayFault]
"""Makes the fault for an answer that is no success after all."""


def accepted(answer: Answer, refuse: Refuse) -> Accepted:
    """Success is ``key.id``: a 201 can carry Meta's error (research/evolution-live.md, REST)."""
    document = answer.json()
    key = document.get("key") if isinstance(document, dict) else None
    if answer.is_cut:
        key = _key_at_the_start(answer.body)
    id_ = whatsapp_id(key.get("id")) if isinstance(key, dict) else None
    if not answer.is_success or id_ is None:
        raise refuse()
    assert isinstance(key, dict)
    return Accepted(whatsapp_id=id_, jid=short_text(key.get("remoteJid"), 256))


def found_page(answer: Answer, refuse: Refuse) -> FoundPage:
    """2.x: ``{messages: {pages, records}}``; 1.x: the records themselves."""
    if answer.is_cut and answer.is_success:
        raise GatewayFault(
            FaultKind.PERMANENT, TOO_LARGE, "Evolution's list is too long to be read at once."
        )
    document = _document(answer, refuse)
    if isinstance(document, dict):
        document = document.get("messages")
    pages = 1
    if isinstance(document, dict):
        pages = count_of(document.get("pages")) or 0
        document = document.get("records")
    if not isinstance(document, list):
        raise refuse()
    records = [row for row in document[:RECORDS_MAX] if isinstance(row, dict)]
    return FoundPage(records=records, pages=pages)


def statuses(answer: Answer, refuse: Refuse) -> list[str]:
    """Rows of ``chat/findStatusMessage``: names or numbers become our words, others are left."""
    document = _document(answer, refuse)
    if not isinstance(document, list):
        raise refuse()
    rows = [row for row in document[:RECORDS_MAX] if isinstance(row, dict)]
    words = (delivery_of(row.get("status")) for row in rows)
    return [word for word in words if word is not None]


def connection_state(answer: Answer, refuse: Refuse) -> str | None:
    document = _object(answer, refuse)
    instance = document.get("instance")
    if not isinstance(instance, dict):
        raise refuse()
    return short_text(instance.get("state"), 64)


def pairing(answer: Answer, refuse: Refuse) -> Pairing:
    """Of ``instance/connect``. 1.x answers its errors with an empty body, 2.x with 200 and
    ``{error: true}`` (research/evolution.md §4.2)."""
    document = _object(answer, refuse)
    _no_hidden_error(document)
    instance = document.get("instance")
    holder = instance if isinstance(instance, dict) else {}
    qrcode = document.get("qrcode")
    code = qrcode if isinstance(qrcode, dict) else document
    return Pairing(
        state=short_text(holder.get("state"), 64),
        code=short_text(code.get("code")),
        pairing_code=short_text(code.get("pairingCode"), 64),
        image=short_text(code.get("base64"), 256 * 1024),
    )


def done(answer: Answer, refuse: Refuse) -> None:
    """For calls whose answer says nothing but that they worked."""
    if not answer.is_success:
        raise refuse()
    document = answer.json()
    if isinstance(document, dict):
        _no_hidden_error(document)


def registration(answer: Answer, refuse: Refuse) -> Registration | None:
    """Of ``webhook/find``: None for ``null``, which is what it says before any was set."""
    if not answer.is_success:
        raise refuse()
    document = answer.json()
    if document is None and answer.body.strip() in (b"null", b""):
        return None
    if not isinstance(document, dict):
        raise refuse()
    inner = document.get("webhook")
    row = inner if isinstance(inner, dict) else document
    events, headers = row.get("events"), row.get("headers")
    if not row:
        return None
    return Registration(
        is_enabled=row.get("enabled") is True,
        url=short_text(row.get("url"), _URL_CHARS_MAX) or "",
        by_events=_flag(row, "webhookByEvents", "webhook_by_events", "byEvents"),
        base64=_flag(row, "webhookBase64", "webhook_base64", "base64"),
        events=tuple(event for event in events[:_EVENTS_MAX] if isinstance(event, str))
        if isinstance(events, list)
        else (),
        headers={
            name: value
            for name, value in list(headers.items())[:_HEADERS_MAX]
            if isinstance(value, str)
        }
        if isinstance(headers, dict)
        else {},
    )


def _flag(row: dict[str, Any], *names: str) -> bool:
    return any(row.get(name) is True for name in names)


def _document(answer: Answer, refuse: Refuse) -> Any:
    document = answer.json()
    if not answer.is_success or document is None:
        raise refuse()
    return document


def _object(answer: Answer, refuse: Refuse) -> dict[str, Any]:
    document = _document(answer, refuse)
    if not isinstance(document, dict):
        raise refuse()
    return document


def _no_hidden_error(document: dict[str, Any]) -> None:
    if document.get("error") is True:
        _hidden_error()


def _hidden_error() -> NoReturn:
    raise GatewayFault(
        FaultKind.RETRY, "not_connecting", "Evolution could not do it at the moment; try again."
    )


def _key_at_the_start(body: bytes) -> Any:
    """The ``key`` of an answer too long to be read: it comes first, the file sent comes later."""
    start = body.lstrip()
    if not start.startswith(_KEY_START):
        return None
    text = start[len(_KEY_START) : len(_KEY_START) + 4096].decode(errors="replace").lstrip()
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None
