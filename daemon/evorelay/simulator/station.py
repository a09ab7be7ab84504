"""One simulated instance as it stands now: its connection and where its webhooks go."""

from typing import Any, Literal

import trio
from msgspec.structs import replace

from evorelay.simulator.cast import Address, Chat, Instance, Message, Person
from evorelay.simulator.dialects import DIALECTS, Dialect, Webhook, envelope
from evorelay.simulator.emission import Emission, MessageRef
from evorelay.simulator.media import FilesIn

State = Literal["open", "connecting", "close"]
Condition = Literal["well", "not loaded", "stale"]
"""``not loaded``: Evolution has the row and not the instance; ``stale``: it says ``open`` and
nothing goes out or comes in."""


class Station:
    """Mutable: the scenario opens and closes the connection, ``webhook/set`` moves the webhook."""

    def __init__(self, instance: Instance, webhook_url: str | None) -> None:
        """``webhook_url``: None until somebody sets one."""
        self.instance = instance
        self.dialect: Dialect = DIALECTS[instance.dialect]
        self.state: State = "connecting" if self.dialect.links_a_phone else "open"
        self.condition: Condition = "well"
        self.was_open = False
        self.is_paired = True
        self.qr_codes = 0
        self.webhook_url = webhook_url or ""
        self.webhook_was_set = webhook_url is not None
        self.webhook_enabled = True
        self.webhook_by_events = False
        self.webhook_base64 = True
        self.webhook_headers: dict[str, str] | None = None
        self.webhook_events: tuple[str, ...] = ()
        """As ``webhook/set`` gave them (``MESSAGES_UPSERT``); none means all."""
        self.files_in: FilesIn = "base64"
        self.media_url = ""
        """Where its files are served, once something serves them."""
        self.silent_until = 0.0
        """Trio time until which its webhooks are dropped."""

    @property
    def is_silent(self) -> bool:
        """What happens is in the database, and nobody is told."""
        return self.condition == "stale" or trio.current_time() < self.silent_until

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
        if unwanted or not self.webhook_enabled or not self.webhook_url:
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
            self._with_file_elsewhere(webhook),
            at_ms=start_ms + round(due_s * 1000),
            destination=self.webhook_url,
            linked=self.dialect.links_a_phone and self.was_open,
        )
        made = Emission(
            due_s=due_s,
            instance=instance.name,
            version=self.dialect.version,
            event=webhook.event,
            body=body,
            message=ref,
            status=status,
        )
        has_file = message is not None and status is None and message.media is not None
        return replace(made, media=message.media) if message and has_file else made

    def _with_file_elsewhere(self, webhook: Webhook) -> Webhook:
        """The Cloud API's files are always in the webhook (research/evolution-live.md)."""
        data = webhook.data
        wanted = self.files_in if self.webhook_base64 else "nowhere"
        if wanted == "base64" or not self.dialect.links_a_phone or not isinstance(data, dict):
            return webhook
        content = data.get("message")
        if not isinstance(content, dict) or "base64" not in content:
            return webhook
        bare: dict[str, Any] = {name: part for name, part in content.items() if name != "base64"}
        if wanted == "url":
            bare["mediaUrl"] = f"{self.media_url}/{self.instance.id}/{data['key']['id']}"
        return webhook._replace(data=data | {"message": bare})
