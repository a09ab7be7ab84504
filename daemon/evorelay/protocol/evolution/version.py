"""Which dialect of the REST API a server speaks, from the ``version`` it says of itself.

1.x nests a message under its kind, 2.x is flat (research/evolution.md §4.1). From 2.4 a send may
choose the message's WhatsApp id (research/anchors.md E14); older ones ignore that field.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

_VERSION = re.compile(r"v?(\d{1,4})(?:\.(\d{1,4}))?")
_NO_OWN_IDS = re.compile(
    r'not allowed to have .{0,30}"messageId"|additional propert\w* "messageId"|'
    r'^"?messageId"? is not allowed$',
    re.IGNORECASE,
)
"""The validator's own words. Any other text that names ``messageId``, a column of Evolution's
database too, may come after the message went out."""
_REQUIRED = re.compile(r'requires property "(\w{1,64})"')
_V1_ONLY = frozenset(
    {
        *("textMessage", "mediaMessage", "audioMessage", "stickerMessage", "locationMessage"),
        *("contactMessage", "reactionMessage", "url", "enabled"),
    }
)
_V2_ONLY = frozenset(
    {"text", "mediatype", "latitude", "longitude", "contact", "key", "reaction", "webhook"}
)


class Server(Struct, frozen=True):
    generation: Literal[1, 2]
    takes_own_ids: bool


UNKNOWN_SERVER = Server(2, takes_own_ids=False)
"""What is assumed of one that does not say: 2.x is what people run."""


def server_of(root: bytes) -> Server | None:
    """Read the body of ``GET /`` (rest-live/root.ok.json); None when it names no version."""
    try:
        document: Any = msgspec.json.decode(root)
    except (ValueError, RecursionError):
        return None
    said = document.get("version") if isinstance(document, dict) else None
    found = _VERSION.match(said) if isinstance(said, str) else None
    if found is None:
        return None
    major, minor = int(found[1]), int(found[2] or 0)
    return Server(1 if major < 2 else 2, takes_own_ids=(major, minor) >= (2, 4))


def corrected(server: Server, said: Iterable[str]) -> Server | None:
    """What it is after all, if a refusal asks for a property that only the other generation knows,
    or does not know ``messageId``. None when it says neither.

    Nothing was sent then: bodies are validated first.
    """
    said = list(said)
    if server.takes_own_ids and any(map(_NO_OWN_IDS.search, said)):
        return Server(server.generation, takes_own_ids=False)
    required = {name for text in said for name in _REQUIRED.findall(text)}
    if server.generation == 2 and required & _V1_ONLY:
        return Server(1, takes_own_ids=False)
    if server.generation == 1 and required & _V2_ONLY:
        return Server(2, takes_own_ids=False)
    return None
