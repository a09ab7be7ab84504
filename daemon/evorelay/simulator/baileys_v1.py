"""How Evolution 1.8.2 words what a linked WhatsApp phone (Baileys) does."""

import random
from typing import Any

from evorelay.simulator.baileys import Baileys223
from evorelay.simulator.cast import Instance, Message

Data = dict[str, Any]


class Baileys182(Baileys223):
    """``owner`` in place of ``instanceId``, no status, raw ``extendedTextMessage``."""

    version = "1.8.2"

    def new_id(self, rng: random.Random, *, through_api: bool) -> str:
        if through_api:
            return f"3EB0{rng.getrandbits(144):036X}"
        return super().new_id(rng, through_api=False)

    def upsert(self, instance: Instance, message: Message) -> Data:
        return _owned(super().upsert(instance, message), instance)

    def send(self, instance: Instance, message: Message) -> Data:
        data = _owned(super().send(instance, message), instance)
        seconds = data["messageTimestamp"]
        # The one place where 1.8.2 forwards a Long as it is.
        data["messageTimestamp"] = {"low": seconds, "high": 0, "unsigned": True}
        return data

    def rest_answer(self, instance: Instance, message: Message) -> Data:
        data = super().send(instance, message)
        return {
            "key": data["key"],
            "message": data["message"],
            "messageTimestamp": str(data["messageTimestamp"]),
            "status": "PENDING",
        }

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        return {
            "remoteJid": message.chat.jid,
            "fromMe": True,
            "id": message.id,
            "status": status,
            "datetime": at_ms,
            "owner": instance.name,
        }

    def noise(self, instance: Instance, message: Message, *, first: bool) -> list[tuple[str, Any]]:
        contact = {
            "id": message.chat.jid,
            "pushName": message.author.name if message.author else "",
            "profilePictureUrl": None,
            "owner": instance.name,
        }
        chat = [{"id": message.chat.jid, "owner": instance.name}]
        if first:
            return [("contacts.upsert", contact), ("chats.upsert", chat)]
        return [("contacts.update", contact)]

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        return {"instance": instance.name, "state": state, "statusReason": reason}

    def message_type(self, message: Message) -> str:
        if message.media is None and (message.through_api or message.quotes):
            return "extendedTextMessage"
        return super().message_type(message)

    def text_content(self, message: Message) -> Data:
        if self.message_type(message) == "conversation":
            return {"conversation": message.text}
        return {"extendedTextMessage": {"text": message.text}}


def _owned(data: Data, instance: Instance) -> Data:
    del data["instanceId"], data["status"]
    source = data.pop("source")
    return data | {"owner": instance.name, "source": source}
