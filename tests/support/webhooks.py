"""Webhooks as Evolution 2.3 posts them, with the secrets it puts into every body."""

import json
import time
from typing import Any

from tests.support.daemon import WEBHOOK_SECRET

API_KEY = "APIKEY-OF-THE-INSTANCE-0123456789ABCDEF"
"""Evolution sends the instance's key in every body; it must be written nowhere (P7)."""
INSTANCE = "loja-centro"
PATH = f"/hook/{WEBHOOK_SECRET}"


def text_message(
    whatsapp_id: str,
    text: str,
    *,
    phone: str = "5531988887777",
    instance: str = INSTANCE,
    sent_at: int | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """``messages.upsert`` of a customer's text; ``sent_at`` is in Unix seconds."""
    jid = f"{phone}@s.whatsapp.net"
    return {
        "event": "messages.upsert",
        "instance": instance,
        "data": {
            "key": {"remoteJid": jid, "fromMe": False, "id": whatsapp_id},
            "pushName": f"Cliente {phone[-4:]}",
            "status": "DELIVERY_ACK",
            "message": {"conversation": text},
            "messageType": "conversation",
            "messageTimestamp": int(time.time()) if sent_at is None else sent_at,
            "instanceId": "7a1c2f5e-0000-4000-8000-00000000beef",
            "source": "android",
        },
        "destination": f"https://relay.example{PATH}",
        "date_time": "2026-11-22T08:13:20.123Z",
        "sender": "5511900001234@s.whatsapp.net",
        "server_url": "https://evolution.example",
        "apikey": API_KEY,
        **extra,
    }


def as_body(webhook: dict[str, Any]) -> bytes:
    return json.dumps(webhook, ensure_ascii=False).encode()
