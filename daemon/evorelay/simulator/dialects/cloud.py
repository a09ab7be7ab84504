"""The channels without a linked phone: Meta's Cloud API, and the one other systems feed.

WHATSAPP-BUSINESS as measured on 1.8.2 and 2.3.6, EVOLUTION on 2.3.6 (research/evolution-live.md).
What they cannot do is an empty list of webhooks.
"""

import base64
import random
from typing import Any
from uuid import UUID

from evorelay.simulator.acts import Call, Edit, Membership, Reaction, Revoke, Vote
from evorelay.simulator.cast import Chat, Group, Instance, Message
from evorelay.simulator.dialects import cloud_parts as meta
from evorelay.simulator.dialects.envelope import Data, Webhook
from evorelay.simulator.dialects.kinds import KINDS
from evorelay.simulator.dialects.protobuf import Form, as_json
from evorelay.simulator.dialects.rows import name_of


class Business:
    """WHATSAPP-BUSINESS: ``wamid`` ids, Meta's media fields, Meta's words for statuses."""

    integration = "WHATSAPP-BUSINESS"
    links_a_phone = False
    links_people = False
    journey: tuple[str, ...] = ("SENT", "DELIVERED", "READ")
    failure = "FAILED"
    mistakes_chats = False
    quotes = True
    kinds = frozenset(name for name, kind in KINDS.items() if kind.cloud)
    takes = (kinds | {"reaction"}) - {"sticker"}

    def __init__(self, version: str) -> None:
        self.version = version
        self._is_v1 = version == "1.8.2"
        self.mistakes_chats = version == "2.3.6"
        if self._is_v1:  # it fails on these and tells nobody
            self.kinds = self.kinds - {"sticker", "location", "template reply"}
            self.journey = ("SENT", "DELIVERED")

    def new_id(self, rng: random.Random, chat: Chat, *, through_api: bool) -> str:
        """It holds the customer's number, as seen in Meta's ids."""
        number = chat.jid.partition("@")[0].encode()
        secret = rng.getrandbits(80).to_bytes(10, "big").hex().upper().encode()
        direction = b"\x15\x02\x00\x11\x18\x14" if through_api else b"\x15\x02\x00\x12\x18\x14"
        octets = b"\x1c\x18" + bytes((len(number),)) + number + direction + secret + b"\x00"
        return "wamid." + base64.b64encode(octets).decode()

    def upsert(self, instance: Instance, message: Message) -> Data:
        data: Data = {
            "key": {
                "id": message.id,
                "remoteJid": (message.mistaken_for or message.chat).jid,
                "fromMe": message.author is None,
            },
            "pushName": message.author.name if message.author else instance.profile,
            "message": self._content(message),
        }
        if message.quotes and self.quotes and not self._is_v1:
            data["contextInfo"] = {"stanzaId": message.quotes.id}
        return data | self._end(instance, message, received=True)

    def send(self, instance: Instance, message: Message) -> Data:
        data: Data = {
            "key": {"fromMe": True, "id": message.id, "remoteJid": message.chat.jid},
            "message": self._sent_content(message),
        }
        return data | self._end(instance, message, received=False)

    def react(self, instance: Instance, act: Reaction) -> Data:
        """How one is taken back is not known; as Meta has it, the emoji is empty."""
        target = {
            "remoteJid": act.target.chat.jid,
            "fromMe": act.target.author is None,
            "id": act.target.id,
        }
        data = self.send(instance, _carrier(act))
        data["message"] = {"reactionMessage": {"key": target, "text": act.emoji}}
        return data

    def as_answer(self, sent: Data) -> Data:
        return sent

    def status(self, instance: Instance, message: Message, status: str, at_ms: int) -> Data:
        said = {
            "remoteJid": message.chat.jid,
            "fromMe": False,  # as measured, although the message is ours
        }
        if self._is_v1:
            end = {"status": status, "datetime": at_ms, "owner": instance.name}
            return {"id": message.id, **said, **end}
        return {
            "messageId": message.row_id,
            "keyId": message.id,
            **said,
            "participant": message.chat.jid,
            "status": status,
            "instanceId": instance.id,
        }

    def reaction(self, instance: Instance, act: Reaction) -> list[Webhook]:
        """Taking one back is left out: how Evolution words that is not known."""
        if not act.emoji or (act.author is None and not act.through_api):
            return []
        if act.author is None:
            return [Webhook("send.message", self.react(instance, act))]
        data = self.upsert(instance, _carrier(act))
        data["message"] = {"reactionMessage": {"key": {"id": act.target.id}, "text": act.emoji}}
        data["messageType"] = "reactionMessage"
        return [Webhook("messages.upsert", data)]

    def edit(self, instance: Instance, act: Edit) -> list[Webhook]:
        return []

    def revoke(self, instance: Instance, act: Revoke) -> list[Webhook]:
        return []

    def vote(self, instance: Instance, act: Vote) -> list[Webhook]:
        return []

    def call(self, instance: Instance, act: Call, status: str, at_ms: int) -> list[Webhook]:
        return []

    def history(self, instance: Instance, messages: list[Message]) -> list[Webhook]:
        return []

    def beside(self, instance: Instance, message: Message, *, first: bool) -> list[Webhook]:
        if message.author is None:
            return []
        # As measured: nothing in it says whose name this is.
        return [Webhook("contacts.upsert", {"pushName": message.author.name, **self._of(instance)})]

    def composing(self, message: Message) -> list[Webhook]:
        return []

    def group(self, group: Group) -> list[Webhook]:
        return []

    def membership(self, act: Membership) -> list[Webhook]:
        return []

    def noise(self, instance: Instance) -> list[Webhook]:
        return []

    def post(self, instance: Instance, message: Message, to: str) -> list[Webhook]:
        return []

    def key_exchange(self, instance: Instance, message: Message) -> list[Webhook]:
        return []

    def connection(self, instance: Instance, state: str, reason: int) -> Data:
        return {"instance": instance.name, "state": state, "statusReason": reason}

    def qr_code(self, instance: Instance, number: int) -> list[Webhook]:
        return []

    def logged_out(self, instance: Instance, at_ms: int) -> list[Webhook]:
        return []

    def _sent_content(self, message: Message) -> Data:
        if message.kind == "contact":
            content = meta.sent_contact(message)
        elif message.media is not None:
            content = meta.sent_file(message)
        else:
            return self._content(message)
        if message.quotes:
            content["contextInfo"] = {"stanzaId": message.quotes.id}
        return content

    def _content(self, message: Message) -> Data:
        build = KINDS[message.kind].cloud
        assert build is not None
        content = build(message)
        if message.quotes:
            content["contextInfo"] = {"stanzaId": message.quotes.id}
        return content

    def _type(self, message: Message, content: Data) -> str:
        kind = KINDS[message.kind]
        if self._is_v1:
            return "conversation" if kind.media is None else name_of(content)
        return kind.cloud_type or name_of(content)

    def _of(self, instance: Instance) -> Data:
        return {"owner": instance.name} if self._is_v1 else {"instanceId": instance.id}

    def _end(self, instance: Instance, message: Message, *, received: bool) -> Data:
        seconds: Any = message.sent_ms // 1000
        type_ = self._type(message, self._content(message))
        if not received and KINDS[message.kind].media is None and type_ != "locationMessage":
            type_ = "conversation"  # whatever it is
        end: Data = {"messageType": type_}
        if self._is_v1:
            return (
                end
                | {"messageTimestamp": str(seconds) if received else seconds}
                | self._of(instance)
            )
        end["messageTimestamp"] = seconds
        if received:
            return end | {"source": "unknown"} | self._of(instance)
        return end | self._of(instance) | {"status": "PENDING", "source": "unknown"}


