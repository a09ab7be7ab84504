"""The OpenAPI entries of what speaks Evolution's or its old servers' words: written by hand."""

from typing import Any

from evorelay.edge.http.answers import JSON
from evorelay.edge.http.api_proxy import METHODS
from evorelay.edge.http.evolution_bodies import SENDS
from evorelay.protocol.evolution_proxy import PASSAGES

_Document = dict[str, Any]
_ERRORS = {
    "4XX": {"$ref": "#/components/responses/Error"},
    "5XX": {"$ref": "#/components/responses/Error"},
}


def _content(schema: _Document) -> _Document:
    return {JSON: {"schema": schema}}


def _object(**fields: _Document) -> _Document:
    return {"type": "object", "properties": fields}


_TEXT: _Document = {"type": "string"}
_TRUE: _Document = {"const": True}
_SENT = _object(success=_TRUE, messageId=_TEXT, status=_TEXT, id=_TEXT)
_QUEUED = _object(success=_TRUE, queued=_TRUE, id=_TEXT)
_STATE = _object(success=_TRUE, instance=_TEXT, connected={"type": "boolean"}, state=_TEXT)


def _send(summary: str, form: str) -> _Document:
    return {
        "summary": summary,
        "description": "Goes through the outbox; waits up to 10 s for Evolution. Errors say "
        "`success: false` beside `error`; 422 is a message that WhatsApp or Evolution gave up.",
        "parameters": [],
        "security": [{"token": []}],
        "requestBody": {
            "required": True,
            "content": _content({"$ref": f"#/components/schemas/{form}"}),
        },
        "responses": {
            "200": {"description": "Sent", "content": _content(_SENT)},
            "202": {"description": "Durable, not sent yet", "content": _content(_QUEUED)},
            **_ERRORS,
        },
    }


def _in_path(name: str) -> _Document:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _proxied(method: str) -> _Document:
    body = {} if method == "GET" else {"requestBody": {"content": _content({"type": "object"})}}
    return body | {
        "summary": "Evolution's own API, as far as it is passed on",
        "description": f"Passed on: {', '.join(f'`{call}`' for call in PASSAGES)}, with the "
        "instance behind it, in Evolution's own bodies. Taken by the outbox and answered in "
        f"Evolution's shape, success being `key.id`: {', '.join(f'`{call}`' for call in SENDS)}. "
        "Tokens and keys are removed from answers.",
        "parameters": [_in_path("path")],
        "security": [{"token": []}],
        "responses": {
            "2XX": {"description": "Evolution's answer", "content": _content({})},
            **_ERRORS,
        },
    }


EVOLUTION_PATHS: dict[str, _Document] = {
    "/webhook/send-message": {"post": _send("Old way to send a text to a number", "OldSend")},
    "/webhook/test-send": {"post": _send("The same with a text that says it is a test", "OldTest")},
    "/webhook/check-instance/{name}": {
        "get": {
            "summary": "Whether an instance is connected to WhatsApp",
            "parameters": [_in_path("name")],
            "security": [{"token": []}],
            "responses": {"200": {"description": "OK", "content": _content(_STATE)}, **_ERRORS},
        }
    },
    "/api/{path}": {method.lower(): _proxied(method) for method in METHODS},
}
