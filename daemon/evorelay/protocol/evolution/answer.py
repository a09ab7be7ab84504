"""An answer as received, of Evolution or of what stands before it; its texts, made harmless."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

SAID_CHARS_MAX: Final = 200
"""What a fault quotes at most."""
_TEXTS_MAX = 20
_DEPTH_MAX = 4
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
"""Keys, tokens and base64 look like this; words do not."""
_HOOK = re.compile(r"(/hook/)[^/\s?#\"'\\]+")
"""Our own webhook's address, with its secret."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


class Answer(Struct, frozen=True, kw_only=True):
    status: int
    body: bytes
    """As much of it as was read."""
    is_cut: bool = False
    """There is more of it than the bound allows."""
    retry_after: str | None = None
    """The header, as it came."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The document; None when it is no JSON, or not all of it is here."""
        if self.is_cut:
            return None
        try:
            return msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return None


def texts_of(document: Any) -> list[str]:
    """What an error answer says: ``{status, error, response: {message}}`` of Evolution, whose
    message is a text, a list, a list of lists or of objects; Meta's ``{message, code}``."""
    if not isinstance(document, dict):
        return []
    response = document.get("response")
    holder = response if isinstance(response, dict) else document
    found = list(_texts(holder.get("message"), 0))
    if not found:
        found = list(_texts(document.get("error"), 0))
    return found[:_TEXTS_MAX]


def _texts(value: Any, depth: int) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif depth < _DEPTH_MAX and isinstance(value, list):
        for item in value[:_TEXTS_MAX]:
            yield from _texts(item, depth + 1)
    elif depth < _DEPTH_MAX and isinstance(value, dict):
        yield from _texts(value.get("message"), depth + 1)


def quotable(text: str, secrets: Sequence[str]) -> str:
    """At most ``SAID_CHARS_MAX`` characters of a foreign text, without what could be a secret."""
    text = text[: 20 * SAID_CHARS_MAX]
    for secret in filter(None, secrets):
        for spelling in {secret, quote(secret, safe="")}:
            text = text.replace(spelling, "…")
    text = _HOOK.sub(r"\1…", _UNPRINTABLE.sub(" ", text))
    text = _OPAQUE.sub("…", text).strip()
    return text if len(text) <= SAID_CHARS_MAX else text[: SAID_CHARS_MAX - 1] + "…"
