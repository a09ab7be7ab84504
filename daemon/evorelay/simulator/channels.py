"""How Evolution 2.3.6 words its channels without a linked phone: Meta's Cloud API and its own."""

import base64
import random
from typing import Any
from uuid import UUID

from evorelay.simulator.cast import Instance, Message

Data = dict[str, Any]


class Business:
    """WHATSAPP-BUSINESS: ``wamid`` ids, Meta's media fields, Meta's words for statuses."""

    version = "2.3.6"
    integration = "WHATSAPP-BUSINESS"
    links_a_phone = False
    journey: tuple[str, ...] = ("SENT", "DELIVERED", "READ")

    def new_id(self, rng: random.Random, *, through_api: bool) -> str:
        secret = rng.getrandbits(160).to_bytes(20, "big").hex().upper().encode()
        return "wamid." + base64.b64encode(b"HBg" + secret).decode()

    def upsert(self, instance: Instance, message: Message) -> Data:
        data: Data = {
            "key": {
                "id": message.id,
                "remoteJid": message.chat.jid,
                "fromMe": message.author is None,
            },
            "pushName": message.author.name if message.author else instance.profile,
            "message": self.content(message),
        }
        if message.quotes:
            data["contextInfo"] = {"stanzaId": message.quotes.id}
        return data | {
            "messageType": _message_type(message),
            "messageTimestamp": message.sent_ms // 1000,
            "source": "unknown",
            "instanceId": instance.id,
        }

    def send(self, instance: Instance, message: Message) -> Data:
        return {
            "key": {"fromMe": True, "id": message.id, "remoteJid": message.chat.jid},
            "message": self.content(message),
            "messageType": _message_type(message),
            "messageTimestamp": message.sent_ms // 1000,
            "instanceId": instance.id,
            "status": "PENDING",
            "source": "unknown",
        }

    def rest_answer(self, instance: Instance, message: Message) -> Data:
        return self.send(instance, message)

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        return {
            "messageId": message.row_id,
            "keyId": message.id,
            "remoteJid": message.chat.jid,
            "fromMe": False,  # as measured, although the message is ours
            "participant": message.chat.jid,
            "status": status,
            "instanceId": instance.id,
        }

    def noise(self, instance: Instance, message: Message, *, first: bool) -> list[tuple[str, Any]]:
        if message.author is None:
            return []
        # As measured: nothing in it says whose name this is.
        contact = {"pushName": message.author.name, "instanceId": instance.id}
        return [("contacts.upsert", contact)]

    def composing(self, message: Message) -> tuple[str, Any] | None:
        return None

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        return {"instance": instance.name, "state": state, "statusReason": reason}

    def content(self, message: Message) -> Data:
        media = message.media
        if media is None:
            content: Data = {"conversation": message.text}
        else:
            inner: Data = {
                "id": str(700_000_000_000_000 + len(media.content)),
                "sha256": base64.b64encode(media.content[:32]).decode(),
                "mime_type": media.mimetype,
            }
            if media.kind == "audio":
                inner |= {"voice": True, "ptt": True}
            if media.filename:
                inner["filename"] = media.filename
            if message.text:
                inner["caption"] = message.text
            content = {
                f"{media.kind}Message": inner,
                "base64": base64.b64encode(media.content).decode(),
            }
        if message.quotes:
            content["contextInfo"] = {"stanzaId": message.quotes.id}
        return content


class EvolutionChannel(Business):
    """EVOLUTION, the channel other systems feed: what they post, and no statuses at all."""

    integration = "EVOLUTION"
    journey: tuple[str, ...] = ()

    def new_id(self, rng: random.Random, *, through_api: bool) -> str:
        return str(UUID(int=rng.getrandbits(128), version=4))

    def send(self, instance: Instance, message: Message) -> Data:
        data = super().send(instance, message)
        del data["status"]
        data["key"]["remoteJid"] = message.chat.jid.partition("@")[0]  # as posted, as measured
        return data

    def noise(self, instance: Instance, message: Message, *, first: bool) -> list[tuple[str, Any]]:
        chat = {"remoteJid": message.chat.jid, "instanceId": instance.id}
        name = message.author.name if message.author else instance.profile
        contact = {"remoteJid": message.chat.jid, "pushName": name, "instanceId": instance.id}
        return [
            ("contacts.upsert", contact),
            ("chats.upsert" if first else "chats.update", chat),
        ]


def _message_type(message: Message) -> str:
    return f"{message.media.kind}Message" if message.media else "conversation"
