"""One simulated instance as it stands now: its connection and where its webhooks go."""

from evorelay.simulator.cast import Address, Chat, Instance, Message, Person
from evorelay.simulator.dialects import DIALECTS, Dialect, Webhook, envelope
from evorelay.simulator.emission import Emission, MessageRef


class Station:
    """Mutable: the scenario opens and closes the connection, ``webhook/set`` moves the webhook."""

    def __init__(self, instance: Instance, webhook_url: str) -> None:
        self.instance = instance
        self.dialect: Dialect = DIALECTS[instance.dialect]
        self.state = "connecting" if self.dialect.links_a_phone else "open"
        self.was_open = False
        self.webhook_url = webhook_url
        self.webhook_enabled = True
        self.webhook_by_events = False
        self.webhook_events: tuple[str, ...] = ()
        """As ``webhook/set`` gave them (``MESSAGES_UPSERT``); none means all."""

    def address_of(self, chat: Chat) -> Address | None:
        """How its version names a person from day to day; None: as WhatsApp does.

        Where a privacy id would stand alone the phone does, so that people look like people.
        """
        if self.dialect.links_people or not isinstance(chat, Person):
            return None
        return Address(chat.jid, None)

    def url_for(self, event: str) -> str | None:
        """Where a webhook of this event goes now; None when nobody has asked for it."""
        name = event.replace(".", "_").replace("-", "_").upper()
        unwanted = self.webhook_events and name not in self.webhook_events
        if unwanted or not self.webhook_enabled:
            return None
        if self.webhook_by_events:
            return f"{self.webhook_url}/{name.replace('_', '-').lower()}"
        return self.webhook_url

    def emission(
        self,
        webhook: Webhook,
        *,
        due_s: float,
        start_ms: int,
        message: Message | None = None,
        status: str | None = None,
    ) -> Emission:
        instance = self.instance
        ref = MessageRef(instance.name, message.id, message.row_id) if message else None
        body = envelope(
            instance,
            webhook,
            at_ms=start_ms + round(due_s * 1000),
            destination=self.webhook_url,
            linked=self.dialect.links_a_phone and self.was_open,
        )
        return Emission(
            due_s=due_s,
            instance=instance.name,
            version=self.dialect.version,
            event=webhook.event,
            body=body,
            message=ref,
            status=status,
        )
