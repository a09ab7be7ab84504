"""What is answered instead of the truth, on request (``misbehaviour.py``).

The refusals are Evolution's own, word for word: captured ones from payloads/rest-live, the others
from research/evolution.md §4.3. Meta's come with 201 through 2.x, with 400 through 1.8.2.
"""

from http import HTTPStatus
from typing import Any

import msgspec
import trio
from msgspec.structs import replace

from evorelay.simulator.misbehaviour import Misbehaviour
from evorelay.simulator.rest.call import UPSTREAM_BROKEN, Call, chat_of
from evorelay.simulator.rest.wire import Answer, as_json

HUGE_BYTES = 10 * 1024 * 1024

_UNDEFINED = "Cannot read properties of undefined (reading '%s')"
_REFUSALS: dict[str, tuple[int, Any]] = {
    "500": (500, "Internal server error"),
    "connection-closed": (400, ["Error: Connection Closed"]),
    "connection-closed-500": (500, ["Error: Connection Closed"]),
    "not-connected": (500, "Connection Closed"),
    "timed-out": (400, ["Error: Timed Out"]),
    "not-loaded": (500, _UNDEFINED % "textMessage"),
    "swallowed": (400, ["[object Object]"]),
    "aggregate-error": (400, ["AggregateError"]),
    "upload-failed": (400, ["Error: Media upload failed on all hosts"]),
    "bad-media": (400, ["Owned media must be a url or base64"]),
    "call-stack": (500, "Maximum call stack size exceeded"),
    "empty-text": (400, ["Text is required"]),
    "wrong-body": (400, [['instance requires property "text"']]),
    "number-not-string": (400, [["Invalid format"]]),
    "unsupported": (400, ["Method not available on WhatsApp Business API"]),
    "upstream-broken": (400, [UPSTREAM_BROKEN]),
    "unauthorized": (401, "Unauthorized"),
}
_TOO_LATE = "Message failed to send because more than 24 hours have passed since the customer last "
_TOO_MANY = "Message failed to send because there were too many messages sent from this phone "
_META: dict[str, dict[str, Any]] = {
    "meta-24h-window": {
        "message": "(#131047) Re-engagement message",
        "type": "OAuthException",
        "code": 131047,
        "error_data": {
            "messaging_product": "whatsapp",
            "details": _TOO_LATE + "replied to this number.",
        },
    },
    "meta-rate-limit": {
        "message": "(#130429) Rate limit hit",
        "type": "OAuthException",
        "code": 130429,
        "error_data": {
            "messaging_product": "whatsapp",
            "details": _TOO_MANY + "number in a short period of time",
        },
    },
    "meta-token-expired": {
        "message": "Error validating access token: Session has expired",
        "type": "OAuthException",
        "code": 190,
        "error_subcode": 463,
    },
    "meta-500": {
        "message": "An unknown error has occurred.",
        "type": "OAuthException",
        "code": 1,
    },
}
_LICENCE = {
    "error": "service not activated",
    "code": "LICENSE_REQUIRED",
    "register_url": "https://evolution.example.test/manager/login",
    "docs_url": "https://docs.example.test/licensing",
    "message": "This installation is not activated.",
}


def error_answer(status: int, message: Any, error: str | None = None) -> Answer:
    said = error or HTTPStatus(status).phrase
    return as_json({"status": status, "error": said, "response": {"message": message}}, status)


def licence_answer() -> Answer:
    return as_json(_LICENCE, 503)


async def odd_answer(odd: Misbehaviour, call: Call, truth: Answer | None) -> Answer:
    """``truth``: what would be answered; None when the call was not processed."""
    whole = truth or as_json({"key": {"id": "3EB0000000000000000000"}}, 201)
    match odd.kind:
        case "hang":
            return Answer(200, manner="never")
        case "reset":
            return Answer(200, manner="reset")
        case "cut":
            return replace(whole, manner="cut")
        case "half-json":
            return replace(whole, body=whole.body[: len(whole.body) // 2])
        case "drip":
            return replace(whole, manner="drip")
        case "html-502" | "html-503" | "html-504":
            return _html(int(odd.kind[-3:]))
        case "busy":
            return _html(503, {"Retry-After": str(odd.retry_after_s)})
        case "429":
            return _html(429, {"Retry-After": str(odd.retry_after_s)})
        case "redirect-301" | "redirect-307":
            return _html(int(odd.kind[-3:]), {"Location": "/simulator/elsewhere"})
        case "huge":
            return await trio.to_thread.run_sync(_huge)
        case _:
            return _refusal(odd.kind, call) or whole


def _refusal(kind: str, call: Call) -> Answer | None:
    """None: none of them; the truth is told."""
    if kind in _REFUSALS:
        return error_answer(*_REFUSALS[kind])
    if kind == "not-json":
        return error_answer(400, "Unexpected end of JSON input", "Internal Server Error")
    if kind == "instance-missing":
        name = call.station.instance.name
        return error_answer(404, [f'The "{name}" instance does not exist'])
    if kind == "licence":
        return licence_answer()
    if kind == "not-on-whatsapp":
        number = str(call.body.get("number", ""))
        jid = chat_of(call.station, number).jid
        return error_answer(400, [{"jid": jid, "exists": False, "number": number}])
    meta = _META.get(kind)
    if meta is None:
        return None
    if call.is_v1:
        return error_answer(400, [meta["message"]])
    return as_json(meta | {"fbtrace_id": "Asimulated"}, 201)


def _html(status: int, headers: dict[str, str] | None = None) -> Answer:
    """As a proxy in front of Evolution says it."""
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return Answer(status, page.encode(), "text/html", headers or {})


def _huge() -> Answer:
    return Answer(201, msgspec.json.encode({"padding": "x" * HUGE_BYTES}))
