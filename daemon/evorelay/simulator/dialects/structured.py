"""Kinds of messages that are things: places, people, polls, goods, appointments."""

from typing import Any

from evorelay.simulator.cast import Card, Message, Place
from evorelay.simulator.dialects.parts import empty_context, vcard_of
from evorelay.simulator.dialects.protobuf import Choice, Long
from evorelay.simulator.media import THUMBNAIL

Data = dict[str, Any]

POLL_OPTIONS = ("Manhã", "Tarde", "Noite")


_SQUARE = Place(-23.55052, -46.633308, "Praça da Sé", "São Paulo - SP")
_CARDS = (Card("Josué Montador", "5511988880001"), Card("Ana Vidraceira", "5511988880002"))


def location(message: Message) -> Data:
    place = message.place or _SQUARE
    said = {"name": place.name, "address": place.address}
    return {
        "locationMessage": {
            "degreesLatitude": place.latitude,
            "degreesLongitude": place.longitude,
            **{name: value for name, value in said.items() if value is not None},
            **({} if message.place else {"jpegThumbnail": THUMBNAIL}),
        }
    }


def live_location(message: Message) -> Data:
    return {
        "liveLocationMessage": {
            "degreesLatitude": -23.55,
            "degreesLongitude": -46.63,
            "accuracyInMeters": 10,
            "sequenceNumber": Long(message.sent_ms, unsigned=False),
            "jpegThumbnail": THUMBNAIL,
        }
    }


def contact(message: Message) -> Data:
    if message.cards:
        card = message.cards[0]
        return {"contactMessage": vcard_of(card.name, card.phone)}
    return {"contactMessage": vcard_of(message.text or _CARDS[0].name)}


def contacts(message: Message) -> Data:
    cards = [vcard_of(card.name, card.phone) for card in message.cards or _CARDS]
    said = f"{len(cards)} contatos"
    return {"contactsArrayMessage": {"contacts": cards, "displayName": said}}


def poll(message: Message) -> Data:
    return {"pollCreationMessageV3": _poll(message)}


def old_poll(message: Message) -> Data:
    return {"pollCreationMessage": _poll(message)}


def order(message: Message) -> Data:
    return {
        "orderMessage": {
            "orderId": "1234567890",
            "thumbnail": THUMBNAIL,
            "itemCount": 2,
            "status": Choice(1, "INQUIRY"),
            "surface": Choice(1, "CATALOG"),
            "message": message.text,
            "orderTitle": "Aurora Móveis",
            "token": "simulated",
            "totalAmount1000": Long(3_480_500, unsigned=False),
            "totalCurrencyCode": "BRL",
        }
    }


def product(message: Message) -> Data:
    return {
        "productMessage": {
            "product": {
                "productId": "4711",
                "title": message.text,
                "currencyCode": "BRL",
                "priceAmount1000": Long(2_190_000, unsigned=False),
                "productImageCount": 1,
            },
            "businessOwnerJid": "551130000000@s.whatsapp.net",
        }
    }


def catalogue(message: Message) -> Data:
    return {
        "productMessage": {
            "businessOwnerJid": "551130000000@s.whatsapp.net",
            "catalog": {"title": "Aurora Móveis", "description": "Toda a coleção de inverno"},
        }
    }


def event(message: Message) -> Data:
    return {
        "eventMessage": {
            "contextInfo": empty_context(),
            "isCanceled": False,
            "name": message.text,
            "description": "Montagem na casa do cliente",
            "location": {"degreesLatitude": -23.5, "degreesLongitude": -46.6, "name": "Loja"},
            "startTime": Long(message.sent_ms // 1000 + 86_400, unsigned=False),
        }
    }


def group_invite(message: Message) -> Data:
    return {
        "groupInviteMessage": {
            "groupJid": "120363000000000777@g.us",
            "inviteCode": "simulated",
            "inviteExpiration": Long(message.sent_ms // 1000 + 259_200, unsigned=False),
            "groupName": "Clientes VIP",
            "caption": message.text,
        }
    }


def album(message: Message) -> Data:
    counts = {"expectedImageCount": 2, "expectedVideoCount": 0}
    return {"albumMessage": counts | {"contextInfo": empty_context()}}


def sticker_pack(message: Message) -> Data:
    one = {"emojis": ["😀"], "fileName": "1.webp", "isAnimated": False}
    return {
        "stickerPackMessage": {
            "stickers": [one],
            "stickerPackId": "simulated",
            "name": "Gatinhos",
            "publisher": "Aurora",
            "fileLength": Long(120_000),
        }
    }


def call_log(message: Message) -> Data:
    return {
        "callLogMesssage": {  # WhatsApp's spelling
            "isVideo": False,
            "callOutcome": Choice(1, "MISSED"),
            "durationSecs": Long(0, unsigned=False),
            "callType": Choice(0, "REGULAR"),
        }
    }


def payment_request(message: Message) -> Data:
    return {
        "requestPaymentMessage": {
            "noteMessage": {"extendedTextMessage": {"text": message.text}},
            "currencyCodeIso4217": "BRL",
            "amount1000": Long(389_900),
            "requestFrom": "551130000000@s.whatsapp.net",
        }
    }


def pin(message: Message) -> Data:
    pinned = message.quotes
    assert pinned is not None
    key = {
        "remoteJid": pinned.named.primary if pinned.named else pinned.chat.jid,
        "fromMe": pinned.author is None,
        "id": pinned.id,
    }
    moment = Long(message.sent_ms, unsigned=False)
    return {
        "pinInChatMessage": {
            "key": key,
            "type": Choice(1, "PIN_FOR_ALL"),
            "senderTimestampMs": moment,
        }
    }


def placeholder(message: Message) -> Data:
    return {"placeholderMessage": {"type": Choice(0, "MASK_LINKED_DEVICES")}}


def of_the_future(message: Message) -> Data:
    """A type that nobody knows yet: it must be labelled and fail nothing."""
    return {"hologramMessage": {"beam": {"intensity": 7}, "payload": b"\x01\x02\x03"}}


def _poll(message: Message) -> Data:
    return {
        "name": message.text,
        "options": [{"optionName": option} for option in message.options or POLL_OPTIONS],
        "selectableOptionsCount": 1,
    }
