"""What a webhook's envelope says about everything in it."""

from msgspec import Struct


class Source(Struct, frozen=True, gc=False, kw_only=True):
    event: str
    """As ``webhook.py`` spells it: every separator a dot."""
    instance: str
    received_at: int
    """Unix ms."""
    own_phone: str | None
    """The instance's own number; None before it was connected, and always on the Cloud API."""
    store_status_posts: bool = False

    @property
    def is_history(self) -> bool:
        """Whether its messages are imported, not new."""
        return self.event in ("messages.set", "messaging.history.set")
