"""Webhook requests as Evolution 2.3.6 posts them: a text message of 1.4 KB, numbered and timed.

Every request carries a number (in the WhatsApp id) by which it is found again at every receiver,
and the nanosecond at which it was due (in the text), from which a receiver tells its latency.
"""

import json
import re
import time
from typing import Any

from msgspec import Struct

INSTANCE_ID = "2461e306-8408-41cf-b911-022e6127c28a"
WHATSAPP_ID = re.compile(r"3EB0(\d{16})")
DUE_NS = re.compile(r"\[(\d{19})\]")


class Audience(Struct, frozen=True):
    """Whose messages they are; numbers go round all instances first, then round their chats."""

    instances: int
    chats: int
    """People who write to each instance."""

    def instance(self, number: int) -> str:
        return f"bench-{number % self.instances:04d}"

    @property
    def names(self) -> list[str]:
        return [self.instance(number) for number in range(self.instances)]


class Requests:
    """Makes whole HTTP requests, everything but two numbers prepared beforehand."""

    def __init__(self, audience: Audience, *, host: str, secret: str) -> None:
        self._parts = [
            _parts(audience.instance(index), _phone(index), host=host, secret=secret)
            for index in range(audience.instances * audience.chats)
        ]

    def request(self, number: int, due_ns: int) -> bytes:
        """The message with this number, due at this moment (``time.monotonic_ns``)."""
        head, middle, tail = self._parts[number % len(self._parts)]
        return b"%b%016d%b%019d%b" % (head, number, middle, due_ns, tail)


def body(instance: str, phone: str, *, whatsapp_id: str, text: str) -> bytes:
    """One ``messages.upsert``, shaped like a capture of Evolution 2.3.6 with Baileys."""
    sent_at = int(time.time())
    sent = {"low": sent_at, "high": 0, "unsigned": True}
    key_hash = {str(index): (index * 37 + 11) % 256 for index in range(10)}
    document: dict[str, Any] = {
        "event": "messages.upsert",
        "instance": instance,
        "data": {
            "key": {
                "remoteJid": f"{phone}@s.whatsapp.net",
                "fromMe": False,
                "id": whatsapp_id,
                "senderLid": f"2{phone}@lid",
                "addressingMode": "pn",
                "remoteJidAlt": f"2{phone}@lid",
            },
            "pushName": "Maria Teste",
            "status": "DELIVERY_ACK",
            "message": {
                "conversation": text,
                "messageContextInfo": {
                    "deviceListMetadata": {
                        "senderKeyIndexes": [],
                        "recipientKeyIndexes": [],
                        "senderKeyHash": key_hash,
                        "senderTimestamp": sent,
                        "recipientKeyHash": key_hash,
                        "recipientTimestamp": sent,
                    },
                    "deviceListMetadataVersion": 2,
                    "messageSecret": {str(index): (index * 29) % 256 for index in range(32)},
                },
            },
            "messageType": "conversation",
            "messageTimestamp": sent_at,
            "instanceId": INSTANCE_ID,
            "source": "android",
        },
        "destination": "https://relay.example.test/hook/bench",
        "date_time": "2026-11-22T08:15:30.891Z",
        "sender": "5511900001111@s.whatsapp.net",
        "server_url": "https://evolution.example.test",
        "apikey": "0B51A3D4-0000-4000-8000-000000000000",
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _phone(chat: int) -> str:
    return f"55119{chat:08d}"


def _parts(instance: str, phone: str, *, host: str, secret: str) -> tuple[bytes, bytes, bytes]:
    number, due = "0" * 16, "9" * 19
    text = f"Olá! Quero saber do meu pedido, já saiu para entrega? 😀 [{due}]"
    payload = body(instance, phone, whatsapp_id=f"3EB0{number}", text=text)
    before, _, rest = payload.partition(f'"3EB0{number}"'.encode())
    middle, _, after = rest.partition(due.encode())
    head = (
        f"POST /hook/{secret} HTTP/1.1\r\nhost: {host}\r\n"
        "accept: application/json, text/plain, */*\r\ncontent-type: application/json\r\n"
        f"user-agent: axios/1.12.2\r\ncontent-length: {len(payload)}\r\n"
        "accept-encoding: gzip, compress, deflate, br\r\nconnection: keep-alive\r\n\r\n"
    )
    return head.encode() + before + b'"3EB0', b'"' + middle, after
