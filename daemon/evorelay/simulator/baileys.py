"""How Evolution 2.x words what a linked WhatsApp phone (Baileys) does.

The versions differ in how protobuf values become JSON: base64 strings and decimal strings up to
2.2, ``{"0":1,...}`` and ``{"low","high","unsigned"}`` in 2.3.6; and in what they say of a person.
"""

import base64
import hashlib
import random
from typing import Any

from evorelay.simulator.cast import Group, Instance, Message

Data = dict[str, Any]


class Baileys223:
    """2.2.3: the row-like v2 shape over the old value forms; privacy ids are not known to it."""

    version = "2.2.3"
    integration = "WHATSAPP-BAILEYS"
    links_a_phone = True
    journey: tuple[str, ...] = ("SERVER_ACK", "DELIVERY_ACK", "READ")
    sent_name = ""

    def new_id(self, rng: random.Random, *, through_api: bool) -> str:
        if through_api:
            return f"3EB0{rng.getrandbits(72):018X}"
        return rng.choice((f"3A{rng.getrandbits(72):018X}", f"{rng.getrandbits(128):032X}"))

    def upsert(self, instance: Instance, message: Message) -> Data:
        data = self.row(instance, message, "DELIVERY_ACK" if message.author else "SERVER_ACK")
        data["message"]["messageContextInfo"] = self.context_of_devices()
        return data

    def send(self, instance: Instance, message: Message) -> Data:
        return self.row(instance, message, "PENDING")

    def rest_answer(self, instance: Instance, message: Message) -> Data:
        return self.send(instance, message)

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        chat = self.shown_jid(message)
        return {
            "messageId": message.row_id,
            "keyId": message.id,
            "remoteJid": chat,
            "fromMe": True,
            "participant": chat,
            "status": status,
            "instanceId": instance.id,
        }

    def noise(self, instance: Instance, message: Message, *, first: bool) -> list[tuple[str, Any]]:
        jid = message.chat.jid
        name = message.author.name if message.author else ""
        contact = {
            "remoteJid": jid,
            "pushName": name,
            "profilePicUrl": None,
            "instanceId": instance.id,
        }
        chat = [{"remoteJid": jid, "instanceId": instance.id}]
        if first:
            rows = [{**chat[0], "name": name, "unreadMessages": 1}]
            return [("contacts.upsert", contact), ("chats.upsert", rows)]
        return [("contacts.update", contact), ("chats.update", chat)]

    def composing(self, message: Message) -> tuple[str, Any] | None:
        jid = self.shown_jid(message)
        presence = {"lastKnownPresence": "composing"}
        return "presence.update", {"id": jid, "presences": {jid: presence}}

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        data: Data = {"instance": instance.name}
        if state == "open":
            data |= {
                "wuid": instance.jid,
                "profileName": instance.profile,
                "profilePictureUrl": None,
            }
        return data | {"state": state, "statusReason": reason}

    def row(self, instance: Instance, message: Message, status: str) -> Data:
        data: Data = {
            "key": self.key(instance, message),
            "pushName": message.author.name if message.author else self.sent_name,
            "status": status,
            "message": self.content(message, with_base64=True),
        }
        context = self.context(instance, message)
        if context is not None or message.media:
            data["contextInfo"] = context  # null with media that quotes nothing, as captured
        return data | {
            "messageType": self.message_type(message),
            "messageTimestamp": message.sent_ms // 1000,
            "instanceId": instance.id,
            "source": _source(message.id),
        }

    def key(self, instance: Instance, message: Message) -> Data:
        key: Data = {
            "remoteJid": message.chat.jid,
            "fromMe": message.author is None,
            "id": message.id,
        }
        if isinstance(message.chat, Group) and message.author:
            key["participant"] = message.author.jid
        return key

    def shown_jid(self, message: Message) -> str:
        """How this version names the chat of what WhatsApp itself reports."""
        return message.chat.jid

    def message_type(self, message: Message) -> str:
        return f"{message.media.kind}Message" if message.media else "conversation"

    def text_content(self, message: Message) -> Data:
        return {"conversation": message.text}

    def content(self, message: Message, *, with_base64: bool) -> Data:
        media = message.media
        if media is None:
            return self.text_content(message)
        digest = hashlib.sha256(media.content).digest()
        inner: Data = {
            "url": "https://mmg.whatsapp.net/v/t62/simulated.enc?ccb=11-4",
            "mimetype": media.mimetype,
            "fileSha256": self.octets(digest),
            "fileLength": self.long(len(media.content)),
            "mediaKey": self.octets(digest[::-1]),
            "directPath": "/v/t62/simulated.enc?ccb=11-4",
            "mediaKeyTimestamp": self.long(message.sent_ms // 1000),
        }
        if media.kind == "image":
            inner |= {"height": media.height, "width": media.width}
        if media.kind == "audio":
            inner |= {"seconds": media.seconds, "ptt": True}
        if media.kind == "document":
            inner |= {"title": media.filename, "fileName": media.filename, "pageCount": 1}
        if message.text:
            inner["caption"] = message.text
        content: Data = {f"{media.kind}Message": inner}
        if with_base64:
            content["base64"] = base64.b64encode(media.content).decode()
        return content

    def context(self, instance: Instance, message: Message) -> Data | None:
        """What is quoted, in the form that stands in ``contextInfo``."""
        quoted = message.quotes
        if quoted is None:
            return None
        return {
            "stanzaId": quoted.id,
            "participant": quoted.author.jid if quoted.author else instance.jid,
            "quotedMessage": self.content(quoted, with_base64=False),
        }

    def context_of_devices(self) -> Data:
        return {
            "deviceListMetadata": {
                "senderKeyHash": self.octets(bytes(range(10))),
                "senderTimestamp": self.long(1_795_300_000),
                "recipientKeyHash": self.octets(bytes(range(10))),
                "recipientTimestamp": self.long(1_795_300_000),
            },
            "deviceListMetadataVersion": 2,
        }

    def octets(self, value: bytes) -> Any:
        return base64.b64encode(value).decode()

    def long(self, value: int) -> Any:
        return str(value)


class Baileys236(Baileys223):
    """2.3.6: privacy ids with the phone beside them, JavaScript's own forms of bytes and longs."""

    version = "2.3.6"
    sent_name = "Você"

    def key(self, instance: Instance, message: Message) -> Data:
        key: Data = {
            "remoteJid": message.chat.jid if message.through_api else self.shown_jid(message),
            "fromMe": message.author is None,
            "id": message.id,
        }
        chat = message.chat
        if isinstance(chat, Group):
            if message.author:
                key["participant"] = message.author.lid
                key["participantAlt"] = message.author.jid
            key["addressingMode"] = "lid"
        elif chat.hides_phone and not message.through_api:
            # Taken from the sender: for what we typed ourselves it is our own number (rc.6).
            key["remoteJidAlt"] = chat.jid if message.author else instance.jid
            key["addressingMode"] = "lid"
            key["participant"] = ""
        return key

    def shown_jid(self, message: Message) -> str:
        chat = message.chat
        return chat.lid if not isinstance(chat, Group) and chat.hides_phone else chat.jid

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        return {
            "keyId": message.id,
            "remoteJid": self.shown_jid(message),
            "fromMe": True,
            "status": status,
            "instanceId": instance.id,
            "messageId": message.row_id,
        }

    def octets(self, value: bytes) -> Any:
        return {str(index): byte for index, byte in enumerate(value)}

    def long(self, value: int) -> Any:
        return {"low": value, "high": 0, "unsigned": True}


def _source(message_id: str) -> str:
    """Evolution guesses the device from the id's pattern (research/evolution.md §3.1)."""
    if len(message_id) == 20 and message_id.startswith("3A"):
        return "ios"
    if len(message_id) == 32:
        return "android"
    return "web" if len(message_id) == 22 else "unknown"
