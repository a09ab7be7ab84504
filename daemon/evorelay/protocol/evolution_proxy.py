"""What of Evolution's own API agents may use through us, and what of its answers they may see.

The table is an allow-list: what is not in it is refused, whatever Evolution would do with it.
Sending is not in it, for every message goes through the outbox (P4).
"""

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from evorelay.model.principal import Role

MASK = "***"
SECRET_CHARS_MIN = 4
"""A shorter secret would take half of every answer with it."""
_SECRET_NAMES = ("token", "apikey", "secret", "password", "authorization", "jwtkey", "credential")
"""In names of fields, without case, ``_`` and ``-``; whatever they hold is removed."""
_SIGNAL_KEYS = "appstatesynckeyshare"


class Passage(Struct, frozen=True, kw_only=True):
    """One call of Evolution's that we pass on."""

    methods: tuple[str, ...]
    """1.x and 2.x use different ones for the same call."""
    role: Role = "agent"
    query: tuple[str, ...] = ()
    """Parameters that are passed on; others are dropped."""
    shows: Literal["anything", "instances", "registration"] = "anything"
    """What the answer is, where that decides what of it is shown."""


FETCH_INSTANCES = "instance/fetchInstances"
"""The one call whose path names no instance."""
_GET, _POST, _READ = ("GET",), ("POST",), ("GET", "POST")
PASSAGES: dict[str, Passage] = {
    FETCH_INSTANCES: Passage(methods=_GET, query=("instanceName",), shows="instances"),
    "instance/connectionState": Passage(methods=_GET),
    "instance/connect": Passage(methods=_GET, role="supervisor", query=("number",)),
    "instance/restart": Passage(methods=("PUT", "POST"), role="supervisor"),
    "chat/findChats": Passage(methods=_READ),
    "chat/findContacts": Passage(methods=_POST),
    "chat/findMessages": Passage(methods=_POST),
    "chat/findStatusMessage": Passage(methods=_POST),
    "chat/whatsappNumbers": Passage(methods=_POST),
    "chat/fetchProfilePictureUrl": Passage(methods=_POST),
    "chat/markMessageAsRead": Passage(methods=("PUT", "POST")),
    "chat/sendPresence": Passage(methods=_POST),
    "webhook/find": Passage(methods=_GET, role="supervisor", shows="registration"),
}


class Target(Struct, frozen=True):
    """What a path under ``/api/`` names."""

    call: str
    """``chat/findChats``"""
    instance: str | None

    def path(self, query: Iterable[tuple[str, str]] = ()) -> str:
        """As Evolution has it, every part encoded."""
        named = "" if self.instance is None else "/" + quote(self.instance, safe="")
        pairs = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in query)
        return f"/{self.call}{named}" + (f"?{pairs}" if pairs else "")


def read_target(path: str) -> Target | None:
    """The call and the instance of a decoded path behind ``/api/``; None for any other path."""
    parts = path.split("/")
    if len(parts) == 2 and path == FETCH_INSTANCES:
        return Target(path, None)
    if len(parts) == 3 and all(parts) and parts[2] not in (".", ".."):
        return Target(f"{parts[0]}/{parts[1]}", parts[2])
    return None


def visible_answer(
    body: bytes,
    shows: Literal["anything", "instances", "registration"],
    *,
    visible: Iterable[str] | None,
    secrets: Iterable[str],
) -> bytes:
    """The JSON of an answer without what no client may see (P7).

    ``visible`` are the instances whose rows stay in a list of them, None for all. ``secrets`` are
    taken out wherever they stand. Raises ``ValueError`` for what is no JSON. Takes 0.1 s for a few
    megabytes: not for the event loop.
    """
    try:
        document = msgspec.json.decode(body) if body.strip() else None
        if shows == "instances":
            document = _instances(document, visible)
        elif shows == "registration":
            document = _registration(document)
        _remove_secrets(document)
        clean = msgspec.json.encode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("Evolution's answer is not JSON") from None
    for secret in secrets:
        if len(secret) >= SECRET_CHARS_MIN:
            clean = clean.replace(msgspec.json.encode(secret)[1:-1], MASK.encode())
    return clean


def _remove_secrets(document: Any) -> None:
    pending = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            for name in [name for name in node if _is_secret(name)]:
                del node[name]
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _is_secret(name: str) -> bool:
    plain = name.lower().replace("_", "").replace("-", "")
    return plain == _SIGNAL_KEYS or any(word in plain for word in _SECRET_NAMES)


def _instances(document: Any, visible: Iterable[str] | None) -> Any:
    """Rows of instances that may be seen; an answer that is no row, such as an error, stays."""
    if visible is None:
        return document
    names = frozenset(visible)
    if isinstance(document, list):
        return [row for row in document if _name(row) in names]
    is_error = isinstance(document, dict) and ("response" in document or "error" in document)
    return document if is_error or _name(document) in names else []


def _name(row: Any) -> str | None:
    """2.x has flat rows, 1.x ``{"instance": {"instanceName": …}}``."""
    if not isinstance(row, dict):
        return None
    inner = row["instance"] if isinstance(row.get("instance"), dict) else row
    name = inner.get("instanceName", inner.get("name"))
    return name if isinstance(name, str) else None


def _registration(document: Any) -> Any:
    """The webhook's setting: our secret is in its address, or in its headers."""
    if isinstance(document, dict):
        for node in (document, document.get("webhook")):
            if isinstance(node, dict):
                _mask_address(node)
    return document


def _mask_address(node: dict[str, Any]) -> None:
    if isinstance(node.get("url"), str):
        try:
            url = urlsplit(node["url"])
            node["url"] = f"{url.scheme}://{url.hostname}/{MASK}"
        except ValueError:
            node["url"] = MASK
    if isinstance(node.get("headers"), dict):
        node["headers"] = dict.fromkeys(node["headers"], MASK)
