"""How a webhook's body, and whatever holds it, names the blobs that were taken out of it."""

import re

_NAME = re.compile(rb"blob(?:-text)?:([0-9a-f]{64})")
NAME_BYTES_MAX = len("blob-text:") + 64


def blob_names(text: bytes) -> set[str]:
    """SHA-256s that are named in it (``protocol/spill.py`` says how)."""
    return {match.decode() for match in _NAME.findall(text)}
