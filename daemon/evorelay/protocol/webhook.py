"""A webhook request as far as ingest needs it: which path, which event, and no secrets.

Every body of Evolution's carries the instance's ``apikey``, its error webhook the global key in
``api_key``, and ``destination`` repeats our own URL with the secret in it: none of the three may
be written anywhere (P7). Facts: research/evolution.md §1.
"""

import json
import re
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

SECRET_KEYS = ("apikey", "api_key", "destination")
_NESTED_SECRETS = ("apikey", "api_key", "appstatesynckeyshare")
"""At any depth, in any case. The last are an account's own keys (messages.edited of 2.3.1+)."""
_NESTED_SECRET = re.compile(
    rb'"(?:api_?key|appstatesynckeyshare)"\s*:|\\u00[4-7][0-9a-f]', re.IGNORECASE
)
"""Also ASCII letters written as escapes: no encoder does that, but a key could hide behind it."""
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_ALIASES = {"messages-upsert", "connection-update"}
_HYPHENATED = {
    "group.participants.update": "group-participants.update",
    "messaging.history.set": "messaging-history.set",
    "chama.ai.action": "chama-ai.action",
    "typebot.change.status": "typebot.change-status",
}
_NAME_MAX = 128

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


class WebhookPath(Struct, frozen=True):
    """``secret`` is None on paths that take their credential from a header."""

    secret: str | None
    event: str
    """From the path's last segment, ``""`` when there is none."""


class Body(Struct, frozen=True):
    """A body that may be stored: an object without secrets."""

    event: str
    instance: str
    json: bytes


def match_path(target: str) -> WebhookPath | None:
    """The webhook path of a request target; None for any other target.

    Doubled and trailing slashes are Evolution's own doing (it appends ``/event`` to the URL as
    configured). The query string is not looked at: by-events mode breaks it.
    """
    path = target.partition("?")[0]
    segments = [unquote(segment) for segment in path.split("/") if segment]
    match segments:
        case ["webhook", "evolution"]:
            return WebhookPath(None, "")
        case ["webhook", "evolution", event]:
            return WebhookPath(None, event_name(event))
        case ["hook", secret]:
            return WebhookPath(secret, "")
        case ["hook", secret, event]:
            return WebhookPath(secret, event_name(event))
        case [alias] if alias in _ALIASES:
            return WebhookPath(None, event_name(alias))
    return None


def event_name(text: str) -> str:
    """``MESSAGES_UPSERT``, ``messages-upsert`` and ``messages.upsert`` in the last spelling."""
    name = text.strip().lower().replace("_", ".").replace("-", ".")[:_NAME_MAX]
    return _HYPHENATED.get(name, name)


def read_body(raw: bytes, *, path_event: str) -> Body:
    """Check that a body is a JSON object, name its event and instance, remove its secrets.

    Raises ``ValueError`` when it is not JSON or not an object. 3 us for a text message
    (``python -m timeit``, one core).
    """
    fields = _fields(raw)
    for key in SECRET_KEYS:
        fields.pop(key, None)
    event, instance = labels(fields)
    if event == "new.jwt":  # 1.8: the whole of ``data`` is a token
        fields.pop("data", None)
    body = _encode(fields)
    if _NESTED_SECRET.search(body):
        body = _without_nested_secrets(body)
    return Body(event or path_event, instance, body)


def has_lone_surrogate(document: memoryview) -> bool:
    """Whether half an emoji may be why a document is no JSON to msgspec (see ``_fields``)."""
    return _LONE_SURROGATE.search(document) is not None


def labels(fields: dict[str, Raw]) -> tuple[str, str]:
    """Event and instance of a body's top level, ``""`` for what is missing or no text."""
    event = _text(fields.get("event"))
    instance = _text(fields.get("instance"), "instanceName", "name")
    return event_name(event), instance[:_NAME_MAX]


def _fields(raw: bytes) -> dict[str, Raw]:
    try:
        return _decode_object(raw)
    except msgspec.ValidationError:
        raise ValueError("the body is JSON, but not an object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # JavaScript may cut an emoji in two; JSON.stringify then writes half a surrogate pair.
        mended = _LONE_SURROGATE.sub(rb"\\ufffd", raw)
        if mended == raw:
            raise ValueError(f"the body is not JSON: {error}") from None
        try:
            return _decode_object(mended)
        except (msgspec.MsgspecError, UnicodeDecodeError) as second:
            raise ValueError(f"the body is not JSON: {second}") from None


def _text(value: Raw | None, *keys: str) -> str:
    """A string, or the first of ``keys`` that is one in an object."""
    if value is None:
        return ""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(decoded, dict):
        decoded = next((decoded[key] for key in keys if isinstance(decoded.get(key), str)), "")
    return decoded.replace("\x00", "") if isinstance(decoded, str) else ""


def _without_nested_secrets(body: bytes) -> bytes:
    """Remove the keys at any depth; rare, so a plain decode will do."""
    mended = _LONE_SURROGATE.sub(rb"\\ufffd", body)
    document = json.loads(mended.decode(errors="replace"), strict=False)
    pending: list[Any] = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            for key in [key for key in node if key.lower() in _NESTED_SECRETS]:
                del node[key]
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return _encode(document)
