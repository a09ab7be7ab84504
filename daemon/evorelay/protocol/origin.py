"""Which web pages may connect (P7): the browser's ``Origin`` against an exact list.

A credential is needed all the same; this keeps a hostile page from spending a visitor's place in
the network. No pattern, no suffix: each page's origin is named in full.
"""

import re
from collections.abc import Sequence

from evorelay.model.errors import ConfigError

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginPolicy:
    """``auth.allowed_origins``; when that is empty, the daemon's own origin is the one allowed."""

    def __init__(self, allowed: Sequence[str]) -> None:
        """Raise ConfigError for an entry that no browser could send, such as one with a path."""
        self._allowed = frozenset(_configured(entry) for entry in allowed)

    def allows(self, origin: str | None, *, scheme: str, host: str | None) -> bool:
        """Judge a request's ``Origin`` header; None means there was none.

        Without the header it was no browser (they all send it with a WebSocket handshake and with
        every cross-origin call that matters), so native clients pass. ``scheme`` (``http`` or
        ``https``) and ``host`` (the ``Host`` header) are how the client reached us: as a trusted
        proxy says in ``X-Forwarded-Proto`` / ``-Host``, else our own.
        """
        if origin is None:
            return True
        parsed = _parse(origin)
        if parsed is None:
            return False
        if self._allowed:
            return parsed in self._allowed
        return host is not None and parsed == _parse(f"{scheme}://{host}")


def _parse(origin: str) -> tuple[str, str, int | None] | None:
    """(scheme, host, port) with case and default port normalised; None for anything else.

    ``null``, which sandboxed pages and local files send, is no origin.
    """
    if not origin.isascii():  # some letters outside ASCII have lower cases inside it
        return None
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    number = int(port) if port else _DEFAULT_PORTS.get(scheme)
    if number is not None and number > 0xFFFF:
        return None
    return scheme, host, number


def _configured(entry: str) -> tuple[str, str, int | None]:
    parsed = _parse(entry.strip())
    if parsed is None:
        raise ConfigError(
            f"auth.allowed_origins: {entry!r} is not an origin; "
            "write it like https://app.example.com, without a path or *"
        )
    return parsed
