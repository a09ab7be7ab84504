"""From an answer that is no success to the ``GatewayFault`` it means, by ``fault_table``.

Doubt is the default: where neither text nor status says that nothing was sent, it may have been.
"""

import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.answer import Answer, quotable, texts_of
from evorelay.protocol.evolution.fault_table import (
    COME_BACK,
    META,
    NOT_ON_WHATSAPP,
    STATUSES,
    TEXTS,
    Meaning,
    TextRow,
)

RETRY_AFTER_MAX_S: Final = 3600.0
"""A proxy that asks for more is asked again after this long."""
_META_CODE = re.compile(r"^\(#(\d{1,7})\)")
_UNREADABLE: Final = Meaning(
    FaultKind.UNKNOWN, "unreadable", "Evolution's answer makes no sense to us.", ""
)
_UNEXPLAINED: Final = Meaning(FaultKind.UNKNOWN, "unexplained", "Evolution refused this.", "")
_REDIRECT: Final = Meaning(
    FaultKind.GATEWAY_DOWN,
    "redirect",
    "Evolution's address redirects elsewhere, which we do not follow; configure the final URL.",
    "",
)


def fault_of(
    answer: Answer, *, is_send: bool, now_s: float, secrets: Sequence[str] = ()
) -> GatewayFault:
    """What an answer without success means. Quotes nothing in ``secrets`` (P7).

    A question that fails in doubt sent nothing: there it becomes "retry".
    """
    document = answer.json()
    said = texts_of(document)
    meaning = _meaning(answer, document, said, is_send)
    message = meaning.message
    if said and meaning.code in ("unexplained", "rejected"):
        message += f" It says: {quotable('; '.join(said), secrets)}"
    elif meaning is _UNREADABLE or meaning.code in ("not_evolution", "no_answer"):
        message += f" It answered {answer.status}."
    return fault(
        meaning.kind,
        meaning.code,
        message,
        is_send=is_send,
        retry_after_s=retry_after(answer.retry_after, now_s),
    )


def fault(
    kind: FaultKind, code: str, message: str, *, is_send: bool, retry_after_s: float | None = None
) -> GatewayFault:
    """Doubt exists for sends alone."""
    if kind is FaultKind.UNKNOWN and not is_send:
        kind = FaultKind.RETRY
    return GatewayFault(kind, code, message, retry_after_s=retry_after_s)


def retry_after(header: str | None, now_s: float) -> float | None:
    """Seconds from ``Retry-After``, given as such or as a date (RFC 9110 §10.2.3)."""
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
            seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now_s
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S)


def _meaning(answer: Answer, document: Any, said: list[str], is_send: bool) -> Meaning:
    if 300 <= answer.status < 400:
        return _REDIRECT
    if isinstance(document, dict):
        if _is_not_on_whatsapp(document):
            return NOT_ON_WHATSAPP
        code = _meta_code(document, said)
        if code is not None and code in META:
            return META[code]
        labels = [*said, document["code"]] if isinstance(document.get("code"), str) else said
        if (row := _row(answer.status, labels, is_send)) is not None:
            return row.meaning
        if answer.status not in (401, 413, 429, 503) and (said or code is not None):
            return _UNEXPLAINED if _is_evolutions(answer, document) else _by_status(answer)
    elif (row := _row(answer.status, _lines(answer), is_send)) is not None:
        return row.meaning
    return _by_status(answer)


def _by_status(answer: Answer) -> Meaning:
    if answer.status == 503 and answer.retry_after is not None:
        return COME_BACK
    return STATUSES.get(answer.status, _UNREADABLE)


def _is_evolutions(answer: Answer, document: dict[str, Any]) -> bool:
    """Its errors repeat the status; Meta's come with success; a proxy's do neither."""
    return answer.is_success or "response" in document or answer.status in (400, 500)


def _row(status: int, said: list[str], is_send: bool) -> TextRow | None:
    for row in TEXTS:
        if is_send and not row.for_sends:
            continue
        if (not row.statuses or status in row.statuses) and any(map(row.text.search, said)):
            return row
    return None


def _lines(answer: Answer) -> list[str]:
    """Express's own pages say ``Cannot POST /…`` within ``<pre>`` (#2242)."""
    found = re.search(rb"<pre>([^<]{1,300})</pre>", answer.body[:4096])
    return [found[1].decode(errors="replace")] if found else []


def _is_not_on_whatsapp(document: dict[str, Any]) -> bool:
    response = document.get("response")
    message = response.get("message") if isinstance(response, dict) else None
    rows = message if isinstance(message, list) else [message]
    return any(isinstance(row, dict) and row.get("exists") is False for row in rows)


def _meta_code(document: dict[str, Any], said: list[str]) -> int | None:
    """Of ``{message, type, code, …}``, bare or under ``error``; or from 1.8's text."""
    inner = document.get("error")
    for holder in (document, inner if isinstance(inner, dict) else {}):
        code = holder.get("code")
        if isinstance(code, int) and not isinstance(code, bool):
            return code
    found = next((match for text in said if (match := _META_CODE.match(text))), None)
    return int(found[1]) if found else None
