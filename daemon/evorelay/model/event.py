"""A committed event as a channel has it."""

from msgspec import Struct


class ChannelEvent(Struct, frozen=True, gc=False):
    offset: int
    data: bytes
    """The event's JSON, as committed."""
