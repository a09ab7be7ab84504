"""The shapes of webhooks, by Evolution version and channel, as captured from running ones.

A dialect turns neutral words (``cast.py``) into the ``data`` of a webhook; it decides nothing.
``envelope`` puts the common frame around it. Sources: research/evolution-live.md and the captures
beside it for 1.8.2 and 2.3.6; published captures and Evolution's source for 2.2.3.
"""

import random
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from evorelay.simulator.baileys import Baileys223, Baileys236
from evorelay.simulator.baileys_v1 import Baileys182
from evorelay.simulator.cast import Instance, Message
from evorelay.simulator.channels import Business, EvolutionChannel

Data = dict[str, Any]
Webhook = tuple[str, Any]
"""(event, data)"""


class Dialect(Protocol):
    version: str
    """Evolution's version: decides headers and retries."""
    integration: str
    """What ``fetchInstances`` calls the channel."""
    links_a_phone: bool
    """A Baileys session: has groups, a connection that opens and closes, and presence."""
    journey: tuple[str, ...]
    """The statuses a message of ours goes through, in order, as ``messages.update`` names them."""

    def new_id(self, rng: random.Random, *, through_api: bool) -> str:
        """A message id as WhatsApp (or Meta) would make it."""

    def upsert(self, instance: Instance, message: Message) -> Data:
        """``messages.upsert``: received, or typed on the phone."""

    def send(self, instance: Instance, message: Message) -> Data:
        """``send.message``: sent through the API."""

    def rest_answer(self, instance: Instance, message: Message) -> Data:
        """What ``sendText`` answers, with status 201."""

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        """``messages.update``."""

    def noise(self, instance: Instance, message: Message, *, first: bool) -> list[Webhook]:
        """What comes with a message besides itself; ``first``: of this chat."""

    def composing(self, message: Message) -> Webhook | None:
        """``presence.update`` before a message, where the channel has presence."""

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        """``connection.update``."""


DIALECTS: dict[str, Dialect] = {
    "2.3.6 baileys": Baileys236(),
    "2.3.6 business": Business(),
    "1.8.2 baileys": Baileys182(),
    "2.2.3 baileys": Baileys223(),
    "2.3.6 evolution": EvolutionChannel(),
}

LOCAL_OFFSET_MS = -3 * 3600 * 1000
"""Evolution's images run in America/Sao_Paulo and write its local time with a false ``Z``."""

SERVER_URL = "http://localhost:8080"


def envelope(
    instance: Instance, event: str, data: Any, *, at_ms: int, destination: str, linked: bool
) -> bytes:
    """The whole body, in Evolution's field order. ``linked``: the instance knows its own number.

    The body holds the instance's token as ``apikey``, as Evolution's does.
    """
    body: Data = {
        "event": event,
        "instance": instance.name,
        "data": data,
        "destination": destination,
        "date_time": iso(at_ms + LOCAL_OFFSET_MS),
    }
    if linked:
        body["sender"] = instance.jid
    body["server_url"] = SERVER_URL
    body["apikey"] = instance.token
    return msgspec.json.encode(body)


def iso(unix_ms: int) -> str:
    """JavaScript's ``toISOString``."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{unix_ms % 1000:03}Z"
