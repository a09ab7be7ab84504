"""Finding the content in a message: which key holds it, whatever it is wrapped in."""

from typing import Any, NamedTuple

from evorelay.protocol.normalise.kinds import CHANGES, FILE_ITSELF, KINDS, NOISE, VIEW_ONCE

WRAPPERS_MAX = 8
"""WhatsApp nests two or three (ephemeral, view once, document with caption)."""


class Content(NamedTuple):
    name: str
    """WhatsApp's name of the type, as in ``messageType``."""
    value: Any
    message: dict[str, Any]
    """The message that holds it, inside the wrappers; media fields may stand beside the value."""
    view_once: bool = False


def find_content(message: dict[str, Any], message_type: Any) -> Content | None:
    """The content of ``data.message``; None when there is nothing in it for a person.

    ``message_type`` is Evolution's hint and is followed only where it leads somewhere. A key that
    is not in the table and holds a ``message`` is a wrapper, known or new: we go on inside it.
    """
    hint = message_type if isinstance(message_type, str) else None
    view_once = False
    wrappers = 0
    while (name := _content_key(message, hint)) is not None:
        value = message[name]
        inner = value.get("message") if isinstance(value, dict) else None
        known = name in KINDS or name in CHANGES
        if known or not isinstance(inner, dict) or wrappers == WRAPPERS_MAX:
            return Content(name, value, message, view_once)
        view_once = view_once or name in VIEW_ONCE
        message, hint = inner, None
        wrappers += 1
    return _flat(message, hint)


def _content_key(message: dict[str, Any], hint: str | None) -> str | None:
    if hint and hint not in NOISE:
        value = message.get(hint)
        if isinstance(value, dict) or (value is not None and hint in KINDS):
            return hint
    for name in _BY_PRECEDENCE:
        if message.get(name) is not None:
            return name
    for name, value in message.items():
        if "Message" in name and name not in NOISE and isinstance(value, dict):
            return name
    return None


_BY_PRECEDENCE = (*KINDS, *CHANGES)


# Answers to buttons and forms, when all of the answer is missing (research: Cloud API).
_EMPTY_ANSWERS = {
    "interactiveMessage": "interactiveResponseMessage",
    "buttonMessage": "buttonsResponseMessage",
}


def _flat(message: dict[str, Any], hint: str | None) -> Content | None:
    """Content whose fields stand in the message itself, named by the hint alone.

    The EVOLUTION channel sends ``{"mediaUrl": …}`` and buttons so; the Cloud API channel an
    empty message for a filled-in form.
    """
    if hint in KINDS:
        if message.keys() - NOISE or KINDS[hint].media == FILE_ITSELF:
            return Content(hint, message, message)
        if hint in _EMPTY_ANSWERS:
            return Content(_EMPTY_ANSWERS[hint], message, message)
    if message.get("mediaUrl") or message.get("base64"):
        return Content("documentMessage", message, message)
    return None
