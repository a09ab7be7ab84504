"""Evolution as the engine knows it; ``edge/evolution`` is the one that speaks HTTP."""

from collections.abc import Sequence
from typing import Protocol

from evorelay.model.outcome import (
    Accepted,
    FetchedMedia,
    FoundPage,
    MessageWindow,
    Pairing,
    Registration,
)
from evorelay.model.outgoing import Delivery, Outgoing


class Gateway(Protocol):
    """Every call is bounded in time and size, and raises ``GatewayFault``.

    Cancelling closes the connection the call is on: a send that is cancelled is in doubt.
    """

    def is_configured(self, instance: str) -> bool:
        """Whether there is an address and a key for this instance."""

    def host(self, instance: str) -> str | None:
        """``host:port`` of its Evolution. Instances with the same one go down together."""

    def instances(self) -> Sequence[str]:
        """Instances that the configuration names."""

    async def send(self, instance: str, delivery: Delivery) -> Accepted:
        """Returns when Evolution answers, ``delivery.outgoing.delay_ms`` included."""

    def patience_s(self, instance: str, outgoing: Outgoing) -> float:
        """How long one call that sends this may take at most, in seconds."""

    async def find_messages(
        self, instance: str, window: MessageWindow, *, page: int, page_size: int
    ) -> FoundPage:
        """``page`` counts from 1. Filters Evolution does not know are not applied by us either."""

    async def statuses(self, instance: str, whatsapp_id: str) -> list[str]:
        """What happened to a message, in our words (protocol/delivery.py), any order."""

    async def connection_state(self, instance: str) -> str | None:
        """``open``, ``connecting``, ``close``; None when Evolution has not loaded it."""

    async def probe(self, instance: str) -> None:
        """Have WhatsApp itself asked something that Evolution cannot answer alone.

        Returns when it answered. ``INSTANCE_DOWN``, or one of the codes ``timeout``,
        ``whatsapp_timeout`` and ``connection_closed``: it did not. Any other fault says nothing,
        the Cloud API cannot be asked this way.
        """

    async def connect(self, instance: str) -> Pairing:
        """Ask it to connect: a code comes back unless it is paired already."""

    async def restart(self, instance: str) -> None:
        """Have Evolution make its WhatsApp socket anew."""

    async def media(self, instance: str, whatsapp_id: str) -> FetchedMedia:
        """The file of a message Evolution still has, into the blob store."""

    async def registration(self, instance: str) -> Registration | None:
        """None when no webhook was ever set."""

    async def register(self, instance: str, registration: Registration) -> None: ...
