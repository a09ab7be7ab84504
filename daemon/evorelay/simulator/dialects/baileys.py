"""The Baileys channel: how Evolution words what a linked WhatsApp phone does, in every version."""

import random

from evorelay.simulator.acts import Call, Edit, Membership, Reaction, Revoke, Vote
from evorelay.simulator.cast import Chat, Group, Instance, Message
from evorelay.simulator.dialects import changes, surroundings
from evorelay.simulator.dialects.envelope import Data, Webhook
from evorelay.simulator.dialects.kinds import KINDS
from evorelay.simulator.dialects.rows import history_row, send_row, upsert_row
from evorelay.simulator.dialects.traits import Traits


class Baileys:
    """Where versions differ, ``traits`` says how; this only puts the parts together."""

    integration = "WHATSAPP-BAILEYS"
    links_a_phone = True
    journey: tuple[str, ...] = ("SERVER_ACK", "DELIVERY_ACK", "READ")
    failure = "ERROR"
    quotes = True
    mistakes_chats = False

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.version = traits.version
        self.links_people = traits.links_people
        self.takes = frozenset(KINDS) | {"reaction"}
        self.kinds = frozenset(KINDS) - ({"transcribed voice"} if traits.is_v1 else set())

    def new_id(self, rng: random.Random, chat: Chat, *, through_api: bool) -> str:
        if through_api and self.traits.is_v1:
            return f"3EB0{rng.getrandbits(144):036X}"
        if through_api:
            return f"3EB0{rng.getrandbits(72):018X}"
        return rng.choice((f"3A{rng.getrandbits(72):018X}", f"{rng.getrandbits(128):032X}"))

    def upsert(self, instance: Instance, message: Message) -> Data:
        return upsert_row(self.traits, instance, message)

    def send(self, instance: Instance, message: Message) -> Data:
        return send_row(self.traits, instance, message)

    def react(self, instance: Instance, act: Reaction) -> Data:
        [webhook] = changes.reaction(self.traits, instance, act)
        sent: Data = webhook.data
        return sent

    def as_answer(self, sent: Data) -> Data:
        if not self.traits.is_v1:
            return sent
        return {
            "key": sent["key"],
            "message": sent["message"],
            "messageTimestamp": str(sent["messageTimestamp"]["low"]),
            "status": "PENDING",
        }

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        return changes.update(self.traits, instance, message, status, at_ms)

    def reaction(self, instance: Instance, act: Reaction) -> list[Webhook]:
        return changes.reaction(self.traits, instance, act)

    def edit(self, instance: Instance, act: Edit) -> list[Webhook]:
        return changes.edit(self.traits, instance, act)

    def revoke(self, instance: Instance, act: Revoke) -> list[Webhook]:
        return changes.revoke(self.traits, instance, act)

    def vote(self, instance: Instance, act: Vote) -> list[Webhook]:
        return changes.vote(self.traits, instance, act)

    def call(self, instance: Instance, act: Call, status: str, at_ms: int) -> list[Webhook]:
        return [surroundings.call(act, status, at_ms)]

    def history(self, instance: Instance, messages: list[Message]) -> list[Webhook]:
        traits = self.traits
        rows = [
            history_row(traits, instance, message, "DELIVERY_ACK" if message.author else "READ")
            for message in messages
        ]
        jids = dict.fromkeys(message.chat.jid for message in messages)
        chats = [surroundings.chat(traits, instance, jid) for jid in jids]
        front = {"isLatest": True, "progress": 100} if traits.history_progress else None
        webhooks = [Webhook("chats.set", chats), Webhook("messages.set", rows, front)]
        if traits.history_end:
            done = {"messageCount": len(rows), "chatCount": len(chats)}
            done |= {"contactCount": len(chats), "progress": 100}
            webhooks.append(Webhook("messaging-history.set", done))
        return webhooks

    def beside(self, instance: Instance, message: Message, *, first: bool) -> list[Webhook]:
        return surroundings.beside_message(self.traits, instance, message, first=first)

    def composing(self, message: Message) -> list[Webhook]:
        return [surroundings.presence(self.traits, message, "composing")]

    def group(self, group: Group) -> list[Webhook]:
        return [surroundings.group_snapshot(self.traits, group)]

    def membership(self, act: Membership) -> list[Webhook]:
        return [surroundings.group_change(self.traits, act)]

    def noise(self, instance: Instance) -> list[Webhook]:
        return [
            *surroundings.protocol_noise(self.traits, instance),
            *surroundings.label(instance, instance.people[0].jid),
            surroundings.address_book(self.traits, instance),
        ]

    def post(self, instance: Instance, message: Message, to: str) -> list[Webhook]:
        row = self.upsert(instance, message)
        author = message.author.jid if message.author else instance.jid
        ends = {"fromMe": message.author is None, "id": message.id, "participant": author}
        row["key"] = {"remoteJid": to} | ends
        return [Webhook("messages.upsert", row)]

    def key_exchange(self, instance: Instance, message: Message) -> list[Webhook]:
        keys = {"senderKeyDistributionMessage": {"groupId": message.chat.jid}}
        row = upsert_row(self.traits, instance, message, keys)
        if self.traits.is_v1:
            del row["messageType"]
        else:
            row["messageType"] = "unknown"
        return [Webhook("messages.upsert", row)]

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        return surroundings.connection(self.traits, instance, state, reason)

    def qr_code(self, instance: Instance, number: int) -> list[Webhook]:
        return [surroundings.qr_code(instance, number)]

    def logged_out(self, instance: Instance, at_ms: int) -> list[Webhook]:
        return surroundings.logged_out(self.traits, instance, at_ms)
