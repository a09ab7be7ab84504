"""One webhook as it was received, with its secrets removed."""

from msgspec import Struct


class Envelope(Struct, frozen=True, array_like=True, gc=False, kw_only=True):
    """What the journal keeps. ``array_like``: field order is the stored format, append only.

    ``event`` is lower case with dots (``messages.upsert``), ``""`` when the body names none;
    ``instance`` is the Evolution instance's name, ``""`` when there is none.
    ``body`` is the JSON object; it is empty when ``body_blob`` names the blob that holds it
    because it was too large for memory. Long base64 strings were replaced by ``blob:<sha256>``.
    """

    received_at: int
    """Unix milliseconds."""
    event: str
    instance: str
    body: bytes
    body_blob: str | None = None
    canary: str | None = None
    """Set by ``relay/canary.py`` alone: this is its test message of that id, and no webhook."""


class Entry(Struct, frozen=True, gc=False):
    """An envelope with its place in the journal."""

    seq: int
    envelope: Envelope
    arrived: float | None = None
    """Trio's clock, finer than ``received_at``; None when it was read from disk."""