class EvolutionChannel(Business):
    """EVOLUTION: what others post, and neither statuses nor changes."""

    integration = "EVOLUTION"
    quotes = False

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.mistakes_chats = False

    journey: tuple[str, ...] = ()
    kinds = frozenset(name for name, kind in KINDS.items() if kind.posted)
    takes = frozenset(("text", "image", "video", "voice", "document", "captioned document"))

    def new_id(self, rng: random.Random, chat: Chat, *, through_api: bool) -> str:
        return str(UUID(int=rng.getrandbits(128), version=4))

    def send(self, instance: Instance, message: Message) -> Data:
        data = super().send(instance, message)
        del data["status"]
        data["instanceId"] = data.pop("instanceId")  # the last one here
        data["key"]["remoteJid"] = message.chat.jid.partition("@")[0]  # as posted, as measured
        return data

    def reaction(self, instance: Instance, act: Reaction) -> list[Webhook]:
        return []

    def beside(self, instance: Instance, message: Message, *, first: bool) -> list[Webhook]:
        chat = {"remoteJid": message.chat.jid, "instanceId": instance.id}
        name = message.author.name if message.author else instance.profile
        contact = {"remoteJid": message.chat.jid, "pushName": name, "instanceId": instance.id}
        return [
            Webhook("contacts.upsert", contact),
            Webhook("chats.upsert" if first else "chats.update", chat),
        ]

    def _sent_content(self, message: Message) -> Data:
        return self._content(message)

    def _content(self, message: Message) -> Data:
        content: Data = as_json(KINDS[message.kind].phone(message), Form.PROTOBUF)
        if message.media and message.media.content:
            content["base64"] = base64.b64encode(message.media.content).decode()
        return content

    def _type(self, message: Message, content: Data) -> str:
        return name_of(content)


def _carrier(act: Reaction) -> Message:
    """The message that carries a reaction."""
    return Message(
        id=act.id,
        row_id="",
        chat=act.target.chat,
        author=act.author,
        sent_ms=act.at_ms,
        text="",
    )
