"""A committed event as a channel has it."""

from msgspec import Struct


class ChannelEvent(Struct, frozen=True, gc=False):
    offset: int
    data: bytes
    """The event's JSON, as committed."""


PAGE_BYTES_MAX = 4 * 1024 * 1024
"""Events in one ``ChannelPage``: as many as fit, at least one."""
