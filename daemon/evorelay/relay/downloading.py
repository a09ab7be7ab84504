"""A file at an address of the web, as the engine knows it; ``edge/downloads.py`` speaks HTTP."""

from typing import Protocol

from msgspec import Struct

from evorelay.model.errors import Code, Refusal


class Downloaded(Struct, frozen=True, kw_only=True):
    """It is in the blob store."""

    blob: str
    size: int
    mimetype: str | None
    """As the server says."""
    filename: str | None


class DownloadRefused(Refusal):
    """There is no usable file there. The text says why, without the URL, which may hold a key."""

    def __init__(self, message: str, *, is_permanent: bool, is_too_large: bool = False) -> None:
        super().__init__(Code.TOO_LARGE if is_too_large else Code.MEDIA_UNAVAILABLE, message)
        self.is_permanent = is_permanent
        """Whether the same address will never do."""


class Downloader(Protocol):
    async def fetch(self, url: str) -> Downloaded:
        """Bounded in time and size. Raises ``DownloadRefused``, and ``JournalUnavailable`` when
        our own disk fails. Cancelling closes the connection and leaves nothing behind.
        """
