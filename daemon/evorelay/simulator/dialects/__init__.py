"""The shapes of webhooks, by Evolution version and channel, as captured from running ones.

A dialect turns neutral words (``cast.py``, ``acts.py``) into webhooks; it decides nothing.

baileys    a linked phone: rows, changes, surroundings, put together; ``traits`` says what a
           version does differently
kinds      the table of message kinds; their bodies in talk, files, structured, wrapped
keys       whose chat a message is in, in a version's way of telling it
cloud      the channels without a phone: Meta's Cloud API and Evolution's own
protobuf   how bytes, 64-bit numbers and enums become JSON
envelope   the frame around every webhook

Sources: research/evolution-live.md and the captures beside it for 1.8.2 and 2.3.6; for the others
published captures and Evolution's source (research/evolution.md).
"""

import random
from typing import Protocol

from evorelay.simulator.acts import Call, Edit, Membership, Reaction, Revoke, Vote
from evorelay.simulator.cast import Chat, Group, Instance, Message
from evorelay.simulator.dialects.baileys import Baileys
from evorelay.simulator.dialects.cloud import Business, EvolutionChannel
from evorelay.simulator.dialects.envelope import Data, Webhook, envelope, iso
from evorelay.simulator.dialects.kinds import KINDS, Kind
from evorelay.simulator.dialects.traits import TRAITS

__all__ = ["DIALECTS", "KINDS", "Dialect", "Kind", "Webhook", "envelope", "iso"]


class Dialect(Protocol):
    """What is said by no list of webhooks, the channel does not know."""

    version: str
    """Evolution's version: decides headers and retries."""
    integration: str
    """What ``fetchInstances`` calls the channel."""
    links_a_phone: bool
    """A Baileys session: has groups, a connection that opens and closes, and presence."""
    links_people: bool
    """A message can say that a phone and a privacy id are one person."""
    journey: tuple[str, ...]
    """The statuses a message of ours goes through, in order, as ``messages.update`` names them."""
    failure: str
    """The status of a message that could not be sent."""
    quotes: bool
    """A reply names the message that it answers."""
    mistakes_chats: bool
    """It may name another customer's chat (``Message.mistaken_for``)."""
    kinds: frozenset[str]
    """Of messages that it carries, as in ``KINDS``."""
    takes: frozenset[str]
    """What its REST API sends: keys of ``KINDS``, and ``reaction``."""

    def new_id(self, rng: random.Random, chat: Chat, *, through_api: bool) -> str:
        """An id as WhatsApp (or Meta) would make it for a message in that chat."""

    def upsert(self, instance: Instance, message: Message) -> Data:
        """``messages.upsert``: received, or typed on the phone."""

    def send(self, instance: Instance, message: Message) -> Data:
        """``send.message``: sent through the API."""

    def react(self, instance: Instance, act: Reaction) -> Data:
        """``send.message`` of a reaction through the API, taken back or not."""

    def as_answer(self, sent: Data) -> Data:
        """What a send is answered with, 201, from the data of its ``send.message``."""

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        """``messages.update``."""

    def reaction(self, instance: Instance, act: Reaction) -> list[Webhook]: ...

    def edit(self, instance: Instance, act: Edit) -> list[Webhook]: ...

    def revoke(self, instance: Instance, act: Revoke) -> list[Webhook]: ...

    def vote(self, instance: Instance, act: Vote) -> list[Webhook]: ...

    def call(self, instance: Instance, act: Call, status: str, at_ms: int) -> list[Webhook]:
        """One of several webhooks of a call: ``offer``, or how it ended."""

    def history(self, instance: Instance, messages: list[Message]) -> list[Webhook]:
        """The import of old messages after pairing, as one chunk."""

    def beside(self, instance: Instance, message: Message, *, first: bool) -> list[Webhook]:
        """What comes with a message besides itself; ``first``: of this chat."""

    def composing(self, message: Message) -> list[Webhook]:
        """``presence.update`` before a message."""

    def group(self, group: Group) -> list[Webhook]:
        """``groups.upsert`` with all members."""

    def membership(self, act: Membership) -> list[Webhook]:
        """``group-participants.update``."""

    def noise(self, instance: Instance) -> list[Webhook]:
        """Address book, labels, and what WhatsApp's devices tell each other."""

    def post(self, instance: Instance, message: Message, to: str) -> list[Webhook]:
        """The message to many at once: ``status@broadcast``, a broadcast list, a newsletter."""

    def key_exchange(self, instance: Instance, message: Message) -> list[Webhook]:
        """A group member's keys in place of the message's content."""

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        """``connection.update``."""

    def qr_code(self, instance: Instance, number: int) -> list[Webhook]:
        """``qrcode.updated``, the one of that number since it was asked to connect."""

    def logged_out(self, instance: Instance, at_ms: int) -> list[Webhook]:
        """The phone removed the instance from its linked devices."""


DIALECTS: dict[str, Dialect] = {
    "2.3.6 baileys": Baileys(TRAITS["2.3.6"]),
    "2.3.6 business": Business("2.3.6"),
    "1.8.2 baileys": Baileys(TRAITS["1.8.2"]),
    "2.2.3 baileys": Baileys(TRAITS["2.2.3"]),
    "2.3.6 evolution": EvolutionChannel("2.3.6"),
    "2.3.7 baileys": Baileys(TRAITS["2.3.7"]),
    "2.3.4 baileys": Baileys(TRAITS["2.3.4"]),
    "2.3.0 baileys": Baileys(TRAITS["2.3.0"]),
    "2.3.2 baileys": Baileys(TRAITS["2.3.2"]),
    "2.3.5 baileys": Baileys(TRAITS["2.3.5"]),
    "2.4.0 baileys": Baileys(TRAITS["2.4.0"]),
    "1.8.2 business": Business("1.8.2"),
}
"""A name is the version and the channel. Instances speak them in turn, the usual ones first."""
