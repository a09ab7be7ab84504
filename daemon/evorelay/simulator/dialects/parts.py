"""Pieces of WhatsApp's messages that several kinds are made of, as protobuf has them."""

from typing import Any

from evorelay.simulator.dialects.protobuf import Long

Data = dict[str, Any]


def vcard_of(name: str, phone: str = "5511988880001") -> Data:
    lines = (
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"N:;{name};;;",
        f"FN:{name}",
        f"item1.TEL;waid={phone}:+{phone}",
        "item1.X-ABLabel:Celular",
        "END:VCARD",
    )
    return {"displayName": name, "vcard": "\n".join(lines)}


def empty_context() -> Data:
    """What WhatsApp writes into many contents although there is nothing to say."""
    return {"mentionedJid": [], "groupMentions": []}


def context_of_devices() -> Data:
    """``messageContextInfo``, which stands beside the content of most messages."""
    return {
        "deviceListMetadata": {
            "senderKeyIndexes": [],
            "recipientKeyIndexes": [],
            "senderKeyHash": bytes(range(10)),
            "senderTimestamp": Long(1_795_300_000),
            "recipientKeyHash": bytes(range(10)),
            "recipientTimestamp": Long(1_795_300_000),
        },
        "deviceListMetadataVersion": 2,
        "messageSecret": bytes(range(32)),
    }
