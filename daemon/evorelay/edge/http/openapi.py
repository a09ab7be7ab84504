"""The OpenAPI 3.1 document: REST operations from the route table, the rest written down here.

Schemas are those of the Structs that decode and encode, so the document cannot drift from them.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from evorelay.edge.http.answers import JSON, ErrorAnswer
from evorelay.edge.http.old_endpoints import OldSend, OldTest
from evorelay.edge.http.openapi_evolution import EVOLUTION_PATHS
from evorelay.edge.http.route import Route
from evorelay.model.errors import Code
from evorelay.relay.uploads import UploadView

Document = dict[str, Any]
_REF = "#/components/schemas/{name}"
_ERRORS = {
    "4XX": {"$ref": "#/components/responses/Error"},
    "5XX": {"$ref": "#/components/responses/Error"},
}
_OPTIONAL_TOKEN: list[Document] = [{}, {"token": []}]


def openapi_document(routes: Sequence[Route], version: str) -> Document:
    schemas = _schemas(routes)
    paths: dict[str, Document] = {}
    for route in routes:
        operation = _rest_operation(route, schemas)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    for route in routes:
        schemas.pop(route.params.__name__, None)  # written out in the operations
    for path, summary in _WEBHOOKS.items():
        paths[path] = {"post": _webhook_operation(path, summary)}
    paths |= {path: {"get": operation} for path, operation in _OPERATIONS.items()}
    paths["/v1/media"] = {"post": _UPLOAD}
    paths |= EVOLUTION_PATHS
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EvoRelay",
            "version": version,
            "description": "WhatsApp webhooks from Evolution API, durably, onto every agent's "
            "screen. Times are RFC 3339 UTC, ids UUIDv7. Codes of errors: "
            + ", ".join(f"`{code.code}` ({code.http_status})" for code in Code)
            + ".",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {
                    "description": "Why not, and what to do. 503 comes with `Retry-After`.",
                    "content": _json(_ref("ErrorAnswer")),
                }
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "webhook": {"type": "apiKey", "in": "header", "name": "X-Webhook-Secret"},
                "webhook_bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> dict[str, Document]:
    types = {type_ for route in routes for type_ in (route.params, route.result)}
    _, schemas = msgspec.json.schema_components(
        [*types, UploadView, OldSend, OldTest, ErrorAnswer], ref_template=_REF
    )
    schemas["ErrorDetail"]["properties"]["code"]["enum"] = [code.code for code in Code]
    return dict(sorted(schemas.items()))


def _rest_operation(route: Route, schemas: dict[str, Document]) -> Document:
    arguments = schemas[route.params.__name__]
    required = arguments.get("required", [])
    in_path = route.path_params
    elsewhere = {
        name: schema for name, schema in arguments["properties"].items() if name not in in_path
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": arguments["properties"][name]}
        for name in in_path
    ]
    operation: Document = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters,
        "security": [{"token": []}],
        "responses": {
            str(route.status): {
                "description": HTTPStatus(route.status).phrase,
                "content": _json(_ref(route.result.__name__)),
            },
            **_refusals(route.refusals),
            **_ERRORS,
        },
    }
    if route.role is not None:
        operation["description"] = f"Needs the role {route.role}."
    if route.has_body:
        body = arguments | {
            "properties": elsewhere,
            "required": [name for name in required if name not in in_path],
        }
        operation["requestBody"] = {"required": route.needs_body, "content": _json(body)}
    else:
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in elsewhere.items()
        ]
    return operation


def _refusals(codes: Sequence[Code]) -> Document:
    """By status, naming the codes it may come with."""
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(code.http_status), []).append(f"`{code.code}`")
    return {
        status: {"description": ", ".join(names), "content": _json(_ref("ErrorAnswer"))}
        for status, names in by_status.items()
    }


def _webhook_operation(path: str, summary: str) -> Document:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ],
        "security": [{}] if "secret" in names else [{"webhook": []}, {"webhook_bearer": []}],
        "requestBody": {"required": True, "content": _json({"type": "object"})},
        "responses": {
            "200": {"description": "Stored and fsynced", "content": _json(_RECEIVED)},
            **_ERRORS,
        },
    }


def _json(schema: Document) -> Document:
    return {JSON: {"schema": schema}}


def _ref(name: str) -> Document:
    return {"$ref": _REF.format(name=name)}


def _operation(
    summary: str,
    content: Document,
    *,
    failing: str | None = None,
    security: list[Document],
    parameters: Sequence[Document] = (),
) -> Document:
    responses: Document = {"200": {"description": "OK", "content": content}}
    if failing is not None:
        responses["503"] = {"description": failing, "content": content}
    else:
        responses |= _ERRORS
    return {
        "summary": summary,
        "parameters": list(parameters),
        "security": security,
        "responses": responses,
    }


_RECEIVED: Document = {
    "type": "object",
    "required": ["received", "seq", "event", "instance"],
    "properties": {
        "received": {"const": True},
        "seq": {"type": "integer"},
        "event": {"type": "string"},
        "instance": {"type": "string"},
    },
}

_WEBHOOKS = {
    "/webhook/evolution": "A webhook of Evolution API; the secret comes in a header",
    "/webhook/evolution/{event}": "The same with Evolution's “webhook by events”",
    "/hook/{secret}": "A webhook with the secret in the path",
    "/hook/{secret}/{event}": "The same with Evolution's “webhook by events”",
    "/messages-upsert": "Old address of messages.upsert",
    "/connection-update": "Old address of connection.update",
}

_COUNT: Document = {"type": "integer", "minimum": 0}
_STATUS: Document = {"enum": ["pass", "warn", "fail"]}
_HEALTH: Document = {
    "type": "object",
    "required": ["status", "version", "uptime_seconds", "checks", "websocket"],
    "properties": {
        "status": _STATUS,
        "version": {"type": "string"},
        "uptime_seconds": {"type": "number"},
        "checks": {
            "type": "object",
            "description": "By name; with a token also what was observed.",
            "additionalProperties": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["status"],
                    "properties": {
                        "componentId": {
                            "type": "string",
                            "description": "Which one, where there are several of a kind",
                        },
                        "status": _STATUS,
                        "observedValue": {"type": "number"},
                        "observedUnit": {"type": "string"},
                        "state": {"type": "string", "description": "An instance's"},
                        "output": {
                            "type": "string",
                            "description": "What is wrong, what it means, what to do",
                        },
                    },
                },
            },
        },
        "websocket": {
            "type": "object",
            "required": ["enabled", "connections", "activeTickets"],
            "properties": {
                "enabled": {"type": "boolean"},
                "connections": _COUNT,
                "activeTickets": _COUNT,
            },
        },
    },
}
_HEALTH_OPERATION = _operation(
    "Health, computed from progress; details with a token",
    {"application/health+json": {"schema": _HEALTH}},
    failing="`fail`: webhooks cannot be accepted, or the pipeline makes no progress",
    security=_OPTIONAL_TOKEN,
)
_OPERATIONS: dict[str, Document] = {
    "/livez": _operation(
        "Whether the process works at all",
        _json({"type": "object", "properties": {"alive": {"const": True}}}),
        security=[{}],
    ),
    "/readyz": _operation(
        "Whether webhooks are accepted",
        _json({"type": "object", "properties": {"ready": {"type": "boolean"}}}),
        failing="Starting, draining, or the journal cannot take anything",
        security=[{}],
    ),
    "/health": _HEALTH_OPERATION,
    "/webhook/health": _HEALTH_OPERATION,
    "/webhook/ws-stats": _operation(
        "Connections, and tickets somebody watches; which ones with a token",
        _json(
            {
                "type": "object",
                "required": ["totalConnections", "activeTickets"],
                "properties": {
                    "totalConnections": _COUNT,
                    "activeTickets": _COUNT,
                    "connectionsByTicket": {"type": "object", "additionalProperties": _COUNT},
                },
            }
        ),
        security=_OPTIONAL_TOKEN,
    ),
    "/metrics": _operation(
        "Prometheus metrics, for peers of `metrics.allow_from` or with a token",
        {"text/plain": {"schema": {"type": "string"}}},
        security=_OPTIONAL_TOKEN,
    ),
    "/media/{media_id}": _operation(
        "A message's file; ranges are served",
        {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        security=[{"token": []}],
        parameters=[
            {"name": "media_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ],
    ),
    "/openapi.json": _operation("This document", _json({"type": "object"}), security=[{}]),
}

_FILE: Document = {"type": "string", "format": "binary"}
_UPLOAD: Document = {
    "operationId": "media.upload",
    "summary": "Hand in a file, to be sent with a reply within a day",
    "parameters": [
        {"name": "filename", "in": "query", "required": False, "schema": {"type": "string"}}
    ],
    "security": [{"token": []}],
    "requestBody": {
        "required": True,
        "content": {
            "*/*": {"schema": _FILE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _FILE},
                }
            },
        },
    },
    "responses": {
        "201": {"description": "It is stored", "content": _json(_ref("UploadView"))},
        **_ERRORS,
    },
}
