"""A committed event as a channel has it."""

from msgspec import Struct

Places = tuple[tuple[str, int], ...]
"""(channel, offset) pairs: everywhere one event is told."""
ENDLESS = 1 << 63
"""Beyond any event's id."""


class ChannelEvent(Struct, frozen=True, gc=False):
    offset: int
    data: bytes
    """The event's JSON, as committed."""
    id: int = 0
    """Its place among all events of the store, in the order of their commits."""
    places: Places = ()
    origin: str | None = None
    """The client session whose command it is; that one need not be told."""
