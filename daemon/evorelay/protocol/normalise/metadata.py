"""The bound of a message's metadata."""

from typing import Any

import msgspec

from evorelay.protocol.normalise.values import KIB

METADATA_BYTES_MAX = 16 * KIB
_MARK_BYTES = 64

_encode = msgspec.json.Encoder().encode


def bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata within ``METADATA_BYTES_MAX`` as JSON; what is largest goes first."""
    if len(_encode(metadata)) <= METADATA_BYTES_MAX:
        return metadata
    kept: dict[str, Any] = {"metadata_cut": True}
    room = METADATA_BYTES_MAX - _MARK_BYTES
    for size, name in sorted((len(_encode(value)), name) for name, value in metadata.items()):
        room -= size + len(name) + 4
        if room < 0:
            break
        kept[name] = metadata[name]
    return kept
