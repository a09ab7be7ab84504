"""What a person reads of a message, and what else is kept of it, by the table in ``kinds``."""

from typing import Any

from evorelay.protocol.normalise.content import Content, find_content
from evorelay.protocol.normalise.kinds import EMPTY_KIND, KINDS, UNKNOWN_KIND, Kind
from evorelay.protocol.normalise.values import (
    SMALL_ITEMS_MAX,
    Path,
    clean,
    dig,
    short_text,
    small_of,
    text_of,
)

PREVIEW_CHARS_MAX = 300


def kind_of(content: Content | None) -> Kind:
    return EMPTY_KIND if content is None else KINDS.get(content.name, UNKNOWN_KIND)


def words(kind: Kind, value: Any) -> str:
    """Never empty but for a text that is; ``values.cut`` bounds it."""
    if isinstance(value, str) and value:  # a bare text, whatever type was to hold it
        return clean(value)
    lines = []
    for part in kind.text:
        line = next((text for path in part if (text := text_of(dig(value, path)))), None)
        if line and line not in lines:
            lines.append(line)
    if kind.headed or not lines:
        lines.insert(0, _head(kind, value))
    if kind.listed is not None:
        lines += _listed(kind.listed, value)
    return "\n".join(lines)


def _head(kind: Kind, value: Any) -> str:
    details = (
        next((text for path in part if (text := short_text(dig(value, path)))), None)
        for part in kind.detail
    )
    detail = ", ".join(filter(None, details))
    return f"{kind.label} {detail}" if detail else kind.label


def _listed(path: Path, value: Any) -> list[str]:
    found = dig(value, path)
    texts = found[:SMALL_ITEMS_MAX] if isinstance(found, list) else ()
    return [f"• {text}" for item in texts if (text := short_text(item))]


def kept(kind: Kind, value: Any) -> dict[str, Any]:
    """What goes into the metadata. ``metadata.bounded`` bounds it."""
    metadata = {}
    for name, paths in kind.keep.items():
        for path in paths:
            said = dig(value, path)
            # What a reader made is in order; anything else is whatever somebody sent.
            if not (path and callable(path[-1])):
                said = small_of(said)
            if said is not None and said is not False:
                metadata[name] = said
                break
    return metadata


def preview(message: Any, message_type: Any = None) -> dict[str, str] | None:
    """``{"type", "content"}`` of a message that another one quotes; None where nothing is said."""
    content = find_content(message, message_type) if isinstance(message, dict) else None
    if content is None:
        return None
    kind = kind_of(content)
    text = words(kind, content.value)
    if len(text) > PREVIEW_CHARS_MAX:
        text = text[: PREVIEW_CHARS_MAX - 1] + "…"
    return {"type": kind.type, "content": text}
